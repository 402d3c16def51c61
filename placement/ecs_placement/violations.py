"""What can be wrong with a plan; `check` finds it."""

from dataclasses import dataclass
from enum import StrEnum


class Broken(StrEnum):
    """Which invariant does not hold."""

    NOT_ONCE = "a request is not decided exactly once"
    UNKNOWN_INSTANCE = "a start names an instance that is not in the snapshot"
    UNAVAILABLE = "a start on an instance that takes no tasks"
    ATTRIBUTE = "a start on an instance without a required attribute"
    MEMBER_OF = "a start on an instance outside a memberOf expression"
    DISTINCT = "a start beside a task of its group, though instances are to be distinct"
    OVERCOMMIT = "more is started on an instance than it has room for"
    PORT = "a host port is taken twice"
    SKEW = "more of a group is started in one place than the policy's skew limit allows"
    INVERTED = "a request waits for room that a request of lower priority, or none, takes"
    GANG_SPLIT = "some members of a gang start and others do not"
    DELAYED = "a start takes room from a request that it is reserved for"
    WRONG_REJECT = "a request is rejected although an empty instance could take it"
    WRONG_WAIT = "a request waits although no instance could ever take it"


@dataclass(frozen=True, slots=True)
class Violation:
    """One invariant broken by one request or on one instance; `about` is its id."""

    kind: Broken
    about: str
    detail: str = ""
