"""The console examples of docs/jobs.md are played as they stand.

`$ cat FILE` writes the file it shows. A `…` in what follows a command stands for anything (for
lines, on a line of its own), and one inside a command for what was printed there last. After an
XADD the inbox is read, as a running service does.
"""

import asyncio
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ecs_queue.connection import connect
from ecs_queue.states import OwnerId

PAGE = (Path(__file__).parents[2] / "docs" / "jobs.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^## \d+\. (.*?)$|```console\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)


def examples() -> list[Any]:
    found: list[Any] = []
    section = ""
    for heading, block in EXAMPLES:
        section = heading or section
        if block:
            found.append(pytest.param(block, id=f"{section} {len(found)}"))
    return found


@dataclass
class Console:
    """Plays one block."""

    cli: Callable[..., Any]
    on_queue: Callable[..., Any]
    url: str
    queue: str
    folder: Path
    printed: str = ""
    words: dict[str, str] = field(default_factory=dict)

    def play(self, command: str, expected: str) -> None:
        words = [self.filled(word) for word in shlex.split(command)]
        if words[0] == "cat":
            (self.folder / words[1]).write_text(expected)
        elif words[:2] == ["redis-cli", "XADD"]:
            asyncio.run(self.add(words[-1]))
            self.on_queue(lambda queue: queue.admit(OwnerId("page")))
        else:
            assert words[0] == "ecs-scheduler"
            self.printed = self.cli(*words[1:]).out
            parts = [re.escape(part) for part in expected.replace("\n…\n", "\n⋮").split("…")]
            pattern = r"[^\n]*?".join(parts).replace("⋮", r"(?:[^\n]*\n)*?")
            assert re.fullmatch(pattern, self.printed), self.printed
            self.remember(expected)

    async def add(self, document: str) -> None:
        client = connect(self.url)
        await client.xadd(f"{{q:{self.queue}}}:inbox", {"job": document})
        await client.aclose()

    def remember(self, expected: str) -> None:
        """What every shortened word of the expected output was in full."""
        for short in re.findall(r"\S*\d…\S*\d", expected):
            pattern = r"\S*?".join(re.escape(part) for part in short.split("…"))
            found = re.search(rf"(?<!\S){pattern}(?!\S|\d)", self.printed)
            if found:
                self.words[short] = found.group()

    def filled(self, word: str) -> str:
        return self.words.get(word, word)


@pytest.fixture
def console(
    cli: Callable[..., Any], on_queue: Callable[..., Any], queue_name: str, valkey: str, bare: Path
) -> Console:
    return Console(cli, on_queue, valkey, queue_name, bare)


@pytest.mark.parametrize("block", examples())
def test_the_console_examples_say_what_happens(block: str, console: Console) -> None:
    """Each command prints what the page says."""
    for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, expected = step.partition("\n")
        console.play(command, expected)
