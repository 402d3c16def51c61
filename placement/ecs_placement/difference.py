"""How two plans for the same requests on the same snapshot differ."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ecs_placement.plan import Plan, Start
from ecs_placement.request import RequestId, TaskRequest
from ecs_placement.snapshot import InstanceId, Snapshot


@dataclass(frozen=True, slots=True)
class Moved:
    """One request that the plans place differently; None where it does not start."""

    request_id: RequestId
    before: InstanceId | None
    after: InstanceId | None


@dataclass(frozen=True, slots=True)
class Difference:
    """What the second plan does otherwise than the first.

    `opened` and `opened_after` count the instances on which nothing ran and that the plans start
    something on.
    """

    requests: int
    started: int
    started_after: int
    moved: tuple[Moved, ...]
    opened: int
    opened_after: int


def difference(
    before: Plan, after: Plan, requests: Sequence[TaskRequest], snapshot: Snapshot
) -> Difference:
    """Compare what two plans do with these requests. Those of equal shape and priority are
    interchangeable: as many of them as both plans start on an instance are not moved.
    """
    ids = {request.id for request in requests}
    one, other = _starts(before, ids), _starts(after, ids)
    alike: defaultdict[object, list[RequestId]] = defaultdict(list)
    for request in requests:
        alike[request.shape, request.priority].append(request.id)
    moved = [each for members in alike.values() for each in _moved(members, one, other)]
    return Difference(
        requests=len(requests),
        started=len(one),
        started_after=len(other),
        moved=tuple(moved),
        opened=_opened(one.values(), snapshot),
        opened_after=_opened(other.values(), snapshot),
    )


def _starts(plan: Plan, ids: Collection[RequestId]) -> dict[RequestId, InstanceId]:
    starts = (each for each in plan.decisions if isinstance(each, Start))
    return {each.request_id: each.instance_id for each in starts if each.request_id in ids}


def _moved(
    members: Sequence[RequestId],
    one: dict[RequestId, InstanceId],
    other: dict[RequestId, InstanceId],
) -> Iterable[Moved]:
    """What is left of both sides once equal places are struck out against each other."""
    was = Counter(one.get(each) for each in members)
    now = Counter(other.get(each) for each in members)
    gained = iter(sorted((now - was).elements(), key=str))
    lost = was - now
    for each in members:
        before = one.get(each)
        if lost[before] > 0:
            lost[before] -= 1
            yield Moved(each, before, next(gained))


def _opened(places: Iterable[InstanceId], snapshot: Snapshot) -> int:
    rows = {snapshot.row_of[place] for place in places}
    return sum(
        snapshot.instances[row].free == snapshot.instances[row].total
        and not snapshot.instances[row].facts.running_tasks
        for row in rows
    )
