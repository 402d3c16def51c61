"""The window: lanes of equal shape, none of which can hide another."""

from collections.abc import Callable, Iterable

from ecs_placement.request import Shape
from ecs_queue.job import JobId
from ecs_scheduler.passes.window import NOTE_EVERY_S, Held, Lane, Window, last_of

Hold = Callable[..., Held]

BIG, SMALL = Shape(cpu_units=9), Shape(cpu_units=1)


def window(*jobs: Held, size: int = 100) -> Window:
    filled = Window(size)
    for each in jobs:
        filled.add(each)
    return filled


def lane_of(shape: Shape) -> Lane:
    return Lane(shape, "default", "batch")


def ids(held_jobs: Iterable[Held]) -> list[str]:
    return [each.job_id for each in held_jobs]


def test_a_pass_sees_the_head_of_every_lane(held: Hold) -> None:
    """Fifty big jobs in front don't keep the one small job out of a pass of two per lane."""
    many = [held(f"big-{order}", order=order, shape=BIG) for order in range(50)]
    requests = window(*many, held("small", order=99, shape=SMALL)).requests(2)
    assert sorted(each.id for each in requests) == ["big-0", "big-1", "small"]


def test_jobs_that_all_differ_are_shown_only_as_far_as_calls_go(held: Hold) -> None:
    """Each takes a call of its own, so the third and later ones are not worth placing; equal jobs
    share calls, and all of them are shown.
    """
    differ = window(*(held(f"d{n}", order=n, tags={"n": str(n)}) for n in range(9)))
    equal = window(*(held(f"e{n}", order=n) for n in range(9)))
    assert [each.id for each in differ.requests(9, signatures=2)] == ["d0", "d1"]
    assert len(equal.requests(9, signatures=2)) == 9
    assert ids(differ.by_share(9, signatures=2)["default"]) == ["d0", "d1"]


def test_lanes_are_in_order_of_priority_then_submission(held: Hold) -> None:
    """Priority 5 first; then 1 before 2."""
    filled = window(held("b", order=2), held("a", order=1), held("c", order=3, priority=5))
    assert ids(filled.lane(lane_of(SMALL))) == ["c", "a", "b"]


def test_a_job_claimed_anew_replaces_its_former_self(held: Hold) -> None:
    """It was refused, went back, and came again."""
    filled = window(held("a"), held("a"))
    assert (len(filled), len(filled.requests(9))) == (1, 1)


def test_the_fullest_lanes_are_those_that_wait(held: Hold) -> None:
    """Jobs that no pass has looked at yet may have room at once, so nothing is forecast of them."""
    filled = window(*(held(f"new-{n}", order=n, shape=BIG) for n in range(9)), held("s", order=9))
    filled.waits(lane_of(SMALL), "RESOURCE:CPU", "no room")
    assert [ids(lane) for lane in filled.fullest(5)] == [["s"]]


def test_removed_jobs_are_gone_from_their_lane(held: Hold) -> None:
    """A lane without jobs asks placement nothing."""
    filled = window(held("a"))
    filled.remove([JobId("a"), JobId("never-there")])
    assert (len(filled), filled.requests(9), filled.lane(lane_of(SMALL))) == (0, [], [])


def test_claims_that_the_queue_no_longer_knows_are_dropped(held: Hold) -> None:
    """b was cancelled while it waited here."""
    filled = window(held("a"), held("b", order=1))
    filled.keep_only({JobId("a")})
    assert ids(filled.lane(lane_of(SMALL))) == ["a"]


def test_surplus_is_the_tail_of_the_longest_lane_and_leaves_its_head(held: Hold) -> None:
    """Of three big and one small, two can go: the last two big ones."""
    jobs = [held(f"big-{order}", order=order, shape=BIG) for order in range(3)]
    filled = window(*jobs, held("small", shape=SMALL))
    assert ids(filled.surplus(2)) == ["big-1", "big-2"]
    assert ids(filled.surplus(100)) == ["big-1", "big-2"]


def test_reasons_are_written_down_when_they_change_and_not_too_often(held: Hold) -> None:
    """Once at 0 s; a new reason only NOTE_EVERY_S later."""
    filled = window(held("a"))
    filled.waits(lane_of(SMALL), "RESOURCE:CPU", "no room")
    [due] = filled.unnoted(0.0, most=10)
    due.noted_reason, due.noted_at = due.reason, 0.0
    assert filled.unnoted(NOTE_EVERY_S, most=10) == []
    filled.waits(lane_of(SMALL), "RESOURCE:CPU", "still no room")
    assert filled.unnoted(NOTE_EVERY_S - 1, most=10) == []
    assert ids(filled.unnoted(NOTE_EVERY_S, most=10)) == ["a"]


def test_waiting_counts_by_short_reason(held: Hold) -> None:
    """Two lanes, two reasons."""
    filled = window(held("a"), held("b", order=1), held("c", shape=BIG))
    filled.waits(lane_of(SMALL), "RESOURCE:CPU", "…")
    filled.waits(lane_of(BIG), "RESOURCE:GPU", "…")
    assert filled.waiting() == {"RESOURCE:CPU": 2, "RESOURCE:GPU": 1}


def test_jobs_ahead_are_counted_over_all_lanes_and_within_one(held: Hold) -> None:
    """Before the last small one come both big ones, the urgent small one and the first."""
    last = held("last", order=9)
    filled = window(
        held("big-0", order=0, shape=BIG),
        held("big-1", order=1, shape=BIG),
        held("urgent", order=8, priority=5),
        held("first", order=2),
        last,
        held("later", order=10, shape=BIG),
    )
    assert filled.ahead(last.rank) == 4
    assert filled.ahead_in_lane(last.rank, last.lane) == 2
    assert (filled.ahead(last_of(5)), filled.ahead(last_of(0)), filled.ahead(last_of(9))) == (
        1,
        6,
        0,
    )


def test_a_lane_is_found_by_what_its_jobs_have_in_common(held: Hold) -> None:
    """A lane made for the purpose is the same as that of the jobs, which share one."""
    one, two = held("one"), held("two", order=1)
    filled = window(one, two)
    assert one.lane is two.lane
    assert filled.lane(lane_of(SMALL)) == [one, two]
    assert lane_of(SMALL) != lane_of(BIG)
