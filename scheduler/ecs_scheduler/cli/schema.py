"""`ecs-scheduler schema`: the published contract."""

from ecs_queue.contract import job_schema
from ecs_scheduler.cli.failures import OK
from ecs_scheduler.cli.output import print_json


async def schema() -> int:
    """Print the JSON Schema of a job document."""
    print_json(job_schema())
    return OK
