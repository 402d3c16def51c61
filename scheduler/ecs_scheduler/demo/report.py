"""What a demo says in the end: figures first, then what the simulated ECS and the books say."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ecs_queue.states import JobState
from ecs_scheduler.demo.account import Asked, Told, times
from ecs_scheduler.passes.status import ServiceStatus

PROBLEMS_SHOWN = 20
LAUNCHES = ("StartTask", "RunTask")


@dataclass(frozen=True, slots=True)
class Ending:
    """Everything the report is made of; `problems` empty is what we want.

    The simulated ECS counted `calls` by operation, how many it `throttled`, and by dimension the
    `peaks` of what was reserved out of what was `registered`. `first_launch_s` and `elapsed_s`
    count from the demo's start.
    """

    asked: Sequence[Asked]
    told: Sequence[Told]
    status: ServiceStatus
    calls: Mapping[str, int]
    throttled: int
    peaks: Mapping[str, int]
    registered: Mapping[str, int]
    first_launch_s: float | None
    elapsed_s: float
    problems: Sequence[str]


def lines(ending: Ending) -> Iterator[str]:
    """The report, line by line."""
    yield from _work(ending)
    yield from _calls(ending)
    yield from _peaks(ending)
    if not ending.problems:
        yield (
            "checked against the simulated ECS: no instance over-committed, every job ended as its "
            "container did, none lost, none ran twice"
        )
        return
    yield f"{len(ending.problems)} promises broken:"
    yield from (f"  {problem}" for problem in ending.problems[:PROBLEMS_SHOWN])
    if len(ending.problems) > PROBLEMS_SHOWN:
        yield f"  ... and {len(ending.problems) - PROBLEMS_SHOWN} more"


def _work(ending: Ending) -> Iterator[str]:
    states = Counter(job.state for job in ending.told)
    shown = ", ".join(f"{states[state]} {state}" for state in JobState if states[state])
    failing = sum(asked.exit_code not in (0, None) for asked in ending.asked)
    meant = f" ({failing} were made to fail)" if failing else ""
    yield f"{len(ending.asked)} jobs: {shown or 'none left'}{meant}"
    took = times(ending.told)
    if took is not None:
        yield (
            f"makespan {took.makespan_s:.1f} s; from submission to launch "
            f"median {took.waiting_median_s:.2f} s, 95 % within {took.waiting_p95_s:.2f} s"
        )
    if ending.first_launch_s is not None:
        yield f"first launch {ending.first_launch_s:.1f} s after the start"


def _calls(ending: Ending) -> Iterator[str]:
    status, calls = ending.status, ending.calls
    if status.launch_calls:
        made = " and ".join(f"{calls[api]} {api} calls" for api in LAUNCHES if api in calls)
        per_call = status.launched / status.launch_calls
        yield f"{status.launched} tasks launched by {made}: {per_call:.1f} a call"
    for budget in status.budgets:
        rate = budget.calls / ending.elapsed_s
        yield (
            f"API, {budget.category}: {budget.calls} calls, {rate:.1f}/s of {budget.rate_per_s:g}/s"
        )
    yield f"API, throttled by ECS: {ending.throttled} calls"


def _peaks(ending: Ending) -> Iterator[str]:
    shares = [
        f"{name} {peak / ending.registered[name]:.0%}"
        for name, peak in ending.peaks.items()
        if peak and ending.registered.get(name)
    ]
    yield f"peak reserved on {ending.status.instances} instances: {', '.join(shares)}"
