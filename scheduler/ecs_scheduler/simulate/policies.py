"""Which policies to simulate: `default`, ECS's own chains as `ecs:binpack(memory)`, or a file."""

import re
from pathlib import Path

from ecs_placement.errors import InvalidPolicy
from ecs_placement.policy import DEFAULT_POLICY, Policy, Strategy
from ecs_scheduler.cli.failures import InvalidInput
from ecs_scheduler.errors import InvalidPolicyFile
from ecs_scheduler.policies.book import DEFAULT_NAME, NamedPolicy, PolicyBook
from ecs_scheduler.policies.reading import read_book

ZONE = "attribute:ecs.availability-zone"

_PRESETS = {
    "ecs:spread": (Strategy("spread", ZONE), Strategy("spread", "instanceId")),
    "ecs:binpack": (Strategy("binpack", "memory"),),
    "ecs:random": (Strategy("random"),),
}
_STEP = re.compile(r"(?P<type>[a-zA-Z]+)(\((?P<field>[^()]*)\))?")


def parse_policy(text: str) -> PolicyBook:
    """The policies that a --policy names. Raises InvalidInput, whose message quotes it."""
    if Path(text).suffix == ".toml":
        return _from_file(text)
    if text == "default":
        return _alone(DEFAULT_POLICY)
    if text in _PRESETS:
        return _alone(Policy(strategies=_PRESETS[text]))
    if text.startswith("ecs:"):
        return _alone(_chain(text))
    raise InvalidInput(
        f"--policy {text}: expected a policy file (.toml), default, ecs:spread, ecs:random, or a "
        "chain of ECS's strategies such as ecs:spread(attribute:ecs.availability-zone),binpack(cpu)"
    )


def short(text: str) -> str:
    """What a table calls it: a file by its name alone."""
    return Path(text).stem if text.endswith(".toml") else text


def _chain(text: str) -> Policy:
    steps = []
    for part in text.removeprefix("ecs:").split(","):
        match = _STEP.fullmatch(part.strip())
        if match is None:
            raise InvalidInput(
                f"--policy {text}: {part.strip()!r} is no strategy; expected TYPE(FIELD), such as "
                "binpack(memory)"
            )
        try:
            steps.append(Strategy(match["type"], match["field"] or ""))
        except InvalidPolicy as error:
            raise InvalidInput(f"--policy {text}: {error}") from error
    try:
        return Policy(strategies=tuple(steps))
    except InvalidPolicy as error:
        raise InvalidInput(f"--policy {text}: {error}") from error


def _alone(policy: Policy) -> PolicyBook:
    return PolicyBook((NamedPolicy(DEFAULT_NAME, policy),))


def _from_file(text: str) -> PolicyBook:
    try:
        return read_book(Path(text))
    except InvalidPolicyFile as error:
        raise InvalidInput(f"--policy {text}:\n{error}") from error
