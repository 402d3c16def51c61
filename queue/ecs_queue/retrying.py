"""The retry part of a job, and its arithmetic: which rule an exit meets, how long to wait.

Rules are AWS Batch's `evaluateOnExit`, spelled as there (Batch API reference, EvaluateOnExit).
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AliasChoices, BeforeValidator, Field, WithJsonSchema

from ecs_queue.wire import EcsModel, OwnModel

MAX_RULES = 5
INFRASTRUCTURE_BACKOFF_S = 1
INFRASTRUCTURE_BACKOFF_MAX_S = 60


def _upper(value: object) -> object:
    """Batch takes the action in any case."""
    return value.upper() if isinstance(value, str) else value


REASON_PATTERN, EXIT_CODE_PATTERN = r"^[^*\n]*\*?$", r"^[0-9]*\*?$"
ReasonGlob = Annotated[str, Field(max_length=512, pattern=REASON_PATTERN)]
ExitCodeGlob = Annotated[str, Field(max_length=512, pattern=EXIT_CODE_PATTERN)]
Action = Annotated[
    Literal["RETRY", "EXIT"],
    BeforeValidator(_upper),
    WithJsonSchema({"type": "string", "pattern": "^([Rr][Ee][Tt][Rr][Yy]|[Ee][Xx][Ii][Tt])$"}),
]


@dataclass(frozen=True, slots=True)
class Exit:
    """How a task failed, as rules see it: `reason` is the container's, `status_reason` the task's.

    `exit_code` is None when no container came to an exit.
    """

    exit_code: int | None
    reason: str
    status_reason: str


class ExitRule(EcsModel):
    """One of Batch's rules: when all of its conditions hold, its action is taken.

    A condition is the whole text, or its beginning and one `*`. A rule without conditions holds
    always.
    """

    on_status_reason: ReasonGlob | None = None
    on_reason: ReasonGlob | None = None
    on_exit_code: ExitCodeGlob | None = None
    action: Action

    def holds(self, exit_: Exit) -> bool:
        """Whether every condition is met."""
        code = None if exit_.exit_code is None else str(exit_.exit_code)
        return all(
            pattern is None or (text is not None and _matches(pattern, text))
            for pattern, text in (
                (self.on_status_reason, exit_.status_reason),
                (self.on_reason, exit_.reason),
                (self.on_exit_code, code),
            )
        )


class Retry(OwnModel):
    """How often the task may be run (the first run counts), after which exits, and how soon.

    Without a rule that holds, a failed task is retried, as in Batch.
    """

    attempts: int = Field(default=1, ge=1, le=10)
    evaluate_on_exit: tuple[ExitRule, ...] = Field(
        default=(),
        max_length=MAX_RULES,
        validation_alias=AliasChoices("evaluate_on_exit", "evaluateOnExit"),
    )
    backoff_s: int = Field(default=1, ge=0, le=3600)
    backoff_max_s: int = Field(default=300, ge=0, le=86_400)

    def first_rule(self, exit_: Exit) -> int | None:
        """The place of the first rule that holds."""
        places = (place for place, rule in enumerate(self.evaluate_on_exit) if rule.holds(exit_))
        return next(places, None)


def backoff_ms(first_s: int, most_s: int, failures: int, jitter: float) -> int:
    """The wait after the `failures`-th failure: doubled each time, at most `most_s`, and of that
    between half (`jitter` 0) and all (`jitter` 1).
    """
    if failures < 1 or not 0 <= jitter <= 1:
        raise ValueError(f"failures {failures} and jitter {jitter}: at least 1, and within 0 to 1")
    full_s = min(first_s << min(failures - 1, 30), most_s)
    return round(full_s * 1000 * (0.5 + jitter / 2))


def _matches(pattern: str, text: str) -> bool:
    if pattern.endswith("*"):
        return text.startswith(pattern[:-1])
    return text == pattern
