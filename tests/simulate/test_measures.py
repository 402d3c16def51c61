"""Measures and comparisons of records made by hand, with the arithmetic beside them."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
import pytest

from ecs_scheduler.simulate.bars import Bar, picture
from ecs_scheduler.simulate.charts import time_ticks
from ecs_scheduler.simulate.compare import METRICS, Comparison, Interval, compare, interval
from ecs_scheduler.simulate.measures import measure
from ecs_scheduler.simulate.prices import Prices
from ecs_scheduler.simulate.record import Instances, Jobs, Record, Tasks
from ecs_scheduler.simulate.report import Told, as_json, html, judged
from ecs_scheduler.simulate.verdict import verdict

HOUR = 3600.0


@dataclass(frozen=True)
class Ran:
    """One job with one task: when it was submitted, launched and ended, where, and its demand."""

    submitted_s: float
    launched_s: float
    ended_s: float
    instance: int = 0
    demand: tuple[int, int, int] = (1024, 1024, 0)
    share: str = "default"


def record_of(
    ran: Sequence[Ran],
    capacity: Sequence[tuple[int, int, int]] = ((4096, 4096, 0),),
    *,
    policy: str = "hand",
    seed: int = 1,
) -> Record:
    """The record that these jobs would leave."""
    shapes = sorted({each.demand for each in ran})
    shares = sorted({each.share for each in ran})
    started = [each for each in ran if np.isfinite(each.launched_s)]
    return Record(
        policy=policy,
        seed=seed,
        jobs=Jobs(
            ids=tuple(f"j{number}" for number in range(len(ran))),
            submitted_s=np.array([each.submitted_s for each in ran]),
            launched_s=np.array([each.launched_s for each in ran]),
            ended_s=np.array([each.ended_s for each in ran]),
            succeeded=np.array([np.isfinite(each.launched_s) for each in ran]),
            share=np.array([shares.index(each.share) for each in ran]),
            share_names=tuple(shares),
            shape=np.array([shapes.index(each.demand) for each in ran]),
            shapes=np.array(shapes),
        ),
        tasks=Tasks(
            instance=np.array([each.instance for each in started], int),
            start_s=np.array([each.launched_s for each in started], float),
            stop_s=np.array([each.ended_s for each in started], float),
            demand=np.array([each.demand for each in started], np.int64).reshape(-1, 3),
        ),
        instances=Instances(
            types=tuple("m5.xlarge" for _ in capacity), capacity=np.array(capacity, np.int64)
        ),
        ended_s=max(each.ended_s for each in ran if np.isfinite(each.ended_s)),
        unfinished=0,
        calls={"StartTask": len(started)},
        throttled=0,
        wall_s=0.0,
    )


def test_waiting_is_from_submission_to_launch() -> None:
    """Waits of 0, 10 and 50 s have the mean 20 and the median 10."""
    waiting = measure(
        record_of([Ran(0, 0, 100), Ran(0, 10, 100), Ran(50, 100, 200)]), Prices(), 0.0
    ).waiting
    assert (waiting.mean_s, waiting.median_s) == (20.0, 10.0)
    assert waiting.curve[0] == 0.0
    assert waiting.curve[-1] == 50.0


def test_an_hour_of_one_instance_costs_its_price_and_idle_time_is_paid() -> None:
    """One hour of work, half an hour idle until it is given back: 1.5 h at 2 $."""
    run = measure(record_of([Ran(0, 0, HOUR)]), Prices({"m5.xlarge": 2.0}), HOUR / 2)
    assert run.instance_hours == pytest.approx(1.5)
    assert run.cost == pytest.approx(3.0)


def test_two_tasks_in_turn_on_one_instance_cost_less_than_on_two() -> None:
    """Consolidation shows in the instance-hours."""
    capacity = [(4096, 4096, 0)] * 2
    together = record_of([Ran(0, 0, HOUR), Ran(0, 0, HOUR)], capacity)
    apart = record_of([Ran(0, 0, HOUR), Ran(0, 0, HOUR, instance=1)], capacity)
    assert measure(together, Prices(), 0.0).instance_hours == pytest.approx(1.0)
    assert measure(apart, Prices(), 0.0).instance_hours == pytest.approx(2.0)


def test_utilisation_counts_all_instances_and_packing_only_open_ones() -> None:
    """1,024 of 4,096 units on one of two instances: an eighth of all, a quarter of the open one."""
    run = measure(record_of([Ran(0, 0, HOUR)], [(4096, 4096, 0)] * 2), Prices(), 0.0)
    assert run.utilisation["CPU"] == pytest.approx(1 / 8)
    assert run.packed["CPU"] == pytest.approx(1 / 4)
    assert "GPU" not in run.utilisation
    assert run.used["CPU"].mean() == pytest.approx(1 / 8)


def test_room_that_no_waiting_shape_can_use_is_stranded() -> None:
    """Free CPU beside full memory is of no use to a job that needs memory."""
    full_memory = Ran(0, 0, 100, demand=(1024, 4096, 0))
    waits = Ran(0, 100, 110, demand=(1024, 1024, 0))
    run = measure(record_of([full_memory, waits]), Prices(), 0.0)
    assert run.stranded == pytest.approx((1.0 + 0.0) / 2)


def test_nothing_is_stranded_when_nothing_waits() -> None:
    """Without a waiting job the question has no answer."""
    assert measure(record_of([Ran(0, 0, 100)]), Prices(), 0.0).stranded is None


def test_a_job_that_never_launched_has_no_wait_and_still_waits_in_the_chart() -> None:
    """It is missing from the distribution and present in the number of waiting jobs."""
    run = measure(record_of([Ran(0, 0, 100), Ran(0, math.nan, 100)]), Prices(), 0.0)
    assert np.isnan(run.waits_s[1])
    assert run.waiting.mean_s == 0.0
    assert run.waiting_jobs.mean() == pytest.approx(1.0)
    assert run.failed == 1


# Comparisons -------------------------------------------------------------------------------------


def compared(*policies: Sequence[Ran], seeds: int = 1) -> Comparison:
    records = [
        record_of(ran, [(4096, 4096, 0)] * 2, policy=f"p{number}", seed=seed)
        for number, ran in enumerate(policies)
        for seed in range(1, seeds + 1)
    ]
    jobs = {record.seed: record.jobs for record in records}
    return compare([measure(record, Prices(), 0.0) for record in records], jobs)


def test_jobs_that_wait_much_longer_or_shorter_than_with_the_first_policy_are_counted() -> None:
    """Of three jobs one waits 100 s less, one 100 s more, and one half a second more."""
    before = [Ran(0, 100, 200), Ran(0, 0, 200), Ran(0, 50, 200)]
    after = [Ran(0, 0, 200), Ran(0, 100, 200), Ran(0, 50.5, 200)]
    against = compared(before, after).policies[1].against
    assert against is not None
    assert (against.better, against.worse, against.same) == (1, 1, 1)


def test_the_share_that_loses_is_named_with_its_waits() -> None:
    """Share b waits 40 s where it waited 10 s; share a does not change."""
    before = [Ran(0, 5, 200, share="a"), Ran(0, 10, 200, share="b")]
    after = [Ran(0, 5, 200, share="a"), Ran(0, 40, 200, share="b")]
    against = compared(before, after).policies[1].against
    assert against is not None
    shares = [loser for loser in against.losers if loser.kind == "share"]
    assert [(each.name, each.before_s, each.after_s) for each in shares] == [("b", 10.0, 40.0)]


def test_the_first_policy_is_compared_with_nobody() -> None:
    """It is what the others are measured against."""
    assert compared([Ran(0, 0, 10)]).policies[0].against is None


def test_an_interval_of_one_seed_is_its_value_and_of_many_lies_around_their_mean() -> None:
    """The bootstrap is seeded, so the same values give the same interval."""
    assert interval(np.array([3.0])) == Interval(3.0, 3.0, 3.0)
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    found = interval(values)
    assert found == interval(values)
    assert 1.0 < found.low < found.mean == 3.0 < found.high < 5.0


def test_nothing_is_called_better_or_worse_by_chance() -> None:
    """A difference is judged only where the interval of it leaves out nothing at all."""
    slower = compared([Ran(0, 0, 10)], [Ran(0, 5, 10)], seeds=3)
    wait = next(metric for metric in METRICS if metric.key == "wait_mean_s")
    assert judged(wait, slower.policies[1]) == "bad"
    assert judged(wait, slower.policies[0]) == ""
    equal = compared([Ran(0, 0, 10)], [Ran(0, 0, 10)], seeds=3)
    assert judged(wait, equal.policies[1]) == ""
    few = compared([Ran(0, 0, 10)], [Ran(0, 5, 10)], seeds=2)
    assert judged(wait, few.policies[1]) == ""


def test_the_verdict_does_not_name_a_quickest_where_nobody_could_tell() -> None:
    """A hundredth of a second is no difference."""
    said = verdict(compared([Ran(0, 0, HOUR)], [Ran(0, 0.01, HOUR, instance=1)]))
    assert said[-1].startswith("Jobs wait no longer under p1 than under any other")


def test_the_verdict_names_the_cheapest_the_quickest_and_the_price_of_the_difference() -> None:
    """One policy uses one instance and makes a job wait; the other opens a second."""
    cheap = [Ran(0, 0, HOUR), Ran(0, 60, HOUR)]
    quick = [Ran(0, 0, HOUR), Ran(0, 0, HOUR, instance=1)]
    said = verdict(compared(cheap, quick))
    assert said[0].startswith("p0 costs the least")
    assert said[1] == "p1 costs the most: $0.38, +100%."
    assert said[2].startswith("p1 waits the least on average")
    assert said[3] == "Between them: p1 costs +100.0% and saves 30 s of mean wait a job."


def test_the_report_needs_no_network_and_shows_every_policy() -> None:
    """No address, no script and no style from elsewhere; names are escaped."""
    page = html(compared([Ran(0, 0, 10)], [Ran(0, 5, 10)], seeds=3), Told("two <jobs>", "cmd", 0.0))
    assert "http" not in page
    assert "<script" not in page
    assert "<link" not in page
    assert "two &lt;jobs&gt;" in page
    assert page.count("<svg") >= 7
    assert "p0" in page
    assert "p1" in page


def test_the_json_holds_what_the_table_shows_and_no_number_that_json_lacks() -> None:
    """NaN is no JSON; what has no value is null or left out."""
    comparison = compared([Ran(0, math.nan, 10)], [Ran(0, 5, 10)])
    document = json.loads(as_json(comparison, Told("w", "cmd", 0.0)), parse_constant=pytest.fail)
    assert [each["policy"] for each in document["policies"]] == ["p0", "p1"]
    assert document["policies"][0]["metrics"]["wait_mean_s"]["mean"] is None
    assert document["policies"][1]["metrics"]["wait_mean_s"]["mean"] == 5.0


@pytest.mark.parametrize(
    ("longest_s", "ticks"),
    [
        (43_275.0, [0, 2, 4, 6, 8, 10, 12]),
        (90.0, [0, 20 / 3600, 40 / 3600, 60 / 3600, 80 / 3600]),
        (30 * 86_400.0, [0, 120, 240, 360, 480, 600, 720]),
    ],
)
def test_times_on_an_axis_are_round(longest_s: float, ticks: list[float]) -> None:
    """Whole hours over half a day, seconds over a minute, five days over a month."""
    assert [tick / 3600 for tick in time_ticks(longest_s)][: len(ticks)] == pytest.approx(ticks)


def test_the_picture_names_every_policy_and_stands_alone() -> None:
    """It is XML without anything from elsewhere; what is over 100 has no cents."""
    rows = [
        Bar("default", 1109.69, 1075.0, 1141.0, ("36.0", "0.07 s", "0.13 s")),
        Bar("<mine>", 9.5, 9.5, 9.5, ("3.0", "2 min", "1 h")),
    ]
    svg = picture(rows, "jobs & more")
    texts = [each.text for each in ElementTree.fromstring(svg).iter() if each.text]
    assert {"default", "<mine>", "1,110", "9.50", "jobs & more", "2 min"} <= set(texts)
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
