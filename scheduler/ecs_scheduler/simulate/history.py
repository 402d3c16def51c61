"""Recorded history as a workload: the jobs of the last days, and the fleet they ran on."""

import re
from pathlib import Path

from ecs_scheduler.cli.failures import InvalidInput
from ecs_scheduler.recording.history import Folder, UnreadableHistory
from ecs_simulator.workloads.arrivals import Arrival, in_order
from ecs_simulator.workloads.batch import Run, Size, job_document

_SPAN = re.compile(r"(?:last-)?(\d+(?:\.\d+)?)([smhdw])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
LEAST_RUN_S = 0.001
RECORDED = Path("history")
"""Where `ecs-scheduler record` writes unless told otherwise."""


def span_s(text: str, flag: str = "--last") -> float:
    """Seconds of a span such as 7d, last-7d or 12h. Raises InvalidInput."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise InvalidInput(f"{flag} {text}: expected a span such as 7d, 12h or 30m")
    return float(match[1]) * _UNIT_S[match[2]]


def named(text: str, last: str | None) -> tuple[Path, float | None]:
    """The folder that --history names, and the span of it: a folder as it is, or `last-7d` for the
    last seven days of `ecs-scheduler record`'s own folder. Raises InvalidInput.
    """
    if text.startswith("last-") and not Path(text).exists():
        if last is not None:
            raise InvalidInput(f"--history {text} says how much already; leave --last out")
        return RECORDED, span_s(text, "--history")
    return Path(text), None if last is None else span_s(last)


def arrivals(path: Path, last_s: float | None) -> tuple[Arrival, ...]:
    """The recorded jobs of the last seconds before the latest end; all of them if None. The first
    one comes at 0. Raises InvalidInput.
    """
    folder = Folder(path)
    try:
        since_s = 0.0 if last_s is None else folder.latest()[0] - last_s
        jobs = list(folder.jobs(since_s))
    except UnreadableHistory as error:
        raise InvalidInput(f"--history: {error}") from error
    if not jobs:
        raise InvalidInput(
            f"--history: no jobs are recorded in {path}; `ecs-scheduler record` writes them"
        )
    begin_s = min(job.submitted_at_s for job in jobs)
    return in_order(
        Arrival(
            round(job.submitted_at_s - begin_s, 3),
            job_document(
                job.job_id,
                Size(job.cpu_units, job.memory_mib, job.gpus),
                Run(max(LEAST_RUN_S, job.run_s), job.exit_code),
                share=job.share,
                priority=job.priority,
            ),
        )
        for job in {each.job_id: each for each in jobs}.values()
    )


def fleet_file(path: Path) -> Path:
    """The fleet file of the latest recorded change. Raises InvalidInput."""
    found = Folder(path).latest_fleet()
    if found is None:
        raise InvalidInput(f"--history: no fleet is recorded in {path}; give --fleet")
    return found
