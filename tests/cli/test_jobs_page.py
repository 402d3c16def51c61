"""The console examples of docs/jobs.md are played as they stand.

A word with a `…` inside a command stands for what was printed there last. After an XADD the inbox
is read, as a running service does. While somebody sleeps, a scheduler works on a simulated cluster;
what its containers echo is written to CloudWatch Logs, as moto plays it. Of input that is refused
the page shows the complaint, which goes to standard error.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.cli.cloud import Cloud
from tests.cli.cluster import Cluster
from tests.pages import Step, examples, pattern_of

from ecs_queue.client import Queue
from ecs_queue.connection import connect
from ecs_queue.producing import inbox_key
from ecs_queue.states import OwnerId, QueueName
from ecs_scheduler.cli.failures import USAGE


@dataclass
class Console:
    """Plays one block."""

    cli: Callable[..., Any]
    url: str
    queue: QueueName
    folder: Path
    wanted: Callable[[str], Any]
    printed: str = ""
    words: dict[str, str] = field(default_factory=dict)

    def play(self, step: Step) -> None:
        words = [self.words.get(word, word) for word in step.words]
        match words:
            case ["cat", name]:
                (self.folder / name).write_text(step.shown)
            case ["redis-cli", "XADD", *_, document]:
                asyncio.run(self.add(document))
            case ["sleep", seconds]:
                self.cluster.sleep(float(seconds))
            case ["aws", "ecs", "put-attributes", *_, "--attributes", attributes]:
                self.cluster.put_attributes(attributes)
            case ["ecs-scheduler", *arguments]:
                if arguments[0] == "logs":
                    self.cloud.follow(self.cluster)
                answer = self.cli(*arguments)
                self.printed = answer.err if answer.code == USAGE else answer.out
                assert re.fullmatch(pattern_of(step.shown), self.printed), answer
                self.remember(step.shown)
            case _:
                raise AssertionError(words)

    @property
    def cluster(self) -> Cluster:
        found: Cluster = self.wanted("cluster")
        return found

    @property
    def cloud(self) -> Cloud:
        found: Cloud = self.wanted("cloud")
        return found

    async def add(self, document: str) -> None:
        client = connect(self.url)
        await client.xadd(inbox_key(self.queue), {"job": document})
        await Queue(client, self.queue).admit(OwnerId("page"))
        await client.aclose()

    def remember(self, shown: str) -> None:
        """What every shortened word of the expected output was in full."""
        for short in re.findall(r"\S*\d…\S*\d", shown):
            pattern = r"\S*?".join(re.escape(part) for part in short.split("…"))
            found = re.search(rf"(?<!\S){pattern}(?!\S|\d)", self.printed)
            if found:
                self.words[short] = found.group()


@pytest.fixture
def cluster(valkey: str, queue_name: str, bare: Path) -> Iterator[Cluster]:
    built = Cluster(valkey.removeprefix("unix://"), queue_name, bare)
    yield built
    built.close()


@pytest.fixture
def console(
    cli: Callable[..., Any],
    queue_name: str,
    valkey: str,
    bare: Path,
    request: pytest.FixtureRequest,
) -> Console:
    return Console(cli, valkey, QueueName(queue_name), bare, request.getfixturevalue)


@pytest.mark.parametrize("steps", examples("jobs.md"))
def test_the_console_examples_say_what_happens(steps: list[Step], console: Console) -> None:
    """Each command prints what the page says."""
    for step in steps:
        console.play(step)
