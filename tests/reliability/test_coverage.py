"""The fuzzer's table of what happened: it counts, and it looks for words that somebody says."""

import re
from pathlib import Path

import pytest

import ecs_scheduler
from ecs_scheduler.fuzz.coverage import LINES, covered
from ecs_scheduler.fuzz.ecs_faults import FAULTS
from ecs_scheduler.fuzz.history import History
from ecs_scheduler.fuzz.run import play
from ecs_scheduler.fuzz.scenario import draw
from ecs_scheduler.fuzz.servers import Servers

SAID_IN_PARTS = {
    # pattern, and the words in the sources that make its lines
    r"^r\d killed": "} killed, down for",
    r"^r\d frozen for": "frozen for",
    "instance .* disconnect ": '"disconnect"',
    "instance .* drain ": '"drain"',
    "instance .* lose ": '"lose"',
    "Spot notice for [1-9]": "Spot notice for",
    "Redis down for": "down for",
    "Redis read-only for": "read-only for",
    "suspend .*: Suspended$": 'f"suspend {',
    "suspend .*: SuspendedLater": 'f"suspend {',
    "reprioritise .*: Reprioritised": 'f"reprioritise {',
    "cancel .*: Cancelled": 'f"cancel {',
    "cancel .*: CancelRequested": 'f"cancel {',
    "^schedule ": 'f"schedule {',
    "info: leading": '"leading"',
    r"launch reconciled.* found=[1-9]": "launch reconciled",
    r"launch reconciled.* found=0": "launch reconciled",
}


@pytest.fixture(scope="module")
def sources() -> str:
    """All the Python of the scheduler but the table itself."""
    root = Path(ecs_scheduler.__file__).parent
    return "\n".join(
        path.read_text()
        for path in sorted(root.rglob("*.py"))
        if path.name != "coverage.py" or path.parent.name != "fuzz"
    )


@pytest.mark.parametrize("pattern", sorted(set(LINES.values())))
def test_what_is_counted_is_said_somewhere(pattern: str, sources: str) -> None:
    """A message that was reworded would be counted as "never", and look like a rare one."""
    fault = re.search(r" (\w+)\$$", pattern)
    if fault and fault[1] in FAULTS:
        return
    assert SAID_IN_PARTS.get(pattern, pattern) in sources


def test_lines_are_counted_by_kind(servers: Servers) -> None:
    """Each line counts for the kinds that it meets, and what did not happen is there with 0."""
    scenario = draw(9, 0.1, jobs=2)
    evidence = play(scenario, servers).evidence
    history = History(now_s=lambda: 1.0)
    for what in (
        "r1 StartTask 0a8f75b0 throttled",
        "r2 ListTasks throttled",
        "Redis fails over and forgets 2.0 s",
        "r2 killed in StartTask",
        "info: launch reconciled token=t found=2",
        "info: launch reconciled token=t found=0",
        "cancel j1: CancelRequested",
    ):
        history.say("fault", what)
    seen = covered(scenario, history, evidence)
    assert {name: count for name, count in seen.items() if count and name in LINES} == {
        "ECS: throttled": 2,
        "Redis: fail-over": 1,
        "replica killed": 1,
        "launch reconciled": 2,
        "launch adopted": 1,
        "launch given up as absent": 1,
        "job cancelled while it ran": 1,
    }
    assert seen["rewind noticed"] == 0
    assert seen["task"] == len(evidence.tasks)


def test_jobs_and_tasks_are_counted_from_the_evidence(servers: Servers) -> None:
    """Every job ended in one of three ways."""
    played = play(draw(9, 0.1, jobs=2), servers)
    seen = covered(played.scenario, played.history, played.evidence)
    ended = sum(seen[f"job {state}"] for state in ("SUCCEEDED", "FAILED", "CANCELLED"))
    assert ended == len(played.evidence.records) >= 2
