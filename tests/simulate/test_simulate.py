"""`ecs-scheduler simulate` from its flags to its table, its files and its messages."""

import json
from pathlib import Path

import numpy as np
import pytest

from ecs_placement.policy import DEFAULT_POLICY, Policy, Strategy
from ecs_scheduler.cli import main
from ecs_scheduler.cli.failures import InvalidInput
from ecs_scheduler.policies.book import NamedPolicy, PolicyBook
from ecs_scheduler.simulate.policies import parse_policy
from ecs_scheduler.simulate.prices import Prices, load_prices
from ecs_scheduler.simulate.record import Record
from ecs_scheduler.simulate.workload import Wanted, prepare
from ecs_scheduler.simulate.world import TAKEN_DOWN, Case, play
from ecs_simulator.workloads.arrivals import Arrival, write_trace
from ecs_simulator.workloads.batch import Run, Size, job_document


def played(policy: Policy = DEFAULT_POLICY, seed: int = 1) -> Record:
    workload = prepare(Wanted(jobs=80, instances=6), seed)
    book = PolicyBook((NamedPolicy("default", policy),))
    return play(Case("p", book, workload, seed), lambda ended: None)


def test_equal_cases_leave_equal_records() -> None:
    """Every time of every job and every place of every task is the same, bit for bit."""
    first, second = played(), played()
    np.testing.assert_array_equal(first.jobs.launched_s, second.jobs.launched_s)
    np.testing.assert_array_equal(first.jobs.ended_s, second.jobs.ended_s)
    np.testing.assert_array_equal(first.tasks.instance, second.tasks.instance)
    assert first.calls == second.calls


def test_the_real_service_plays_every_job_to_its_end_within_the_published_rates() -> None:
    """All jobs end, as many tasks ran, no instance held more than it has, nothing was throttled."""
    record = played()
    assert record.unfinished == 0
    assert record.throttled == 0
    assert np.isfinite(record.jobs.ended_s).all()
    assert (record.jobs.launched_s >= record.jobs.submitted_s).all()
    assert len(record.tasks.instance) == len(record.jobs.ids)


@pytest.mark.slow
def test_jobs_that_fail_by_the_thousand_at_once_are_all_taken_down(tmp_path: Path) -> None:
    """All depend on the first, which fails; more of them than a simulation keeps of the ended."""
    count, path = 3 * TAKEN_DOWN.ended_kept, tmp_path / "trace.jsonl"
    first = Arrival(0.0, job_document("first", Size(256, 256), Run(20, 1)))
    others = (
        Arrival(
            1.0,
            {**job_document(f"j{n}", Size(256, 256), Run(5)), "depends_on": [{"job": "first"}]},
        )
        for n in range(count)
    )
    write_trace([first, *others], path)
    workload = prepare(Wanted(trace=path, instances=2), 1)
    record = play(Case("p", PolicyBook(), workload, 1), lambda ended: None)
    assert record.unfinished == 0
    assert not record.jobs.succeeded.any()


def test_policies_place_differently() -> None:
    """Spreading uses instances that packing leaves empty."""
    spread = played(Policy(strategies=(Strategy("spread", "instanceId"),)))
    packed = played(Policy(strategies=(Strategy("binpack", "memory"),)))
    assert not np.array_equal(spread.tasks.instance, packed.tasks.instance)


def test_a_trace_is_varied_in_every_seed_but_the_first(tmp_path: Path) -> None:
    """Seed 1 is what was recorded; others stretch gaps and runs, the same way each time."""
    path = tmp_path / "trace.jsonl"
    write_trace(
        [
            Arrival(10.0 * number, job_document(f"j{number}", Size(256, 256), Run(30)))
            for number in range(5)
        ],
        path,
    )
    wanted = Wanted(trace=path)
    recorded = prepare(wanted, 1).submissions
    varied = prepare(wanted, 2).submissions
    assert [each.at_s for each in recorded] == [0.0, 10.0, 20.0, 30.0, 40.0]
    assert [each.run_s for each in recorded] == [30.0] * 5
    assert [each.job_id for each in varied] == [each.job_id for each in recorded]
    assert varied != recorded
    assert varied == prepare(wanted, 2).submissions


