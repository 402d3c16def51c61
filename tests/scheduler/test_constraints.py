"""Placement constraints: those of the task definition and those of the job hold together."""

import json
from typing import Any

import pytest

from ecs_placement.request import Shape
from ecs_queue.job import Job
from ecs_scheduler.ecs.constraints import constrained
from ecs_scheduler.errors import InvalidReservation

SHAPE = Shape(cpu_units=1)
ZONE, TYPE = "attribute:ecs.availability-zone == us-east-1a", "attribute:ecs.instance-type =~ c5.*"


def job(*constraints: dict[str, str], **members: Any) -> Job:
    document = {"id": "a", "task_definition": "batch", "placement_constraints": constraints}
    return Job.model_validate_json(json.dumps(document | members))


def member_of(expression: str) -> dict[str, str]:
    return {"type": "memberOf", "expression": expression}


def definition(*constraints: dict[str, str]) -> dict[str, Any]:
    return {"family": "batch", "placementConstraints": constraints}


def test_without_constraints_the_shape_stays_what_it_was() -> None:
    """The task group is left out, so that jobs of all groups share a lane."""
    assert constrained(SHAPE, definition(), job(group="g")) is SHAPE


def test_both_sources_hold_together() -> None:
    """First the task definition's, then the job's."""
    shape = constrained(SHAPE, definition(member_of(ZONE)), job(member_of(TYPE)))
    assert (shape.member_of, shape.group) == ((ZONE, TYPE), None)


def test_distinct_instance_needs_the_group() -> None:
    """The job's own, else the family's as ECS makes it up."""
    distinct = {"type": "distinctInstance"}
    assert constrained(SHAPE, definition(), job(distinct, group="g")).group == "g"
    shape = constrained(SHAPE, definition(), job(distinct))
    assert (shape.distinct_instance, shape.group) == (True, "family:batch")


def test_an_expression_about_groups_needs_the_group_too() -> None:
    """Anti-affinity with one's own group only works if placement knows it."""
    shape = constrained(SHAPE, definition(), job(member_of("not(task:group == db)"), group="web"))
    assert shape.group == "web"


def test_a_broken_expression_is_refused_with_its_place() -> None:
    """The job fails with what was expected where."""
    with pytest.raises(InvalidReservation, match=r"placement constraint 'attribute:x =='.*column"):
        constrained(SHAPE, definition(), job(member_of("attribute:x ==")))


def test_eleven_constraints_are_one_too_many() -> None:
    """Six of the task definition and five of the job."""
    six = [member_of(ZONE)] * 6
    with pytest.raises(InvalidReservation, match="11 placement constraints"):
        constrained(SHAPE, definition(*six), job(*six[:5]))
