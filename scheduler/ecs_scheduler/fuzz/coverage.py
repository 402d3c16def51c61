"""What a run went through, by kind: a kind that no seed of a hundred reaches is a defect of the
fuzzer.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from ecs_queue.states import JobState
from ecs_scheduler.fuzz.ecs_faults import FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ecs_scheduler.fuzz.history import History
    from ecs_scheduler.fuzz.invariants import Evidence
    from ecs_scheduler.fuzz.scenario import Scenario

LINES: Mapping[str, str] = {
    # what befell it
    **{
        f"ECS: {each}": rf"(StartTask|RunTask|StopTask|List\w+|Describe\w+|ReceiveMessage"
        rf"|DeleteMessageBatch)\b.* {each}$"
        for each in FAULTS
    },
    "ECS: late call arrives": "late call arrives",
    "ECS: launch held up in a frozen process": "was frozen with this call in hand",
    "Redis: slow reply": "Redis replies slowly",
    "Redis: connection refused": "Redis connection refused",
    "Redis: reply lost": "Redis reply lost",
    "Redis: command run twice": "Redis command run twice",
    "Redis: down": "Redis down for",
    "Redis: read-only": "Redis read-only for",
    "Redis: scripts lost": "Redis forgets its scripts",
    "Redis: fail-over": "Redis fails over",
    "replica killed": r"^r\d killed",
    "replica frozen": r"^r\d frozen for",
    "all replicas killed at a fail-over": "everybody dies",
    "instance disconnected": "instance .* disconnect ",
    "instance drained": "instance .* drain ",
    "instance lost": "instance .* lose ",
    "Spot notices": "Spot notice for [1-9]",
    "policies reloaded": "policies read",
    # what producers did
    "queue paused": "queue paused",
    "job suspended": "suspend .*: Suspended$",
    "job suspended while it ran": "suspend .*: SuspendedLater",
    "job reprioritised": "reprioritise .*: Reprioritised",
    "job cancelled at once": "cancel .*: Cancelled",
    "job cancelled while it ran": "cancel .*: CancelRequested",
    "schedule kept": "^schedule ",
    # what the service did about it
    "lead taken": "info: leading",
    "lead lost": "lead lost; standing by",
    "step tried again": "will try again",
    "launch of unknown outcome": "launch outcome unknown",
    "launch reconciled": "launch reconciled",
    "launch adopted": r"launch reconciled.* found=[1-9]",
    "launch given up as absent": r"launch reconciled.* found=0",
    "stray stopped": "a task came too late; stopping it",
    "launch held up; not made": "held up before the call",
    "rewind noticed": "redis restarted or failed over",
    "rewind dealt with": "queue and ECS agree",
    "orphan of a rewind stopped": "the queue lost this launch",
    "budget out of Redis's reach": "shared budget out of reach",
    "instance avoided": "instance avoided",
}


def covered(scenario: Scenario, history: History, evidence: Evidence) -> Counter[str]:
    """How often each kind happened; those that did not are there with 0."""
    seen: Counter[str] = Counter(dict.fromkeys(LINES, 0))
    text = "\n".join(what for _, _, what in history.lines)
    for name, pattern in _PATTERNS.items():
        seen[name] += len(pattern.findall(text))
    seen.update(dict(_of_evidence(scenario, evidence)))
    return seen


_PATTERNS = {name: re.compile(pattern, re.MULTILINE) for name, pattern in LINES.items()}


def _of_evidence(scenario: Scenario, evidence: Evidence) -> Iterator[tuple[str, int]]:
    records = evidence.records.values()
    for state in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED):
        yield f"job {state}", sum(each.state is state for each in records)
    yield "job in a gang", sum(each.job.gang is not None for each in records)
    yield "job with a payload", sum(each.job.payload_digest is not None for each in records)
    yield "job that depended on others", sum(bool(each.job.depends_on) for each in records)
    yield "job failed for its dependency", sum("dependency" in each.reason for each in records)
    yield "array", len(evidence.arrays())
    yield "tick of a schedule", sum(str(each.job.id).startswith("s0-") for each in records)
    yield "failed attempt tried again", sum(each.launches > 1 for each in records)
    yield (
        "launch of a job stopped with its instance",
        sum(task.stop_code in ("SpotInterruption", "TerminationNotice") for task in evidence.tasks),
    )
    yield "task by RunTask", sum(task.instance_arn is None for task in evidence.tasks)
    yield "task", len(evidence.tasks)
    yield "task nobody knew", len(evidence.strays())
    yield "run with one replica", int(scenario.replicas == 1)
    yield "run with several replicas", int(scenario.replicas > 1)
    yield "run with two queues on one budget", int(scenario.services > 1)
    yield "run with two clusters spread", int(scenario.clusters > 1)
    yield "run with events", int(scenario.events is not None)
    yield "run over HTTP", int(scenario.over_http)
