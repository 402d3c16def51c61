"""When a demo stands still: said once, and given up in the end."""

from ecs_queue.job import JobId
from ecs_queue.states import JobState
from ecs_scheduler.demo.account import Told
from ecs_scheduler.demo.stillness import GIVE_UP_AFTER_S, SAY_AFTER_S, Stillness

WAITING, RUNNING = {JobState.RUNNABLE: 1}, {JobState.RUNNING: 1}


def test_standing_still_is_said_once_each_time() -> None:
    """After a while without any change, and anew after the next change."""
    still = Stillness(last_due_s=0, longest_run_s=1)
    still.look(5, WAITING, 0)
    assert not still.worth_saying(5 + SAY_AFTER_S - 1)
    assert still.worth_saying(5 + SAY_AFTER_S)
    assert not still.worth_saying(5 + SAY_AFTER_S + 1)
    still.look(50, RUNNING, 1)
    assert not still.worth_saying(50)
    assert still.worth_saying(50 + SAY_AFTER_S)


def test_hope_ends_a_minute_after_the_last_expected_end() -> None:
    """Counted from the last change, a launch too, or from when the last job is due."""
    still = Stillness(last_due_s=100, longest_run_s=30)
    still.look(1, RUNNING, 1)
    assert not still.hopeless(100 + 30 + GIVE_UP_AFTER_S)
    assert still.hopeless(101 + 30 + GIVE_UP_AFTER_S)
    still.look(120, RUNNING, 2)
    assert not still.hopeless(120 + 30 + GIVE_UP_AFTER_S)
    assert still.hopeless(121 + 30 + GIVE_UP_AFTER_S)


def test_what_is_said_names_jobs_and_reasons() -> None:
    """The first few, and how many more."""
    jobs = [
        Told(JobId(f"job-{n}"), JobState.RUNNABLE, "RESOURCE:GPU", (), 0, None, None)
        for n in range(5)
    ]
    still = Stillness(last_due_s=0, longest_run_s=1)
    still.look(10, WAITING, 0)
    assert still.told(35, jobs) == (
        "nothing has changed for 25 s: job-0 is RUNNABLE: RESOURCE:GPU; job-1 is RUNNABLE: "
        "RESOURCE:GPU; job-2 is RUNNABLE: RESOURCE:GPU; and 2 more"
    )
