"""What a demo will run: from flags and files to jobs, instances and expectations."""

import json
from pathlib import Path

import pytest

from ecs_scheduler.cli.failures import InvalidInput
from ecs_scheduler.demo.workload import Wanted, Workload, prepare
from ecs_simulator.workloads.arrivals import Arrival, write_trace
from ecs_simulator.workloads.batch import Run, Size, job_document

SMALL_SIZE, SHORT_RUN = Size(512, 256), Run(5)
SMALL_FLEET = '{"count": 2, "instance_type": "m5.large"}\n'


def job(name: str = "a", size: Size = SMALL_SIZE, run: Run = SHORT_RUN) -> dict[str, object]:
    return job_document(name, size, run)


def prepared(folder: Path, *arrivals: Arrival, minutes: float | None = None) -> Workload:
    write_trace(arrivals, folder / "trace.jsonl")
    (folder / "fleet.jsonl").write_text(SMALL_FLEET)
    return prepare(
        Wanted(trace=folder / "trace.jsonl", fleet=folder / "fleet.jsonl", minutes=minutes)
    )


def test_the_default_needs_no_files() -> None:
    """500 jobs on 40 instances, each job with an expectation, and no remarks."""
    workload = prepare(Wanted())
    assert (len(workload.dues), len(workload.asked)) == (500, 500)
    assert sum(group.count for group in workload.fleet) == 40
    assert workload.remarks == ()
    assert [due.job.id for due in workload.dues] == [asked.job_id for asked in workload.asked]


def test_expectations_follow_from_the_jobs(tmp_path: Path) -> None:
    """The exit code comes from the command; what fits no instance is not expected to run."""
    workload = prepared(
        tmp_path,
        Arrival(0, job("fine")),
        Arrival(1, job("fails", run=Run(5, exit_code=3))),
        Arrival(2, job("huge", Size(500_000, 256))),
    )
    assert [asked.exit_code for asked in workload.asked] == [0, 3, None]
    assert workload.remarks == ("jobs that fit no instance of the fleet, and have to FAIL: 1",)


def test_a_trace_is_compressed_to_five_minutes(tmp_path: Path) -> None:
    """Unless other minutes are asked for; the user is told by how much."""
    day = [Arrival(hour * 3600, job(f"job-{hour}")) for hour in range(24)]
    workload = prepared(tmp_path, *day)
    assert 290 < workload.dues[-1].at_s <= 299
    assert workload.remarks == (
        "time line compressed 1:277 into 5 minutes, after closing 0.0 idle days; "
        "24 of 24 run times raised to 1 s",
    )
    assert 50 < prepared(tmp_path, *day, minutes=1).dues[-1].at_s <= 59


def test_the_user_is_warned_of_more_launches_than_ecs_allows(tmp_path: Path) -> None:
    """6,000 jobs in a minute are 100 a second; ECS takes 40 calls."""
    rush = [Arrival(n, job(f"job-{n}")) for n in range(6000)]
    assert "40 launch calls a second" in prepared(tmp_path, *rush, minutes=1).remarks[1]


def test_the_time_limit_grows_with_the_work(tmp_path: Path) -> None:
    """Two m5.large have 4 vCPU: 40 jobs of 2 vCPU and 29 s need ten minutes on them."""
    workload = prepared(
        tmp_path, *(Arrival(0, job(f"job-{n}", Size(2048, 256), Run(29))) for n in range(40))
    )
    assert workload.limit_s > 600


BAD_JOBS = {
    "unknown field": ({**job(), "prio": 5}, "job 1 of the trace (a): prio"),
    "no id": ({"task_definition": "batch"}, "job 1 of the trace (without id): id"),
    "another task definition": (
        {**job(), "task_definition": "web:3"},
        "job 1 of the trace (a): the demo only runs jobs of task definition 'batch'",
    ),
    "another command": (
        {"id": "a", "task_definition": "batch"},
        "job 1 of the trace (a): the demo only runs jobs of task definition 'batch'",
    ),
}


@pytest.mark.parametrize(("document", "message"), BAD_JOBS.values(), ids=BAD_JOBS)
def test_bad_jobs_are_refused_before_anything_starts(
    tmp_path: Path, document: dict[str, object], message: str
) -> None:
    """The message names the job and the field."""
    with pytest.raises(InvalidInput) as refused:
        prepared(tmp_path, Arrival(0, document))
    assert str(refused.value).startswith(message)


def test_bad_files_are_refused(tmp_path: Path) -> None:
    """An id used twice, an empty trace, a bad line in either file."""
    with pytest.raises(InvalidInput, match="1 job ids are used more than once, such as a"):
        prepared(tmp_path, Arrival(0, job()), Arrival(1, job()))
    with pytest.raises(InvalidInput, match=r"--trace: no jobs in .*trace.jsonl"):
        prepared(tmp_path)
    (tmp_path / "bad.jsonl").write_text(json.dumps({"count": 0}))
    with pytest.raises(InvalidInput, match=r"bad.jsonl:1: .*at_s"):
        prepare(Wanted(trace=tmp_path / "bad.jsonl"))
    with pytest.raises(InvalidInput, match=r"bad.jsonl:1: count: 0 is less than 1"):
        prepare(Wanted(fleet=tmp_path / "bad.jsonl"))
