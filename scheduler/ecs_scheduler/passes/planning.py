"""From a Plan to calls: placed jobs are grouped into launches, waiting jobs get their reason or
their fallback. No I/O.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from ecs_placement.explain import sentence
from ecs_placement.plan import Reject, Start, Wait
from ecs_queue.job import Fallback
from ecs_queue.states import InstanceArn
from ecs_scheduler.ecs.launch_answer import RunTarget
from ecs_scheduler.launching.launch import Launch, Slot
from ecs_scheduler.launching.launch_signature import MAX_TASKS_PER_CALL, LaunchSignature, batches
from ecs_scheduler.passes.kinds import (
    API_BUDGET,
    GANG,
    NO_INSTANCES,
    NOT_FOR_ROOM,
    UNPLACEABLE,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ecs_placement.plan import Plan
    from ecs_placement.snapshot import Snapshot
    from ecs_queue.stored import AnyJob
    from ecs_scheduler.passes.window import Held, Lane, Window


@dataclass(frozen=True, slots=True)
class Decided:
    """What one Plan came to: launches in the order they should be made, and how many decisions
    there were of each kind.
    """

    launches: list[Launch]
    start: int
    wait: int
    reject: int


def decide(plan: Plan, window: Window, snapshot: Snapshot, now: float) -> Decided:
    """Group the plan's Starts into StartTask launches, and write on every waiting lane why it
    waits.
    """
    placed: list[Slot] = []
    unplaced: dict[Lane, Wait | Reject] = {}
    rejects = 0
    held_of = window.job
    for decision in plan.decisions:
        held = held_of(decision.request_id)
        if isinstance(decision, Start):
            held.kind, held.reason, held.rejected_since = "", "", None
            fit = f"{decision.score:.0%} full with it{_policy_of(held)}"
            placed.append(Slot(held, InstanceArn(decision.instance_id), fit))
        else:
            unplaced.setdefault(held.lane, decision)
            rejects += isinstance(decision, Reject)
    for lane, decision in unplaced.items():
        why = sentence(decision, lane.shape, snapshot) + _note_of(window.first(lane))
        rejected_at = now if isinstance(decision, Reject) else None
        window.waits(lane, _kind(decision), why, rejected_at=rejected_at)
    for lane in {slot.held.lane for slot in placed} - unplaced.keys():
        window.fits(lane)
    waits = len(plan.decisions) - len(placed) - rejects
    return Decided(_start_task_launches(placed), len(placed), waits, rejects)


def _policy_of(held: Held) -> str:
    decision = f", decision {held.decision}" if held.decision else ""
    return f", by policy {held.policy}{_note_of(held)}{decision}" if held.policy else ""


def _note_of(held: Held) -> str:
    return f" ({held.policy_note})" if held.policy_note else ""


def _kind(decision: Wait | Reject) -> str:
    if isinstance(decision, Reject):
        return UNPLACEABLE
    if decision.gang is not None:
        return GANG
    if not decision.reasons:
        return NO_INSTANCES
    return max(decision.reasons, key=lambda tally: tally.instances).reason.value


def _start_task_launches(placed: Iterable[Slot]) -> list[Launch]:
    """Launches by priority first; among equals those that start more tasks for their token. Those
    of a gang are together, in the place of the first of them.
    """
    groups: defaultdict[tuple[str, LaunchSignature, str], list[Slot]] = defaultdict(list)
    for slot in placed:
        held = slot.held
        groups[held.gang, held.signature, held.policy].append(slot)
    units: defaultdict[str, list[Launch]] = defaultdict(list)
    alone: list[list[Launch]] = []
    for (gang, signature, _), slots in groups.items():
        if gang:
            units[gang].extend(_calls(signature, slots))
        else:
            alone.extend([call] for call in _calls(signature, slots))
    in_order = sorted([*units.values(), *alone], key=lambda unit: min(map(_urgency, unit)))
    return [launch for unit in in_order for launch in unit]


def affordable(launches: Sequence[Launch], calls: int, most: int, impatient: str = "") -> int:
    """How many of these, from the first on, can be made with so many calls.

    The calls of a gang are made at once. Where there are too few for the gang that comes next,
    those that there are stay unspent, so that they add up; `most` is what they can add up to. Gang
    `impatient` has waited long enough for that, and its calls may wait for their tokens.
    """
    made = 0
    for gang, unit in groupby(launches, lambda launch: launch.gang):
        wanted = len(list(unit))
        if gang and gang != impatient and min(wanted, most) > calls:
            break
        fit = wanted if gang else min(wanted, calls)
        made, calls = made + fit, max(0, calls - fit)
        if fit < wanted:
            break
    return made


def _calls(signature: LaunchSignature, slots: Sequence[Slot]) -> Iterable[Launch]:
    """Calls of one signature and policy. Its jobs are interchangeable, so the first in line go into
    the first call, which is the fullest, whatever instance placement had meant for them.
    """
    in_line = iter(sorted((slot.held for slot in slots), key=place_in_line))
    for call in batches(slots, lambda slot: slot.instance or ""):
        yield Launch(signature, tuple(replace(slot, held=next(in_line)) for slot in call))


def place_in_line(held: Held) -> tuple[int, int, int, str]:
    """Sorts jobs by their turn in fair order, if there is one, then by their rank."""
    return (held.turn, *held.rank)


def _urgency(launch: Launch) -> tuple[int, int, int, tuple[int, int, int, str]]:
    first = min(place_in_line(slot.held) for slot in launch.slots)
    return (first[0], first[1], -len(launch.slots), first)


def postpone(launches: Iterable[Launch], rate_per_s: float) -> None:
    """These jobs have room, but the API budget does not reach this far in this pass."""
    wait_for_budget((slot.held for launch in launches for slot in launch.slots), rate_per_s)


def wait_for_budget(jobs: Iterable[Held], rate_per_s: float) -> None:
    """Write on these jobs that they have room and wait for a call."""
    for held in jobs:
        held.kind, held.rejected_since = API_BUDGET, None
        held.reason = f"has room; waits for the API budget of {rate_per_s:g} launch calls a second"


def fallback_launches(
    waiting: Iterable[Held],
    default_of: Callable[[AnyJob], Fallback | None],
    now_ms: int,
    unfit: Callable[[Held], bool] = lambda _: False,
) -> list[Launch]:
    """RunTask for jobs that waited as long as their fallback allows, or at once for those that are
    `unfit`: no registered instance could ever hold them. Up to ten of a signature in a call.
    """
    groups: defaultdict[tuple[LaunchSignature, Fallback], list[Held]] = defaultdict(list)
    for held in waiting:
        job = held.claim.job
        if held.kind in NOT_FOR_ROOM or job.gang is not None:
            continue  # it does not wait for room, or must not run alone
        if held.shape.scalars:
            continue  # ECS would run it where nobody counts what it holds
        fallback = _fallback_of(job, default_of(job))
        if fallback is None:
            continue
        if unfit(held) or now_ms - held.claim.runnable_at_ms >= fallback.after_s * 1000:
            groups[held.signature, fallback].append(held)
    return [
        _run_task_launch(signature, fallback, members[start : start + MAX_TASKS_PER_CALL])
        for (signature, fallback), members in groups.items()
        for start in range(0, len(members), MAX_TASKS_PER_CALL)
    ]


def within(launches: Iterable[Launch], tasks: int) -> list[Launch]:
    """The first of the launches, as many as start so many tasks together."""
    kept = []
    for launch in launches:
        slots = launch.slots[: max(0, tasks)]
        tasks -= len(slots)
        if slots:
            kept.append(replace(launch, slots=slots))
    return kept


def _fallback_of(job: AnyJob, default: Fallback | None) -> Fallback | None:
    """A bounded wait that ends in the fallback sets its time; where to stays as it was said."""
    fallback = job.fallback or default
    if job.max_wait is None or job.max_wait.action != "fallback":
        return fallback
    return (fallback or Fallback(after_s=0)).model_copy(update={"after_s": job.max_wait.after_s})


def _run_task_launch(
    signature: LaunchSignature, fallback: Fallback, members: Sequence[Held]
) -> Launch:
    strategy = tuple(item.model_dump(by_alias=True) for item in fallback.capacity_provider_strategy)
    return Launch(
        signature=signature,
        slots=tuple(Slot(held, None) for held in members),
        target=RunTarget(strategy, fallback.launch_type),
        detail=f"fallback after {fallback.after_s} s without room",
    )
