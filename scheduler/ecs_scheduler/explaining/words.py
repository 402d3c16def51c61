"""Sentences and amounts for people, from explained values."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ecs_placement.explanation import Lack
from ecs_placement.plan import Reason
from ecs_placement.request import Shape
from ecs_scheduler.explaining.answers import DependsOn

if TYPE_CHECKING:
    from ecs_queue.states import JobRecord

_UNITS = {
    Reason.CPU: "CPU units",
    Reason.MEMORY: "MiB of memory",
    Reason.GPU: "GPUs",
    Reason.ENI: "task network interfaces",
}
_STATES = {
    Reason.AGENT: "its agent is disconnected",
    Reason.DRAINING: "it is draining or not active",
    Reason.AVOIDED: "it is set aside for a while",
    Reason.RESERVED: "it is kept for another job",
}


def lack(each: Lack) -> str:
    """One thing that an instance lacks."""
    if each.reason in _UNITS:
        return f"{each.short_by} {_UNITS[each.reason]} too few"
    if each.reason in _STATES:
        return _STATES[each.reason]
    words = {
        Reason.PORTS: "host port in use",
        Reason.ATTRIBUTE: "attribute missing",
        Reason.MEMBER_OF: "outside memberOf",
        Reason.DISTINCT: "has a task of the group",
        Reason.SKEW: "the group's skew limit",
    }
    name = words.get(each.reason, each.reason.value)
    return f"{name}: {each.detail}" if each.detail else name


def amounts(shape: Shape) -> str:
    """What one task asks for."""
    parts = [f"{shape.cpu_units} CPU units", f"{shape.memory_mib} MiB"]
    if shape.gpus:
        parts.append(f"{shape.gpus} GPU{'s' if shape.gpus > 1 else ''}")
    if shape.enis:
        parts.append(f"{shape.enis} network interface{'s' if shape.enis > 1 else ''}")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """A time for people, two digits at most."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86_400:.1f} d"


def job_summary(record: "JobRecord", depends: Sequence[DependsOn]) -> str:
    """Why a job that is not waiting here is where it is."""
    waits_for = [each for each in depends if each.state not in ("SUCCEEDED", "FAILED", "CANCELLED")]
    if waits_for:
        named = ", ".join(f"{each.job_id} ({each.state})" for each in waits_for[:5])
        return f"waits for {named}"
    if record.reason:
        return record.reason
    texts = {
        "RUNNABLE": "waits in Redis, beyond the window of jobs that are considered now",
        "STARTING": f"its task is being started on {record.instance_arn or 'an instance'}",
        "RUNNING": f"its task {record.task_arn or ''} runs".replace("  ", " "),
    }
    return texts.get(record.state.value, record.state.value.lower())


def plan_summary(verdict: str, tasks: tuple[int, int], ahead: int, why_not: Sequence[str]) -> str:
    """What a plan comes to, in a sentence; `why_not` says what stands against it, if anything."""
    wanted, fit_now = tasks
    behind = f"; {ahead} jobs of its priority or higher come first" if ahead else ""
    if verdict == "now":
        every = "it" if wanted == 1 else f"all {wanted} tasks"
        return f"fits now{behind}" if ahead else f"fits now: {every} would start at once"
    if verdict == "in part":
        return f"{fit_now} of {wanted} tasks fit now{behind}"
    room = "has room now, but " if fit_now == wanted else ""
    return f"{room}{'; '.join(why_not)}{behind}"
