"""How to choose among the instances that could take a request: a Policy, in values only.

Plain, it is best fit over all dimensions: the instance with the least weighted room left wins,
so that whole instances stay empty, and tasks without GPUs stay off instances whose GPUs are free.
Weighted score terms, ECS's chains and a mixture of both are written in the same language.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from ecs_placement.errors import InvalidPolicy
from ecs_placement.names import unknown
from ecs_placement.request import DIMENSIONS

MOST_STRATEGIES = 5  # as in RunTask
MOST_OPENED_FOR = 1_000_000

Objective = Literal["fill", "open"]
OBJECTIVES: tuple[Objective, ...] = ("fill", "open")

_FIELDS = {
    "binpack": ("cpu", "memory"),
    "spread": ("instanceId", "host"),
    "random": ("",),
    "score": ("",),
}
_PLACES = _FIELDS["spread"]

TERM_NAMES = (
    "best_fit",
    "consolidate",
    "open_cost",
    "keep_room",
    "leave_gpus",
    "spread",
    "warm",
    "avoid",
    "prefer",
)

_PACKING = ("best_fit", "consolidate", "open_cost", "keep_room")


@dataclass(frozen=True, slots=True)
class Strategy:
    """One step of a chain: ECS's binpack (cpu, memory), spread (instanceId, host, attribute:NAME)
    and random; or score, which keeps the instances with the best weighted score.
    """

    type: str
    field: str = ""

    def __post_init__(self) -> None:
        if self.type not in _FIELDS:
            raise InvalidPolicy(unknown("strategy type", self.type, _FIELDS))
        if self.type == "spread":
            _check_place("spread field", self.field)
        elif self.field not in _FIELDS[self.type]:
            what = f"{self.type} field"
            raise InvalidPolicy(unknown(what, self.field, _FIELDS[self.type]))

    @property
    def label(self) -> str:
        """As it is written, such as binpack(memory)."""
        return f"{self.type}({self.field})" if self.field else self.type


@dataclass(frozen=True, slots=True)
class Term:
    """One term of the weighted score; `terms` says what each measures, always from 0 to 1.

    `field` is where `spread` spreads over, and the expression that `prefer` prefers; the others
    have none.
    """

    name: str
    weight: float = 1.0
    field: str = ""

    def __post_init__(self) -> None:
        if self.name not in TERM_NAMES:
            raise InvalidPolicy(unknown("score term", self.name, TERM_NAMES))
        _check_weight(f"score term {self.name}: weight", self.weight)
        if self.name == "spread":
            _check_place("score term spread: field", self.field)
        elif self.name == "prefer":
            if not self.field:
                raise InvalidPolicy("score term prefer: field must be an expression")
            from ecs_placement.query import parse  # numpy, for those who prefer only

            parse(self.field)
        elif self.field:
            raise InvalidPolicy(f"score term {self.name}: takes no field, given {self.field!r}")

    @property
    def label(self) -> str:
        """The term in one word for tables, such as spread(attribute:zone)."""
        return f"{self.name}({self.field})" if self.field else self.name


@dataclass(frozen=True, slots=True)
class SkewLimit:
    """A task group's tasks never differ by more than `most` between any two values of `field`.

    As maxSkew with DoNotSchedule of Kubernetes' topology spread constraints: the fewest are counted
    over all instances that the task's constraints allow, whether or not they have room. Instances
    without the attribute take none of the group. Requests without a group are not bound.
    """

    field: str
    most: int = 1

    def __post_init__(self) -> None:
        _check_place("skew limit: field", self.field)
        if isinstance(self.most, bool) or not isinstance(self.most, int) or self.most < 1:
            raise InvalidPolicy(f"skew limit: most = {self.most!r} must be an integer, 1 or more")


@dataclass(frozen=True, slots=True)
class Prices:
    """What an instance costs while it is open, in any one unit.

    Looked up by the value of `attribute` in `of`; with no `of` the attribute's value is the price.
    What has no price there costs `otherwise`; None: as much per weighted capacity as the dearest
    that has one, and where none has one, its list price (`list_prices`).
    """

    attribute: str = "ecs.instance-type"
    of: tuple[tuple[str, float], ...] = ()
    otherwise: float | None = None

    def __post_init__(self) -> None:
        for name, price in (*self.of, ("otherwise", self.otherwise)):
            if price is not None:
                _check_weight(f"prices: {name}", price)


@dataclass(frozen=True, slots=True)
class Policy:
    """How instances are chosen.

    `weights` are in the order of DIMENSIONS, each for a share of the largest instance's total.
    Raising one makes free capacity in that dimension dearer: instances that have much of it are
    kept for requests that need it. ENI weighs little, since few instances run out of it.
    `scalar_weights` are those of user-defined scalars by name, 1 unless given.

    `terms` make up the score; none means best fit alone. `strategies`, where given, choose instead:
    a chain, each narrowing what the one before left. `limits` always bind. `seed` and the ids of a
    batch's requests decide what `random` picks.

    The objective `fill` lets the score decide alone. With `open` an empty instance is opened only
    when none in use fits: the cheapest per task, were it filled with as many as wait and fit, or
    with `opens_for` of them if those are more.
    """

    weights: tuple[float, float, float, float] = (1.0, 1.0, 4.0, 0.25)
    strategies: tuple[Strategy, ...] = ()
    seed: int = 0
    terms: tuple[Term, ...] = ()
    objective: Objective = "fill"
    limits: tuple[SkewLimit, ...] = ()
    prices: Prices = field(default=Prices())
    scalar_weights: tuple[tuple[str, float], ...] = ()
    opens_for: int = 2

    def __post_init__(self) -> None:
        if len(self.weights) != len(DIMENSIONS):
            raise InvalidPolicy(
                f"weights: {len(self.weights)} given, expected {len(DIMENSIONS)} "
                f"({', '.join(DIMENSIONS)})"
            )
        for dimension, weight in zip(DIMENSIONS, self.weights, strict=True):
            _check_weight(f"weights: {dimension}", weight)
        for name, weight in self.scalar_weights:
            _check_weight(f"weights: {name}", weight)
        if not any(self.weights):
            raise InvalidPolicy("weights: at least one must be greater than 0")
        if len(self.strategies) > MOST_STRATEGIES:
            raise InvalidPolicy(
                f"strategies: {len(self.strategies)} given, at most {MOST_STRATEGIES} are allowed"
            )
        _check_seed(self.seed)
        if self.terms and not any(term.weight for term in self.terms):
            raise InvalidPolicy("terms: at least one weight must be greater than 0")
        labels = [term.label for term in self.terms]
        for label in labels:
            if labels.count(label) > 1:
                raise InvalidPolicy(f"terms: {label} is given more than once")
        if self.objective not in OBJECTIVES:
            raise InvalidPolicy(unknown("objective", self.objective, OBJECTIVES))
        _check_opens_for(self.opens_for)

    def weights_over(self, scalars: tuple[str, ...]) -> tuple[float, ...]:
        """The weights of the dimensions and of these scalars; one that is not named counts 1."""
        named = dict(self.scalar_weights)
        return (*self.weights, *(named.get(name, 1.0) for name in scalars))

    @property
    def plain(self) -> bool:
        """Whether this is best fit and nothing else, which has the fastest way of its own."""
        alone = all(term.name == "best_fit" for term in self.scored)
        return alone and not (self.strategies or self.limits or self.objective == "open")

    @property
    def packs(self) -> bool:
        """Whether filling well on few instances is all it wants, so that the thorough gear may
        choose in its place.
        """
        packing = all(term.name in _PACKING for term in self.terms if term.weight)
        return packing and not (self.strategies or self.limits)

    @property
    def scored(self) -> tuple[Term, ...]:
        """The terms that count."""
        return tuple(term for term in self.terms if term.weight) or _TIGHT


def _check_weight(what: str, weight: float) -> None:
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise InvalidPolicy(f"{what} = {weight!r} must be a number")
    if not math.isfinite(weight) or weight < 0:
        raise InvalidPolicy(f"{what} = {weight} must be a finite number, 0 or more")


def _check_seed(seed: int) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InvalidPolicy(f"seed = {seed!r} must be an integer, 0 or more")


def _check_opens_for(tasks: int) -> None:
    if isinstance(tasks, bool) or not isinstance(tasks, int) or not 1 <= tasks <= MOST_OPENED_FOR:
        raise InvalidPolicy(
            f"opens_for = {tasks!r} must be an integer, from 1 to {MOST_OPENED_FOR}"
        )


def _check_place(what: str, given: str) -> None:
    if given not in _PLACES and (given == "attribute:" or not given.startswith("attribute:")):
        raise InvalidPolicy(unknown(what, given, _PLACES, "attribute:NAME"))


_TIGHT = (Term("best_fit"),)

BEST_FIT = Policy()
"""What placement does when nothing is said to it."""

DEFAULT_POLICY = Policy(weights=(1.0, 1.0, 2.0, 0.25), objective="open")
"""What the service does when nothing is said: docs/policies.md says why."""
