"""Where RunTask may look for room, and what a launch is answered: tasks and failures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ecs_scheduler.ecs.tasks import Task, parse_task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from types_aiobotocore_ecs.type_defs import RunTaskResponseTypeDef, StartTaskResponseTypeDef


@dataclass(frozen=True, slots=True)
class LaunchFailure:
    """One entry of `failures[]`; for StartTask `arn` is the container instance."""

    arn: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class LaunchAnswer:
    """What StartTask or RunTask answered; a call may start some tasks and fail others."""

    tasks: tuple[Task, ...]
    failures: tuple[LaunchFailure, ...]


@dataclass(frozen=True, slots=True)
class RunTarget:
    """Where RunTask should look for room: a capacity provider strategy, or a launch type, or
    neither (ECS's default).
    """

    capacity_provider_strategy: tuple[Mapping[str, Any], ...] = ()
    launch_type: str | None = None

    def parameters(self) -> dict[str, Any]:
        """The members of a RunTask request that say where."""
        if self.capacity_provider_strategy:
            strategy = [dict(item) for item in self.capacity_provider_strategy]
            return {"capacityProviderStrategy": strategy}
        return {} if self.launch_type is None else {"launchType": self.launch_type}


def launch_answer(answer: StartTaskResponseTypeDef | RunTaskResponseTypeDef) -> LaunchAnswer:
    """The answer as ECS gave it. Raises KeyError, among others, for what is none."""
    return LaunchAnswer(
        tasks=tuple(parse_task(raw) for raw in answer["tasks"]),
        failures=tuple(
            LaunchFailure(raw.get("arn", ""), raw.get("reason", ""), raw.get("detail", ""))
            for raw in answer["failures"]
        ),
    )