def test_an_array_is_played_as_its_children(tmp_path: Path) -> None:
    """Each child is a job of its own, with its index in its environment."""
    path = tmp_path / "trace.jsonl"
    array = job_document("a", Size(256, 256), Run(30), array_size=3)
    write_trace([Arrival(5.0, array)], path)
    played = prepare(Wanted(trace=path), 1).submissions
    assert [each.job_id for each in played] == ["a-0", "a-1", "a-2"]
    assert "AWS_BATCH_JOB_ARRAY_INDEX" in played[2].document


def test_the_command_prints_a_table_and_writes_a_report_and_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two policies, one seed, in this process."""
    report, figures = tmp_path / "out.html", tmp_path / "out.json"
    flags = ["--jobs", "60", "--instances", "6", "--seeds", "1", "--processes", "1"]
    flags += ["--policy", "default", "--policy", "ecs:binpack(memory)"]
    assert main(["simulate", *flags, "--report", str(report), "--json", str(figures)]) == 0
    out = capsys.readouterr().out
    assert "instance-hours" in out
    assert "costs the least" in out
    assert report.read_text("utf-8").startswith("<!doctype html>")
    names = [each["policy"] for each in json.loads(figures.read_text("utf-8"))["policies"]]
    assert names == ["default", "ecs:binpack(memory)"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--policy", "ecs:binpak(memory)"], "did you mean binpack?"),
        (["--policy", "ecs:binpack(disk)"], "expected one of cpu, memory"),
        (["--policy", "ecs:binpack(memory"], "is no strategy"),
        (["--policy", "fastest"], "expected a policy file (.toml), default, ecs:spread"),
        (["--policy", "ecs:" + ",".join(["random"] * 6)], "at most 5"),
        (["--trace", "nowhere.jsonl"], "--trace: nowhere.jsonl"),
        (["--policy", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (["--fleet", "nowhere.toml"], "--fleet: nowhere.toml"),
        (["--prices", "nowhere.toml"], "--prices: nowhere.toml"),
        (["--report", "no/such/folder/r.html"], "the folder no/such/folder does not exist"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_played(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the flag and what was expected; the exit code is that of usage."""
    assert main(["simulate", *flags]) == 2
    assert message in capsys.readouterr().err


def chain_of(text: str) -> tuple[Strategy, ...]:
    return parse_policy(text).named("default").placement.strategies


def test_ecs_chains_are_parsed_step_by_step() -> None:
    """ecs:spread alone means zones, then instances."""
    chain = chain_of("ecs:spread(attribute:ecs.availability-zone),binpack(cpu)")
    assert chain == (
        Strategy("spread", "attribute:ecs.availability-zone"),
        Strategy("binpack", "cpu"),
    )
    assert [step.type for step in chain_of("ecs:spread")] == ["spread", "spread"]


def test_prices_come_from_the_users_table_first_and_from_a_rule_last(tmp_path: Path) -> None:
    """A larger size of a known family costs in proportion; an unknown type by what it has."""
    path = tmp_path / "prices.toml"
    path.write_text('[per_hour]\n"m5.xlarge" = 7\n')
    prices = load_prices(path)
    assert prices.of("m5.xlarge", (4096, 15618, 0)) == 7.0
    assert prices.of("m5.2xlarge", (8192, 31236, 0)) == pytest.approx(0.384)
    assert Prices().of("mine", (1024, 1024, 1)) == pytest.approx(0.0332 + 0.0037 + 0.45)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[per_hour]\na = -1\n", "a: expected a price per hour, 0 or more; it is -1"),
        ("[per_hour]\na = true\n", "it is True"),
        ("[hourly]\na = 1\n", "expected one table [per_hour]"),
        ("a = ", "not TOML"),
    ],
)
def test_a_wrong_price_table_names_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    """The flag, the file and the entry."""
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(InvalidInput, match="--prices: ") as caught:
        load_prices(path)
    assert message in str(caught.value)
