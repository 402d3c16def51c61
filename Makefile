# setup  make .venv with everything pinned        test   the test suite (some minutes)
# reports  docs/reports anew: make reports PODS=... NODES=... (the openb tables)
# demo   the main job on an embedded Redis and    check  lint, types, Dockerfile
#        the simulated ECS                        bench  the benchmarks
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime-installed
DEVELOPMENT := $(VENV)/.development-installed

.PHONY: setup demo test check bench reports lock
setup: $(DEVELOPMENT)

demo: $(RUNTIME)
	$(BIN)/ecs-scheduler demo $(ARGS)

test: $(DEVELOPMENT)
	$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

check: $(DEVELOPMENT)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint docker/Dockerfile

bench: $(DEVELOPMENT)
	$(BIN)/python -m benchmarks $(ARGS)

reports: $(DEVELOPMENT)
	PODS=$(abspath $(PODS)) NODES=$(abspath $(NODES)) SCHEDULER=$(abspath $(BIN))/ecs-scheduler docs/reports/reproduce.sh

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(DEVELOPMENT): requirements-dev.lock $(RUNTIME)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

# Rewrites both lock files from pyproject.toml; needs uv.
lock:
	uv pip compile pyproject.toml --group build --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --no-annotate -q -o requirements.lock
	uv pip compile pyproject.toml --group build --group test --group lint --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --no-annotate -q -o requirements-dev.lock
