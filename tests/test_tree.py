"""The house rules for what is not Python: lock files, Makefile, documents, forbidden names."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {"requirements.lock": ("build",), "requirements-dev.lock": ("build", "test", "lint")}

# Bracketed letters keep this file from matching its own patterns.
FORBIDDEN = re.compile(
    r"/w[o]rk/|/t[m]p/bash|\.\./\.libr[a]ry|py[p]i\.org|pyth[o]nhosted|npm[j]s\.org|debian\.[o]rg"
)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)\s]*)?\)")
REQUIREMENT = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^\]]*\])?==[^\s;]+")


def tracked() -> list[Path]:
    """Every file that git tracks and that is there."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def distribution(requirement: str) -> str:
    """The normalised name at the front of a requirement such as `moto[ecs]>=5`."""
    match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement)
    assert match, requirement
    return re.sub(r"[-_.]+", "-", match.group()).lower()


# The rules ----------------------------------------------------------------------------------------


def forbidden_places(text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), start=1):
        if match := FORBIDDEN.search(line):
            yield f"line {number}: names {match.group()}"


def dead_links(text: str, folder: Path) -> Iterator[str]:
    for target in LINK.findall(text):
        if not (folder / target).exists():
            yield f"the link to {target} leads nowhere"


def entries(lock: str) -> Iterator[str]:
    """The requirements of a lock file, one by one, each with its continuation lines."""
    joined = lock.replace("\\\n", " ")
    return (line for line in joined.splitlines() if line.strip() and not line.startswith("#"))


def lock_offences(lock: str, direct: set[str]) -> Iterator[str]:
    if "://" in lock or "--index-url" in lock:
        yield "holds a download address"
    pinned = set()
    for entry in entries(lock):
        match = REQUIREMENT.match(entry)
        if match is None:
            yield f"not a pinned requirement: {entry[:60]}"
        elif not re.search(r"--hash=sha256:[0-9a-f]{64}", entry):
            yield f"no hash: {entry[:60]}"
        else:
            pinned.add(distribution(match.group(1)))
    yield from (f"does not pin {name}" for name in sorted(direct - pinned))


def targets(makefile: str) -> set[str]:
    return {match.group(1) for match in re.finditer(r"^([a-z][a-z-]*):", makefile, re.MULTILINE)}


# The tree keeps them ------------------------------------------------------------------------------


def test_no_file_names_a_machine_path_or_a_registry() -> None:
    """What is tracked speaks of the project alone."""
    found = [
        f"{path.relative_to(ROOT)}: {what}"
        for path in tracked()
        for what in forbidden_places(read(path))
    ]
    assert found == []


def test_every_relative_link_resolves() -> None:
    """A document never links to a file that is not there."""
    documents = [path for path in tracked() if path.suffix == ".md"]
    assert documents
    found = [
        f"{path.relative_to(ROOT)}: {what}"
        for path in documents
        for what in dead_links(read(path), path.parent)
    ]
    assert found == []


@pytest.mark.parametrize(("name", "groups"), LOCKS.items())
def test_the_lock_pins_every_direct_dependency(name: str, groups: tuple[str, ...]) -> None:
    """A lock file holds names, versions and hashes, and nothing we depend on is missing."""
    project = tomllib.loads(read(ROOT / "pyproject.toml"))
    direct = set(map(distribution, project["project"]["dependencies"]))
    for group in groups:
        direct |= set(map(distribution, project["dependency-groups"][group]))
    assert list(lock_offences(read(ROOT / name), direct)) == []


def test_the_makefile_has_the_promised_targets() -> None:
    """README and continuous integration rely on these."""
    assert {"setup", "demo", "test", "check", "bench"} <= targets(read(ROOT / "Makefile"))


# A rule that was never seen to fail proves nothing ------------------------------------------------


def test_a_machine_path_is_noticed() -> None:
    """A path of one machine, or a registry's host, is reported with its line."""
    assert list(forbidden_places("ok\nsee /" + "work/main\n")) == ["line 2: names /" + "work/"]
    assert list(forbidden_places("https://" + "py" + "pi.org/x")) == ["line 1: names py" + "pi.org"]
    assert list(forbidden_places("framework/main and works")) == []


def test_a_dead_link_is_noticed(tmp_path: Path) -> None:
    """Only links to files are followed, with or without a fragment."""
    (tmp_path / "there.md").touch()
    text = "[a](there.md#part) [b](https://example.com/x) [c](#part) [d](gone.md)"
    assert list(dead_links(text, tmp_path)) == ["the link to gone.md leads nowhere"]


@pytest.mark.parametrize(
    ("lock", "offence"),
    [
        ("redis==8.1.0 \\\n    --hash=sha256:" + "0" * 64, None),
        ("redis[hiredis]==8.1.0 --hash=sha256:" + "0" * 64, None),
        ("redis==8.1.0", "no hash: redis==8.1.0"),
        ("redis>=8", "not a pinned requirement: redis>=8"),
        ("numpy==2.0 --hash=sha256:" + "0" * 64, "does not pin redis"),
        ("--index-url x\nredis==8 --hash=sha256:" + "0" * 64, "holds a download address"),
    ],
)
def test_a_loose_lock_is_noticed(lock: str, offence: str | None) -> None:
    """Each way a lock file may be loose is reported."""
    found = list(lock_offences(lock, {"redis"}))
    assert found == [] if offence is None else offence in found


def test_targets_are_read_from_the_line_starts() -> None:
    """Recipes and variables are no targets."""
    assert targets("A := b\ntest: x\n\techo check:\n") == {"test"}
