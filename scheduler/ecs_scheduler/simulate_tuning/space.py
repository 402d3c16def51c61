"""What a search may choose, and the policy file that a choice comes to. No I/O."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, cast, get_args

from ecs_placement.policy import DEFAULT_POLICY, Policy, Term
from ecs_scheduler.policies.book import PolicyBook
from ecs_scheduler.policies.reading import book_of

NAME = "tuned"
TERMS = ("best_fit", "consolidate", "open_cost", "keep_room", "leave_gpus", "spread")
"""Score terms that may take part; `spread` is over instances."""

WEIGHTS = ("cpu", "memory", "gpu")
USUAL_WEIGHTS = dict(zip(WEIGHTS, DEFAULT_POLICY.weights, strict=False))
LEAST_WEIGHT, MOST_WEIGHT = 0.1, 10.0
MOST_TERM = 3.0
NEGLIGIBLE = 0.05
"""A term that weighs less is left out: it would only make the policy harder to read."""

GIVEN, UNKNOWN = PRICES = ("given", "unknown")
"""Whether a policy knows what its instances cost: under `open` it then opens the cheapest first."""

USUAL_OPENS_FOR = str(DEFAULT_POLICY.opens_for)
OPENS_FOR = ("1", "4", "8", "16", USUAL_OPENS_FOR)
"""How many tasks an opened instance is chosen for; the last is taken for trials of before that said
nothing of it.
"""

Objective = Literal["fill", "open"]
Gear = Literal["auto", "fast"]


class Trial(Protocol):
    """The part of Optuna's Trial that a choice is drawn from."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A number between the two."""

    def suggest_categorical(self, name: str, choices: tuple[str, ...]) -> str:
        """One of these."""


@dataclass(frozen=True)
class Choice:
    """One point of the search space: weights of the dimensions and of the score's terms."""

    weights: Mapping[str, float]
    terms: Mapping[str, float]
    objective: Objective
    gear: Gear
    opens_for: int = DEFAULT_POLICY.opens_for
    prices: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def drawn(cls, trial: Trial, prices: Mapping[str, float]) -> "Choice":
        """What the sampler suggests next; it may use these prices of instance types or not."""
        return cls(
            {
                name: round(
                    trial.suggest_float(f"weight_{name}", LEAST_WEIGHT, MOST_WEIGHT, log=True), 3
                )
                for name in WEIGHTS
            },
            {name: round(trial.suggest_float(f"term_{name}", 0.0, MOST_TERM), 3) for name in TERMS},
            cast("Objective", trial.suggest_categorical("objective", get_args(Objective))),
            cast("Gear", trial.suggest_categorical("gear", get_args(Gear))),
            int(trial.suggest_categorical("opens_for", OPENS_FOR)),
            prices if trial.suggest_categorical("prices", PRICES) == GIVEN else {},
        )

    @property
    def parameters(self) -> dict[str, float | str]:
        """The choice as the sampler names it."""
        return {
            **{f"weight_{name}": value for name, value in self.weights.items()},
            **{f"term_{name}": value for name, value in self.terms.items()},
            "objective": self.objective,
            "gear": self.gear,
            "opens_for": str(self.opens_for),
            "prices": GIVEN if self.prices else UNKNOWN,
        }

    def parts(self) -> Iterator[tuple[str, "Choice"]]:
        """Each part that makes it differ from the default, with the same choice without it."""
        if self.objective == "open":
            yield "objective = open", replace(self, objective="fill")
        if self.objective == "open" and self.opens_for != DEFAULT_POLICY.opens_for:
            usual = DEFAULT_POLICY.opens_for
            yield f"opens_for = {self.opens_for}", replace(self, opens_for=usual)
        if self.searches:
            yield "the thorough gear", replace(self, gear="fast")
        for name, value in self._used().items():
            others = {each: 0.0 if each == name else weight for each, weight in self.terms.items()}
            if any(weight >= NEGLIGIBLE for weight in others.values()):
                yield f"score term {name} ({value:g})", replace(self, terms=others)
        if self.heeds_prices:
            yield "prices of the instance types", replace(self, prices={})
        if self.weights != USUAL_WEIGHTS:
            yield "weights of the dimensions", replace(self, weights=dict(USUAL_WEIGHTS))

    @property
    def gear_counts(self) -> bool:
        """Whether the thorough gear may choose at all: not against other wishes of the score."""
        return Policy(terms=tuple(_term(*each) for each in self._used().items())).packs

    @property
    def searches(self) -> bool:
        """Whether the thorough gear takes part."""
        return self.gear == "auto" and self.gear_counts

    @property
    def heeds_prices(self) -> bool:
        """Whether it has prices and somebody looks at them."""
        looks = self.objective == "open" or "open_cost" in self._used() or self.searches
        return bool(self.prices) and looks

    def _used(self) -> dict[str, float]:
        return {name: value for name, value in self.terms.items() if value >= NEGLIGIBLE}

    def text(self, about: str) -> str:
        """The policy file, with what has an effect."""
        weights = ", ".join(f"{name} = {value:g}" for name, value in self.weights.items())
        used = self._used() or {"best_fit": 1.0}
        lines = (
            f"[policies.{NAME}]",
            f'about = """\n{_quoted(about)[1:-1]}\n"""',
            f"weights = {{ {weights} }}",
            f'objective = "{self.objective}"',
            *([f"opens_for = {self.opens_for}"] if self.objective == "open" else []),
            *([f'gear = "{self.gear}"'] if self.gear_counts else []),
            "",
            f"[policies.{NAME}.score]",
            *(f"{_written(name)} = {value:g}" for name, value in used.items()),
            *self._price_lines(),
            "",
            "[use]",
            f'default = "{NAME}"',
        )
        return "\n".join(lines) + "\n"

    def _price_lines(self) -> Iterator[str]:
        if self.heeds_prices:
            yield from ("", f"[policies.{NAME}.prices.of]")
            yield from (f"{_quoted(name)} = {price:g}" for name, price in self.prices.items())

    def book(self) -> PolicyBook:
        """The policies of that file."""
        return book_of(self.text("A trial of a search."), "a trial")


DEFAULT_CHOICE = Choice(
    dict(USUAL_WEIGHTS),
    {name: 1.0 if name == "best_fit" else 0.0 for name in TERMS},
    "open",
    "auto",
)
"""The default policy as a point of the space."""


def starts(prices: Mapping[str, float]) -> tuple[Choice, ...]:
    """Where every search begins: the default, plain best fit, the gallery's pack-cheaply with
    prices, and the default for many tasks to come.
    """
    packed = {name: float(name in ("best_fit", "consolidate")) for name in TERMS}
    return (
        DEFAULT_CHOICE,
        replace(DEFAULT_CHOICE, objective="fill"),
        replace(DEFAULT_CHOICE, terms=packed, prices=dict(prices)),
        *(replace(DEFAULT_CHOICE, opens_for=tasks) for tasks in (4, 8)),
    )


def _term(name: str, weight: float) -> Term:
    return Term(name, weight, "instanceId" if name == "spread" else "")


def _written(name: str) -> str:
    return '"spread(instanceId)"' if name == "spread" else name


def _quoted(text: str) -> str:
    """A basic string of TOML, which escapes as JSON does."""
    return json.dumps(text, ensure_ascii=False)
