"""The policy file's fields: what each means, its bounds and its default. TOML in, book out."""

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from ecs_placement.errors import PlacementError
from ecs_placement.names import unknown
from ecs_placement.policy import (
    DEFAULT_POLICY,
    MOST_OPENED_FOR,
    MOST_STRATEGIES,
    Objective,
    Policy,
    Prices,
    SkewLimit,
    Strategy,
    Term,
)
from ecs_placement.query import parse
from ecs_queue.job import Fallback
from ecs_scheduler.policies.book import DEFAULT_NAME, Gear, NamedPolicy, PolicyBook
from ecs_scheduler.policies.trial import Limits, Trial
from ecs_scheduler.policies.windows import Windows, parse_span, zone


def _told(text: str, check: object) -> str:
    """Run `check(text)`; what it raises becomes the complaint about this field."""
    try:
        check(text)  # type: ignore[operator]
    except (PlacementError, ValueError) as error:
        raise PydanticCustomError("told", "{why}", {"why": str(error)}) from error
    return text


def _split(text: str) -> tuple[str, str]:
    """`name(field)`."""
    name, bracket, rest = text.strip().partition("(")
    if bracket and not rest.endswith(")"):
        raise ValueError(f"{text!r} lacks its closing bracket, expected NAME or NAME(FIELD)")
    return name, rest[:-1] if bracket else ""


def _strategy(text: str) -> Strategy:
    return Strategy(*_split(text))


def _term(text: str, weight: float = 1.0) -> Term:
    name, field = _split(text)
    return Term(name, weight, field)


Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
StrategyText = Annotated[str, AfterValidator(lambda text: _told(text, _strategy))]
TermText = Annotated[str, AfterValidator(lambda text: _told(text, _term))]
Expression = Annotated[str, AfterValidator(lambda text: _told(text, parse))]
Place = Annotated[str, AfterValidator(lambda text: _told(text, SkewLimit))]
WindowText = Annotated[str, AfterValidator(lambda text: _told(text, parse_span))]
Zone = Annotated[str, AfterValidator(lambda text: _told(text, zone))]
PolicyName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class Table(BaseModel):
    """A table of the file: no field but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class WeightsTable(Table):
    """What free capacity of each dimension is worth, for a share of the largest instance's."""

    cpu: Weight = DEFAULT_POLICY.weights[0]
    memory: Weight = DEFAULT_POLICY.weights[1]
    gpu: Weight = DEFAULT_POLICY.weights[2]
    eni: Weight = DEFAULT_POLICY.weights[3]


class PricesTable(Table):
    """What an open instance costs, by the value of an attribute, in any one unit."""

    attribute: str = Field(
        default="ecs.instance-type",
        min_length=1,
        description="Attribute whose value is looked up; without `of` its value is the price.",
    )
    of: dict[str, Weight] = {}
    otherwise: Weight | None = Field(default=None, description="Price of what is not in `of`.")


class LimitTable(Table):
    """A hard limit of the skew: tasks of a group never differ by more between two values."""

    field: Place
    most: int = Field(default=1, ge=1)


class PolicyTable(Table):
    """One named policy."""

    about: str = Field(default="", description="The situation that it is for.")
    weights: WeightsTable = WeightsTable()
    scalars: dict[str, Weight] = Field(
        default={}, description="Weights of user-defined resources by name; 1 unless given."
    )
    objective: Objective | None = Field(
        default=None,
        description="fill: the score decides alone. open: an empty instance is opened only when "
        "none in use fits. open unless there is a score, a chain or a limit.",
    )
    opens_for: int = Field(
        default=DEFAULT_POLICY.opens_for,
        ge=1,
        le=MOST_OPENED_FOR,
        description="Under open, the instance that is cheapest per task with so many tasks like "
        "the one at hand is opened first.",
    )
    score: dict[TermText, Weight] = Field(
        default={}, description="Weight by score term; best_fit alone by default."
    )
    chain: tuple[StrategyText, ...] = Field(
        default=(),
        strict=False,
        max_length=MOST_STRATEGIES,
        description="ECS's placement strategies and `score`, each narrowing what the one before "
        "left: binpack(memory), spread(attribute:NAME), random, score.",
    )
    limits: tuple[LimitTable, ...] = Field(default=(), strict=False)
    prices: PricesTable = PricesTable()
    seed: int = Field(default=0, ge=0, description="Decides what `random` picks.")
    filters: tuple[Expression, ...] = Field(
        default=(),
        strict=False,
        description="Cluster query expressions that hold for every instance its jobs may use.",
    )
    windows: tuple[WindowText, ...] = Field(
        default=(), strict=False, description="When its jobs may start: 'Mon-Fri 20:00-06:00'."
    )
    timezone: Zone = "UTC"
    fallback: Fallback | None = Field(
        default=None, description="RunTask for its jobs; a job's own fallback comes first."
    )
    gear: Gear = Field(
        default="auto",
        description="thorough: every pass is searched for a better plan; fast: none; auto: large "
        "batches are.",
    )
    budget_s: Seconds | None = Field(
        default=None, description="Most seconds a pass spends on the search."
    )

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        def build(_: str) -> None:
            self.placement()

        _told("", build)
        return self

    def placement(self) -> Policy:
        """Placement's own value."""
        weights = self.weights
        terms = tuple(_term(text, weight) for text, weight in self.score.items())
        alone = [term.name for term in terms if term.weight] == ["best_fit"]
        return Policy(
            weights=(weights.cpu, weights.memory, weights.gpu, weights.eni),
            strategies=tuple(_strategy(text) for text in self.chain),
            scalar_weights=tuple(self.scalars.items()),
            seed=self.seed,
            terms=() if alone else terms,  # said or not, it is the same policy
            objective=self.objective or self._usual_objective,
            opens_for=self.opens_for,
            limits=tuple(SkewLimit(each.field, each.most) for each in self.limits),
            prices=Prices(
                self.prices.attribute, tuple(self.prices.of.items()), self.prices.otherwise
            ),
        )

    @property
    def _usual_objective(self) -> Objective:
        """Wishes that are spelt out come before saving instances."""
        wishes = self.score or self.chain or self.limits
        return "fill" if wishes else DEFAULT_POLICY.objective

    def named(self, name: str) -> NamedPolicy:
        """The policy as a value."""
        return NamedPolicy(
            name=name,
            placement=self.placement(),
            filters=self.filters,
            windows=Windows(self.windows, self.timezone),
            fallback=self.fallback,
            gear=self.gear,
            budget_s=self.budget_s,
            about=self.about.strip(),
        )


