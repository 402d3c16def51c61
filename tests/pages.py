"""Console examples of the pages in docs/, for the tests that play them.

In a ```console block a line `$ COMMAND` is followed by what the command prints. `$ cat FILE` shows
a file, which the player writes. A `…` stands for anything within a line.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs"
_BLOCKS = re.compile(r"^## (\d+)\. (.*?)$|```console\n(.*?)```", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """One command of a block and what the page shows of its output."""

    words: list[str]
    shown: str

    @property
    def written_to(self) -> str | None:
        """The file that is shown, where the command is `cat`."""
        return self.words[1] if self.words[0] == "cat" else None


def examples(page: str) -> list[Any]:
    """The console blocks of a page as parameters of a test, named by their section."""
    found: list[Any] = []
    section = ""
    for number, heading, block in _BLOCKS.findall((DOCS / page).read_text(encoding="utf-8")):
        section = f"{number} {heading}" if heading else section
        if block:
            found.append(pytest.param(steps_of(block), id=f"{section} {len(found)}"))
    return found


def steps_of(block: str) -> list[Step]:
    """The commands of a block in their order."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [
        Step(shlex.split(line), shown)
        for line, _, shown in (each.partition("\n") for each in parts)
    ]


def pattern_of(shown: str) -> str:
    """What output has to match: `…` is anything within a line, alone on a line any lines."""
    parts = [re.escape(part) for part in shown.replace("\n…\n", "\n⋮").split("…")]
    return r"[^\n]*?".join(parts).replace("⋮", r"(?:[^\n]*\n)*?")
