"""Lines that the fuzzer must miss: each stands in the source, and breaking it is noticed."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.reliability.mutations import MUTATIONS, ROOT, Mutation, caught


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.name)
def test_the_line_is_there_once(mutation: Mutation) -> None:
    """A mutation of a line that is gone breaks nothing."""
    text = (ROOT / mutation.path).read_text(encoding="utf-8")
    assert text.count(mutation.line) == 1
    assert mutation.line != mutation.broken


@pytest.mark.slow
def test_a_broken_line_is_noticed(tmp_path: Path) -> None:
    """The first of them, within a few short seeds; the others are played by hand."""
    found = caught(replace(MUTATIONS[0], seeds=10), tmp_path, "--minutes", "2", "--jobs", "12")
    assert found.violation is not None
    assert found.violation.startswith("tokens_are_used_once:")