class UseTable(Table):
    """Which jobs are under which policy; a job's own `policy` comes before all of it."""

    default: str = DEFAULT_NAME
    shares: dict[str, str] = Field(default={}, description="By share; a name may end in *.")
    queues: dict[str, str] = Field(default={}, description="By queue; a name may end in *.")


_USUAL = Limits()


class LimitsTable(Table):
    """When the candidate is rolled back."""

    wait_ratio: float = Field(default=_USUAL.wait_ratio, gt=1, description="Mean wait, times.")
    wait_s: Seconds = Field(default=_USUAL.wait_s, description="... and so much longer at least.")
    refused_ratio: float = Field(default=_USUAL.refused_ratio, gt=1, description="Refusals, times.")
    refused_share: float = Field(
        default=_USUAL.refused_share, ge=0, le=1, description="... and such a share at least."
    )
    for_s: Seconds = Field(default=_USUAL.for_s, description="How long without a break.")
    least_jobs: int = Field(default=_USUAL.least_jobs, ge=1, description="Jobs of each side.")


class TrialTable(Table):
    """A candidate that is compared with the policy `of`, and takes `percent` of its jobs."""

    candidate: str
    of: str = DEFAULT_NAME
    percent: float = Field(default=0, ge=0, le=100, allow_inf_nan=False)
    roll_back: LimitsTable = LimitsTable()


class PolicyFile(Table):
    """The whole file."""

    policies: dict[PolicyName, PolicyTable] = {}
    use: UseTable = UseTable()
    trial: TrialTable | None = None

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        known = (*self.policies, *([] if DEFAULT_NAME in self.policies else [DEFAULT_NAME]))
        named: list[tuple[tuple[str, ...], str]] = [(("use", "default"), self.use.default)]
        named += [(("use", "shares", each), name) for each, name in self.use.shares.items()]
        named += [(("use", "queues", each), name) for each, name in self.use.queues.items()]
        if self.trial is not None:
            named += [
                (("trial", "candidate"), self.trial.candidate),
                (("trial", "of"), self.trial.of),
            ]
        for path, name in named:
            if name not in known:
                why = unknown("policy", name, known)
                raise PydanticCustomError("relation", "{why}", {"why": why, "path": path})
        if self.trial is not None and self.trial.candidate == self.trial.of:
            why = "is the policy that it is compared with"
            raise PydanticCustomError("relation", "{why}", {"why": why, "path": ("trial", "of")})
        return self

    def book(self, source: str) -> PolicyBook:
        """The file as values; `default` is there even where the file does not say it."""
        policies = tuple(table.named(name) for name, table in self.policies.items())
        if DEFAULT_NAME not in self.policies:
            policies = (NamedPolicy(DEFAULT_NAME), *policies)
        trial = self.trial
        return PolicyBook(
            policies=policies,
            default=self.use.default,
            shares=tuple(self.use.shares.items()),
            queues=tuple(self.use.queues.items()),
            trial=None
            if trial is None
            else Trial(
                trial.candidate, trial.of, trial.percent, Limits(**trial.roll_back.model_dump())
            ),
            source=source,
        )
