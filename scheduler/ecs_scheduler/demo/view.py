"""How a demo looks while it runs: a Frame, for a terminal by rich or as one plain line."""

from collections.abc import Mapping
from dataclasses import dataclass

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ecs_queue.states import JobState
from ecs_scheduler.passes.status import BudgetStatus, ServiceStatus

REASONS_SHOWN = 4
FEWEST_LATEST, MOST_LATEST = 3, 10
OTHER_LINES = 28
"""What the view takes besides the latest placements, side by side on a wide terminal."""

BAR_WIDTH = 28

COLOURS = {
    JobState.SUBMITTED: "white",
    JobState.RUNNABLE: "yellow",
    JobState.STARTING: "cyan",
    JobState.RUNNING: "blue",
    JobState.SUCCEEDED: "green",
    JobState.FAILED: "red",
    JobState.CANCELLED: "magenta",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """One moment of a demo: the service's status, and how far the workload has been submitted."""

    elapsed_s: float
    submitted: int
    total: int
    jobs: Mapping[JobState, int]
    status: ServiceStatus


def plain(frame: Frame) -> str:
    """The frame as one line, for logs and pipes."""
    status = frame.status
    jobs = " ".join(f"{state.lower()} {count}" for state, count in _shown_states(frame) if count)
    used = " ".join(
        f"{name.lower()} {share:.0%}" for name, units, _, share in _shares(status) if units
    )
    parts = [
        f"{frame.elapsed_s:6.1f} s",
        f"submitted {frame.submitted}/{frame.total}",
        jobs,
        used,
        f"launched {status.launched} in {status.launch_calls} calls, {status.launches_per_s:.1f}/s",
    ]
    waiting = _reasons(status.waiting, 2)
    if waiting:
        parts.append("waiting: " + ", ".join(f"{count} {why}" for why, count in waiting))
    return "  ".join(part for part in parts if part)


def live(frame: Frame, height: int) -> RenderableType:
    """The frame for a terminal of this many lines."""
    status = frame.status
    age = "no model yet" if status.model_age_s is None else f"model {status.model_age_s:.1f} s old"
    head = Text.assemble(
        ("ecs-scheduler demo", "bold"),
        f"   {frame.elapsed_s:.0f} s   {frame.submitted} of {frame.total} jobs submitted   "
        f"{status.instances} instances   {age}   "
        f"pass {status.passes}: {status.last_pass_s * 1000:.0f} ms",
    )
    return Group(
        head,
        Columns([_jobs_panel(frame), _capacity_panel(status)]),
        _launch_panel(status),
        _latest_panel(status, max(FEWEST_LATEST, min(height - OTHER_LINES, MOST_LATEST))),
        _waiting_panel(status),
    )


def _jobs_panel(frame: Frame) -> Panel:
    table = _grid()
    for state, count in _shown_states(frame):
        bar = ProgressBar(max(frame.total, 1), count, BAR_WIDTH, complete_style=COLOURS[state])
        table.add_row(state.value, str(count), bar)
    return Panel(table, title="jobs", title_align="left")


def _capacity_panel(status: ServiceStatus) -> Panel:
    table = _grid()
    for name, used, total, share in _shares(status):
        bar = ProgressBar(100, min(share * 100, 100), BAR_WIDTH, complete_style="blue")
        table.add_row(name, f"{share:.0%}", bar, Text(f"{used:,} of {total:,}", style="dim"))
    return Panel(table, title="cluster, reserved", title_align="left")


def _launch_panel(status: ServiceStatus) -> Panel:
    table = _grid()
    per_call = status.launched / status.launch_calls if status.launch_calls else 0.0
    table.add_row(
        "launches",
        f"{status.launches_per_s:.1f}/s",
        Text(f"{status.launched} tasks in {status.launch_calls} calls, {per_call:.1f} a call"),
    )
    for budget in status.budgets:
        table.add_row(budget.category, f"{budget.rate_per_s:.0f}/s", _budget(budget))
    return Panel(table, title="API budget", title_align="left")


def _budget(budget: BudgetStatus) -> RenderableType:
    row = _grid()
    tokens = max(budget.tokens, 0.0)
    told = f"{tokens:.0f} of {budget.burst} tokens left, {budget.calls} calls"
    throttled = f", {budget.throttled} throttled" if budget.throttled else ""
    bar = ProgressBar(budget.burst, tokens, BAR_WIDTH, complete_style="green")
    row.add_row(bar, Text(told + throttled, style="red" if throttled else "dim"))
    return row


def _latest_panel(status: ServiceStatus, most: int) -> Panel:
    table = _grid()
    newest = sorted(status.latest, key=lambda placement: placement.at_ms, reverse=True)
    for each in newest[:most]:
        table.add_row(
            Text(f"{max(status.at_ms - each.at_ms, 0) / 1000:.1f} s ago", style="dim"),
            each.job_id,
            "→ " + (each.instance.rpartition("/")[2][:12] or "ECS chose"),
            Text(f"{each.api}: {each.detail}" if each.detail else each.api, style="dim"),
        )
    return Panel(table, title="latest placements", title_align="left")


def _waiting_panel(status: ServiceStatus) -> Panel:
    table = _grid()
    for reason, count in _reasons(status.waiting, REASONS_SHOWN) or [("nothing", 0)]:
        table.add_row(str(count), reason)
    return Panel(table, title="waiting, and why", title_align="left")


def _grid() -> Table:
    table = Table.grid(padding=(0, 1))
    table.highlight = False
    return table


def _shown_states(frame: Frame) -> list[tuple[JobState, int]]:
    return [(state, frame.jobs.get(state, 0)) for state in COLOURS]


def _shares(status: ServiceStatus) -> list[tuple[str, int, int, float]]:
    """Name, used, total and share of each dimension that the cluster has."""
    return [
        (name, status.used.get(name, 0), total, status.used.get(name, 0) / total)
        for name, total in status.total.items()
        if total
    ]


def _reasons(waiting: Mapping[str, int], most: int) -> list[tuple[str, int]]:
    """The commonest reasons first."""
    return sorted(waiting.items(), key=lambda item: (-item[1], item[0]))[:most]
