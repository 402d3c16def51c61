"""What a policy file says, as frozen values: named policies, and which jobs are under which."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, Literal

from ecs_placement.policy import BEST_FIT, DEFAULT_POLICY, Policy
from ecs_placement.query import parse
from ecs_queue.job import Fallback
from ecs_queue.stored import AnyJob
from ecs_scheduler.policies.trial import Trial
from ecs_scheduler.policies.windows import ALWAYS, Windows

Gear = Literal["auto", "fast", "thorough"]
DEFAULT_NAME = "default"
VERSION_CHARACTERS = 12


@dataclass(frozen=True)  # no slots: the version is worked out once
class NamedPolicy:
    """One policy of the file: how instances are chosen, and what goes for its jobs besides.

    `filters` are expressions of the cluster query language that hold for every instance its jobs
    may use. `budget_s` is what the thorough gear may spend on a pass; None: the service's own.
    """

    name: str
    placement: Policy = DEFAULT_POLICY
    filters: tuple[str, ...] = ()
    windows: Windows = ALWAYS
    fallback: Fallback | None = None
    gear: Gear = "auto"
    budget_s: float | None = None
    about: str = ""

    @property
    def wants_images(self) -> bool:
        """Whether what a task runs makes a difference to its place."""
        return any(term.name == "warm" for term in self.placement.terms)

    @property
    def wants_groups(self) -> bool:
        """Whether what else of a task's group runs makes a difference to its place."""
        placement = self.placement
        used = {each.name for each in placement.terms} | {e.type for e in placement.strategies}
        return bool(placement.limits) or "spread" in used

    @cached_property
    def bound_by_groups(self) -> bool:
        """Whether its jobs may not run beside certain tasks of some group."""
        return bool(self.placement.limits) or any(parse(e).watches_groups for e in self.filters)

    def closed(self, now_ms: int) -> str:
        """Why its jobs do not start outside its windows, and when the next one opens."""
        opens_ms = self.windows.opens_at_ms(now_ms)
        opens = ""
        if opens_ms is not None:
            opens = datetime.fromtimestamp(opens_ms / 1000, UTC).strftime("; next at %FT%H:%MZ")
        return f"policy {self.name} starts jobs only {self.windows}{opens}"

    @cached_property
    def version(self) -> str:
        """A hash of everything that makes a difference: equal versions decide equally. What is as
        in plain best fit is left out, so that a later field changes no version.
        """
        said = _without(self.content, NamedPolicy(DEFAULT_NAME, BEST_FIT).content)
        content = json.dumps(said, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()[:VERSION_CHARACTERS]

    @cached_property
    def label(self) -> str:
        """Name and version, as decisions record them."""
        return f"{self.name}@{self.version}"

    @property
    def content(self) -> dict[str, Any]:
        """Everything but name and description, as JSON values."""
        fallback = None if self.fallback is None else self.fallback.model_dump(mode="json")
        return {
            "placement": asdict(self.placement),
            "filters": self.filters,
            "windows": asdict(self.windows),
            "fallback": fallback,
            "gear": self.gear,
            "budget_s": self.budget_s,
        }


@dataclass(frozen=True, slots=True)
class Chosen:
    """The policy of a job; `why_not` tells why it is not the one the job asked for."""

    policy: NamedPolicy
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class PolicyBook:
    """All policies and their use. `shares` and `queues` are (name or name*, policy), in order.

    A job's own choice comes first, then its share's, then its queue's, then `default`.
    """

    policies: tuple[NamedPolicy, ...] = (NamedPolicy(DEFAULT_NAME),)
    default: str = DEFAULT_NAME
    shares: tuple[tuple[str, str], ...] = ()
    queues: tuple[tuple[str, str], ...] = ()
    trial: Trial | None = None
    source: str = field(default="built in", compare=False)

    def get(self, name: str) -> NamedPolicy | None:
        """The policy of this name."""
        return next((each for each in self.policies if each.name == name), None)

    def named(self, name: str) -> NamedPolicy:
        """The policy of a name that is known to be here."""
        policy = self.get(name)
        assert policy is not None
        return policy

    def choose(self, job: AnyJob, queue: str) -> Chosen:
        """The policy for one job; a name that is not here falls back to the job's share's or
        queue's policy, with the reason.
        """
        usual = self.named(
            _first(self.shares, job.share) or _first(self.queues, queue) or self.default
        )
        if job.policy is None:
            return Chosen(usual)
        own = self.get(job.policy)
        if own is not None:
            return Chosen(own)
        near = get_close_matches(job.policy, [each.name for each in self.policies], 1, 0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        return Chosen(usual, f"policy {job.policy!r} is not in {self.source}{hint}")

    @property
    def version(self) -> str:
        """A hash of all policies and of their use."""
        versions = sorted(each.label for each in self.policies)
        whole = repr((versions, self.default, self.shares, self.queues, self.trial))
        return hashlib.sha256(whole.encode()).hexdigest()[:VERSION_CHARACTERS]


def of_settings(placement: Policy) -> PolicyBook:
    """The book of a service without a file: one policy, of the settings."""
    return PolicyBook((NamedPolicy(DEFAULT_NAME, placement),))


def _without(content: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without(value, usual[key]) if isinstance(value, dict) and usual.get(key) else value
        for key, value in content.items()
        if key not in usual or value != usual[key]
    }


def _first(rules: tuple[tuple[str, str], ...], name: str) -> str | None:
    """The policy of the first rule that fits: the exact name, or a pattern that ends in `*`."""
    exact = next((policy for pattern, policy in rules if pattern == name), None)
    return exact or next(
        (
            policy
            for pattern, policy in rules
            if pattern.endswith("*") and fnmatchcase(name, pattern)
        ),
        None,
    )
