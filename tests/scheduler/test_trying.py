"""A candidate on trial: when it is rolled back, when not, and what stays so."""

import pytest

from ecs_scheduler.policies.trial import Limits, Trial
from ecs_scheduler.policies.trying import Trying

LIMITS = Limits(wait_ratio=2, wait_s=10, refused_share=0.2, for_s=60, least_jobs=5)
TRIAL = Trial("new", "default", 50, LIMITS)


def trying(trial: Trial = TRIAL) -> Trying:
    under_way = Trying()
    under_way.follow(trial, "1")
    under_way.remember("")
    return under_way


def play(
    under_way: Trying, seconds: range, new_s: float, *, refused: bool = False, jobs: int = 1
) -> None:
    """Each second some jobs of both start: the live policy's after 5 s, the candidate's later."""
    for now in seconds:
        for _ in range(jobs):
            under_way.launched("default@1", now, 5.0, refused=False)
            under_way.launched("new@2", now, new_s, refused=refused)
        under_way.look(now, ())


def rolled_back(under_way: Trying) -> str:
    status = under_way.status()
    assert status is not None
    return status.rolled_back


def test_longer_waits_roll_back_once_they_have_lasted() -> None:
    """Five jobs of each are seen after 4 s, and a minute later it is over."""
    under_way = trying()
    play(under_way, range(64), 40.0)
    assert rolled_back(under_way) == ""
    play(under_way, range(64, 66), 40.0)
    assert rolled_back(under_way) == "its jobs wait 40 s, the others 5 s"
    assert not any(under_way.takes(f"j{n}", "default") for n in range(100))


@pytest.mark.parametrize(
    ("new_s", "jobs"),
    [(9.0, 1), (14.0, 1), (40.0, 0)],
    ids=["less than twice", "less than 10 s more", "no jobs to judge by"],
)
def test_what_does_not_meet_the_conditions_goes_on(new_s: float, jobs: int) -> None:
    under_way = trying()
    play(under_way, range(600), new_s, jobs=jobs)
    assert rolled_back(under_way) == ""


def test_a_good_look_in_between_starts_the_minute_over() -> None:
    """Bad for 12 s, until 42 s by the mean, and so every two minutes: never a whole minute."""
    under_way = trying()
    for now in range(0, 600, 120):
        play(under_way, range(now, now + 12), 40.0)
        play(under_way, range(now + 12, now + 120), 5.0)
    assert rolled_back(under_way) == ""


def test_refusals_roll_back_too() -> None:
    under_way = trying()
    for now in range(80):
        under_way.launched("default@1", now, 5.0, refused=False)
        under_way.launched("new@2", now, 5.0, refused=now % 3 == 0)
        under_way.look(now, ())
    assert rolled_back(under_way).endswith("of its launches are refused, 0% of the others")


def test_a_candidate_under_which_nothing_starts_is_not_taken_for_a_fast_one() -> None:
    """Its jobs count with what they have waited so far."""
    under_way = trying()
    for now in range(200):
        under_way.launched("default@1", now, 1.0, refused=False)
        under_way.look(now, [("new@2", float(now))] * 6)
    assert "its jobs wait" in rolled_back(under_way)


def test_it_stays_rolled_back_until_the_file_has_another_version() -> None:
    under_way = trying()
    play(under_way, range(80), 40.0)
    play(under_way, range(80, 300), 1.0)
    under_way.follow(TRIAL, "1")
    assert rolled_back(under_way)
    under_way.follow(TRIAL, "2")
    assert rolled_back(under_way) == ""
    under_way.remember("")
    assert any(under_way.takes(f"j{n}", "default") for n in range(100))


def test_only_jobs_of_the_policy_it_is_tried_on_are_taken() -> None:
    under_way = trying(Trial("new", "default", 100, LIMITS))
    assert under_way.takes("j", "default")
    assert not under_way.takes("j", "bulk")


def test_nobody_is_taken_before_it_is_known_whether_it_was_rolled_back_before() -> None:
    under_way = Trying()
    under_way.follow(Trial("new", "default", 100, LIMITS), "1")
    assert not under_way.takes("j", "default")
    under_way.remember("its jobs waited")
    assert rolled_back(under_way) == "its jobs waited"
    assert not under_way.takes("j", "default")
