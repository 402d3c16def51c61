"""Placement constraints in ECS's own JSON → what placement must respect, since StartTask does not.

Those of the task definition and those of the job hold together, as in RunTask.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ecs_placement.errors import QueryError
from ecs_placement.query import parse
from ecs_scheduler.errors import InvalidReservation

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ecs_placement.request import Shape
    from ecs_queue.stored import AnyJob

MOST_CONSTRAINTS = 10
"""Of task definition and request together (RunTask, API reference)."""


def constrained(shape: Shape, definition: Mapping[str, Any], job: AnyJob) -> Shape:
    """The shape with its placement constraints; the task group is part of it only where it counts,
    so that other jobs share lanes whatever their groups. Raises InvalidReservation.
    """
    constraints = [
        *definition.get("placementConstraints", ()),
        *(each.model_dump(by_alias=True) for each in job.placement_constraints),
    ]
    if not constraints:
        return shape
    if len(constraints) > MOST_CONSTRAINTS:
        raise InvalidReservation(
            f"{len(constraints)} placement constraints with those of the task definition; "
            f"ECS allows {MOST_CONSTRAINTS}"
        )
    expressions = tuple(each["expression"] for each in constraints if each["type"] == "memberOf")
    distinct = any(each["type"] == "distinctInstance" for each in constraints)
    watches_groups = any(_watches_groups(expression) for expression in expressions)
    group = job.group or f"family:{definition['family']}"
    return replace(
        shape,
        member_of=expressions,
        distinct_instance=distinct,
        group=group if distinct or watches_groups else None,
    )


def _watches_groups(expression: str) -> bool:
    try:
        return parse(expression).watches_groups
    except QueryError as error:
        raise InvalidReservation(f"placement constraint {expression!r}: {error}") from error
