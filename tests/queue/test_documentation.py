"""docs/jobs.md says what the code does."""

import re
from pathlib import Path

from ecs_queue.document import parse_job
from ecs_queue.gang import Gang
from ecs_queue.job import Dependency, Fallback, Job
from ecs_queue.retrying import Retry
from ecs_queue.timing import MaxWait

PAGE = (Path(__file__).parents[2] / "docs" / "jobs.md").read_text(encoding="utf-8")


def test_the_example_is_a_job() -> None:
    """The document at the top, and every other one, can be submitted as it stands."""
    example, *others = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert parse_job(example).retry.attempts == 3
    for each in others:
        parse_job(each, default_id="made-up")


def test_every_field_is_in_the_table() -> None:
    """No field of a job is left out, and none is made up."""
    listed = re.findall(r"^\| `([a-z_.]+)` \|.*\|.*\|.*\|$", PAGE, re.MULTILINE)
    plain = set(Job.model_fields) - {"retry", "fallback", "depends_on", "max_wait", "gang"}
    plain -= {"array_index", "payload_digest"}
    nested = {f"retry.{name}" for name in Retry.model_fields}
    nested |= {f"fallback.{name}" for name in Fallback.model_fields}
    nested |= {f"depends_on.{name}" for name in Dependency.model_fields}
    nested |= {f"max_wait.{name}" for name in MaxWait.model_fields}
    nested |= {f"gang.{name}" for name in Gang.model_fields}
    assert sorted(listed) == sorted(plain | nested)


def test_what_the_shell_example_comes_to() -> None:
    """The XADD of section 2 is admitted."""
    (document,) = re.findall(r"job '(.*)'\n```\n\nPython", PAGE)
    assert parse_job(document, default_id="1-0").task_definition == "render:12"
