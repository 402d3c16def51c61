"""What is decided: a Plan holds exactly one Decision for every request."""

from dataclasses import dataclass
from enum import StrEnum

from ecs_placement.request import GangId, RequestId
from ecs_placement.snapshot import InstanceId


class Reason(StrEnum):
    """Why one container instance could not take one request; the spelling follows ECS's failure
    reasons.
    """

    CPU = "RESOURCE:CPU"
    MEMORY = "RESOURCE:MEMORY"
    GPU = "RESOURCE:GPU"
    ENI = "RESOURCE:ENI"
    SCALAR = "RESOURCE:SCALAR"  # one that users define; the tally names it
    PORTS = "RESOURCE:PORTS"
    ATTRIBUTE = "ATTRIBUTE"
    MEMBER_OF = "MEMBER_OF"  # a placement constraint's expression does not hold
    DISTINCT = "DISTINCT_INSTANCE"  # a task of the same group is there
    SKEW = "SKEW"  # the policy's limit of the skew: its bucket has enough of the group
    AGENT = "AGENT"  # the agent is disconnected
    DRAINING = "DRAINING"  # or any other status but ACTIVE
    AVOIDED = "AVOIDED"  # set aside by the service for a while
    RESERVED = "RESERVED"  # there is room, but it is kept for another request


@dataclass(frozen=True, slots=True)
class Tally:
    """How many instances failed for `reason`, and by how much the nearest of them came short.

    An instance counts once under each reason that holds for it. `short_by` is in the dimension's
    unit; 0 where it has no meaning. `name` is that of a user-defined scalar.
    """

    reason: Reason
    instances: int
    short_by: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """Run the request on this container instance; `gpu_ids` are left to ECS."""

    request_id: RequestId
    instance_id: InstanceId
    score: float


@dataclass(frozen=True, slots=True)
class Reservation:
    """Room on one instance that is kept for a request; `by_s` is when it will be whole at the
    latest, None where that hangs on tasks whose ends are unknown.

    What a plan answers is what the next call of `place` is given: the room stays where it is.
    Without an instance it asks for room to be kept.
    """

    request_id: RequestId
    instance_id: InstanceId | None = None
    by_s: float | None = None


@dataclass(frozen=True, slots=True)
class Reserving:
    """For which requests room is kept when they find none, in the clock whose time is `now_s`.

    Give the reservations that the last plan answered, so that room stays where it is kept.
    """

    reservations: tuple[Reservation, ...] = ()
    now_s: float = 0.0

    @property
    def ids(self) -> frozenset[RequestId]:
        """The requests."""
        return frozenset(each.request_id for each in self.reservations)


NOTHING_RESERVED = Reserving()


@dataclass(frozen=True, slots=True)
class GangWait:
    """Of `size` members `present` were in the batch; `fit` of them had room at the same time."""

    id: GangId
    size: int
    present: int
    fit: int


@dataclass(frozen=True, slots=True)
class Wait:
    """No instance has room now, but at least one could once tasks end, or the cluster has no
    instances at all.

    With `gang` set, it is the gang that waits: the reasons are those of the request's shape beside
    the members that had room, and there are none if all members of its shape had. `reservation` is
    the room that is kept for the request.
    """

    request_id: RequestId
    reasons: tuple[Tally, ...]
    gang: GangWait | None = None
    reservation: Reservation | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """No registered instance could take the request even if it were empty; or, where `because_of`
    names one, that member of its gang.
    """

    request_id: RequestId
    reasons: tuple[Tally, ...]
    because_of: RequestId | None = None


Decision = Start | Wait | Reject


@dataclass(frozen=True, slots=True)
class Plan:
    """One Decision per request, in the order the requests were given, and the room kept for those
    of the waiting that had to be reserved for.
    """

    decisions: tuple[Decision, ...]
    reservations: tuple[Reservation, ...] = ()
