"""What ended lately is known, and a service that runs for months keeps no more than that."""

from ecs_queue.job import JobId
from ecs_queue.states import TaskArn
from ecs_scheduler.launching.lately import Lately


def test_only_what_ended_lately_is_kept() -> None:
    """One task ends each second; of an hour the last five minutes stay, though nobody asks."""
    lately = Lately(300.0)
    for second in range(3600):
        lately.add(TaskArn(f"task-{second}"), JobId(f"job-{second}"), float(second))
    assert len(lately) == 301
    assert lately.jobs(3599.0)[TaskArn("task-3299")] == "job-3299"
    assert lately.jobs(3599.5).keys() == {f"task-{second}" for second in range(3300, 3600)}
    assert lately.jobs(10_000.0) == {}


def test_a_task_that_ends_again_counts_from_then() -> None:
    """Whatever told it twice, the later time holds."""
    lately = Lately(10.0)
    lately.add(TaskArn("a"), JobId("job-a"), 0.0)
    lately.add(TaskArn("b"), JobId("job-b"), 5.0)
    lately.add(TaskArn("a"), JobId("job-a"), 8.0)
    assert lately.jobs(16.0) == {"a": "job-a"}
