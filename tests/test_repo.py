"""The house rules for Python sources; each rule is a function from one source to its offences.

`test_tree.py` holds the rules for everything else in the tree.
"""

import ast
import queue
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOTS = {
    "placement": "ecs_placement",
    "queue": "ecs_queue",
    "scheduler": "ecs_scheduler",
    "simulator": "ecs_simulator",
}
OURS = frozenset(ROOTS.values())

# Which of our packages each package may import besides itself.
MAY_IMPORT = {
    "ecs_placement": frozenset[str](),
    "ecs_queue": frozenset[str](),
    "ecs_scheduler": frozenset({"ecs_placement", "ecs_queue"}),
    "ecs_simulator": frozenset[str](),
}
# These modules of ecs_scheduler bring simulator and service together.
MEETS_SIMULATOR = ("demo", "fuzz", "trace", "simulate")
PLACEMENT_MAY_IMPORT = frozenset({"numpy", "lark", "ecs_placement"})
PLACEMENT_MUST_NOT = frozenset(
    {"asyncio", "datetime", "http", "logging", "os", "random", "socket", "ssl", "subprocess"}
    | {"threading", "time", "urllib"}
)

# Wherever else time passes, a clock is handed in.
READS_THE_CLOCK = frozenset(
    {"scheduler/ecs_scheduler/clock.py", "simulator/ecs_simulator/clock.py"}
)
CLOCKS = frozenset(
    {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"}
    | {"process_time", "process_time_ns"}
)
DATES = frozenset({"now", "utcnow", "today"})

BANNED_NAMES = frozenset({"utils", "util", "common", "helpers", "helper", "manager", "misc"})
MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS, MAX_DOCSTRING_LINES = 400, 60, 5, 5


@dataclass(frozen=True)
class Source:
    """One Python file: its path from the repository's root and its text."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return _parse(self.text)

    @property
    def package(self) -> str | None:
        """The one of our packages that this file belongs to."""
        parts = PurePosixPath(self.path).parts
        return parts[1] if len(parts) > 2 and parts[1] in OURS else None

    @property
    def is_test(self) -> bool:
        return self.path.startswith("tests/")


@cache
def _parse(text: str) -> ast.Module:
    return ast.parse(text)


@cache
def sources() -> tuple[Source, ...]:
    folders = (*ROOTS, "tests", "benchmarks")
    files = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return tuple(
        Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
        for path in files
        if "__pycache__" not in path.parts
    )


Rule = Callable[[Source], Iterator[str]]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and full name of every absolute import, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def imports_run_one_way(source: Source) -> Iterator[str]:
    if source.package is None:
        return
    allowed = {source.package, *MAY_IMPORT[source.package]}
    inner = PurePosixPath(source.path).parts[2]
    if source.package == "ecs_scheduler" and inner.startswith(MEETS_SIMULATOR):
        allowed.add("ecs_simulator")
    for line, name in imported(source.tree):
        top = name.partition(".")[0]
        if top in OURS and top not in allowed:
            yield f"line {line}: {source.package} must not import {top}"


def placement_is_pure(source: Source) -> Iterator[str]:
    if source.package != "ecs_placement":
        return
    for line, name in imported(source.tree):
        top = name.partition(".")[0]
        standard = top in sys.stdlib_module_names and top not in PLACEMENT_MUST_NOT
        if not standard and top not in PLACEMENT_MAY_IMPORT:
            yield f"line {line}: ecs_placement must not import {top}"


def only_clock_reads_the_clock(source: Source) -> Iterator[str]:
    if source.package is None or source.path in READS_THE_CLOCK:
        return
    for line, name in imported(source.tree):
        module, _, member = name.rpartition(".")
        if module == "time" and member in CLOCKS:
            yield f"line {line}: reads the wall clock ({name})"
    for node in ast.walk(source.tree):
        match node:
            case ast.Attribute(value=ast.Name(id="time"), attr=attr) if attr in CLOCKS:
                yield f"line {node.lineno}: reads the wall clock (time.{attr})"
            case ast.Attribute(
                value=ast.Name(id="datetime" | "date") | ast.Attribute(attr="datetime" | "date"),
                attr=attr,
            ) if attr in DATES:
                yield f"line {node.lineno}: reads the wall clock ({attr})"


def files_are_short(source: Source) -> Iterator[str]:
    if (lines := source.text.count("\n")) > MAX_FILE_LINES:
        yield f"{lines} lines; at most {MAX_FILE_LINES}"


def functions_are_short(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, FUNCTIONS):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"{node.name}: {lines} lines; at most {MAX_FUNCTION_LINES}"


def parameters_are_few(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, FUNCTIONS):
            given = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            names = [each.arg for each in given if each.arg not in ("self", "cls")]
            if len(names) > MAX_PARAMETERS:
                yield f"{node.name}: {len(names)} parameters; at most {MAX_PARAMETERS}"


def modules_say_what_they_are(source: Source) -> Iterator[str]:
    if source.package is None:
        return
    docstring = ast.get_docstring(source.tree)
    if not docstring:
        yield "no module docstring"
        return
    lines = docstring.count("\n") + 1
    # errors.py draws its whole tree there.
    if lines > MAX_DOCSTRING_LINES and PurePosixPath(source.path).name != "errors.py":
        yield f"module docstring of {lines} lines; at most {MAX_DOCSTRING_LINES}"


def modules_have_real_names(source: Source) -> Iterator[str]:
    for part in PurePosixPath(source.path).with_suffix("").parts:
        if part in BANNED_NAMES or part.removeprefix("_") in BANNED_NAMES:
            yield f"a module called {part} says nothing"


def mocks_stay_out_of_tests(source: Source) -> Iterator[str]:
    if not source.is_test:
        return
    for line, name in imported(source.tree):
        if name.startswith("unittest.mock") or name.partition(".")[0] in ("mock", "pytest_mock"):
            yield f"line {line}: a mock ({name})"
    for node in ast.walk(source.tree):
        match node:
            case ast.Attribute(value=ast.Name(id="monkeypatch"), attr="setattr" | "setitem"):
                yield f"line {node.lineno}: monkeypatches code"
            case ast.arg(arg="mocker"):
                yield f"line {node.lineno}: a mock (mocker)"


REAL_TIME = "tests/processes/"
"""Tests of real processes poll: no clock of ours can be put into them."""


def no_test_sleeps(source: Source) -> Iterator[str]:
    if not source.is_test or source.path.startswith(REAL_TIME):
        return
    for line, name in imported(source.tree):
        if name == "time.sleep":
            yield f"line {line}: sleeps"
    for node in ast.walk(source.tree):
        match node:
            case ast.Attribute(value=ast.Name(id="time"), attr="sleep"):
                yield f"line {node.lineno}: sleeps"


RULES: tuple[Rule, ...] = (
    imports_run_one_way,
    placement_is_pure,
    only_clock_reads_the_clock,
    files_are_short,
    functions_are_short,
    parameters_are_few,
    modules_say_what_they_are,
    modules_have_real_names,
    mocks_stay_out_of_tests,
    no_test_sleeps,
)


def code(path: str, *lines: str) -> Source:
    return Source(path, "\n".join(lines) + "\n")


PLANTED: tuple[tuple[Rule, Source, Source], ...] = (
    (
        imports_run_one_way,
        code("queue/ecs_queue/a.py", "import ecs_placement"),
        code("scheduler/ecs_scheduler/a.py", "import ecs_placement"),
    ),
    (
        imports_run_one_way,
        code("simulator/ecs_simulator/a.py", "def f():", "    from ecs_queue import job"),
        code("simulator/ecs_simulator/a.py", "from ecs_simulator import job"),
    ),
    (
        imports_run_one_way,
        code("scheduler/ecs_scheduler/loop.py", "from ecs_simulator.server import serve"),
        code("scheduler/ecs_scheduler/demo/run.py", "from ecs_simulator.server import serve"),
    ),
    (
        placement_is_pure,
        code("placement/ecs_placement/a.py", "import pydantic"),
        code("placement/ecs_placement/a.py", "import numpy.typing", "import heapq", "import lark"),
    ),
    (
        placement_is_pure,
        code("placement/ecs_placement/a.py", "import asyncio"),
        code("queue/ecs_queue/a.py", "import asyncio"),
    ),
    (
        only_clock_reads_the_clock,
        code("scheduler/ecs_scheduler/a.py", "import time", "print(time.monotonic())"),
        code("scheduler/ecs_scheduler/clock.py", "import time", "print(time.monotonic())"),
    ),
    (
        only_clock_reads_the_clock,
        code("queue/ecs_queue/a.py", "from time import time"),
        code("queue/ecs_queue/a.py", "from time import sleep"),
    ),
    (
        only_clock_reads_the_clock,
        code("queue/ecs_queue/a.py", "import datetime", "datetime.datetime.now(datetime.UTC)"),
        code("queue/ecs_queue/a.py", "import datetime", "datetime.datetime.fromtimestamp(0)"),
    ),
    (files_are_short, code("tests/a.py", *["x = 1"] * 401), code("tests/a.py", *["x = 1"] * 400)),
    (
        functions_are_short,
        code("tests/a.py", "def f():", *["    x = 1"] * 60),
        code("tests/a.py", "def f():", *["    x = 1"] * 59),
    ),
    (
        parameters_are_few,
        code("tests/a.py", "async def f(a, b, c, /, d, *, e, g): ..."),
        code("tests/a.py", "class A:", "    def f(self, a, b, *, c, d, e): ..."),
    ),
    (
        modules_say_what_they_are,
        code("queue/ecs_queue/a.py", "import json"),
        code("queue/ecs_queue/a.py", '"""What lives here."""'),
    ),
    (
        modules_say_what_they_are,
        code("queue/ecs_queue/a.py", '"""One', *["more"] * 5, '"""'),
        code("queue/ecs_queue/errors.py", '"""One', *["more"] * 9, '"""'),
    ),
    (
        modules_have_real_names,
        code("queue/ecs_queue/_utils.py", "x = 1"),
        code("queue/ecs_queue/claims.py", "x = 1"),
    ),
    (
        mocks_stay_out_of_tests,
        code("tests/a.py", "from unittest import mock"),
        code("tests/a.py", "from unittest import TestCase"),
    ),
    (
        mocks_stay_out_of_tests,
        code("tests/a.py", "def test(monkeypatch):", "    monkeypatch.setattr(a, 'b', 1)"),
        code("tests/a.py", "def test(monkeypatch):", "    monkeypatch.setenv('A', 'b')"),
    ),
    (
        no_test_sleeps,
        code("tests/a.py", "import time", "time.sleep(1)"),
        code("simulator/ecs_simulator/a.py", "import time", "time.sleep(1)"),
    ),
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_source_keeps_the_rule(rule: Rule) -> None:
    """No source in the repository breaks the rule."""
    assert [f"{source.path}: {what}" for source in sources() for what in rule(source)] == []


@pytest.mark.parametrize(
    ("rule", "bad", "good"),
    PLANTED,
    ids=[f"{rule.__name__}-{n}" for n, (rule, *_) in enumerate(PLANTED)],
)
def test_the_rule_notices_a_planted_violation(rule: Rule, bad: Source, good: Source) -> None:
    """Each rule speaks up for what it forbids and stays silent for what it allows."""
    assert len(list(rule(bad))) >= 1
    assert list(rule(good)) == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("queue/*/lua/*.lua")), ids=lambda path: path.name)
def test_a_script_is_as_short_as_a_module(path: Path) -> None:
    assert path.read_text(encoding="utf-8").count("\n") <= MAX_FILE_LINES


def test_every_rule_has_a_planted_violation() -> None:
    """A rule that was never seen to fail proves nothing."""
    assert {rule for rule, *_ in PLANTED} == set(RULES)


def test_the_walk_finds_every_package() -> None:
    """The rules above are not green because the walk found nothing."""
    assert {source.package for source in sources()} - {None} == OURS


def test_queue_is_the_standard_library_s() -> None:
    """The folder `queue/` hides nothing from the standard library."""
    assert queue.__file__ is not None
    assert Path(queue.__file__).parent == Path(sysconfig.get_paths()["stdlib"])


@pytest.mark.parametrize("root", [*ROOTS, "tests", "benchmarks"])
def test_a_source_root_is_not_a_package(root: str) -> None:
    """`queue/__init__.py` would break everything that is started from the repository's root."""
    assert not (ROOT / root / "__init__.py").exists()


@pytest.mark.parametrize(("root", "package"), ROOTS.items())
def test_a_source_root_holds_one_typed_package(root: str, package: str) -> None:
    """Each source root holds its one package, which is marked as typed."""
    assert [path.parent.name for path in (ROOT / root).glob("*/__init__.py")] == [package]
    assert (ROOT / root / package / "py.typed").is_file()


def test_the_standard_library_works_from_the_root() -> None:
    """What needs the standard library's `queue` starts from the repository's root."""
    statement = "import concurrent.futures.thread, logging.handlers, queue; queue.Queue"
    done = subprocess.run(
        [sys.executable, "-c", statement], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
