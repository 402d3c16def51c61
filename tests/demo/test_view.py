"""What a demo shows while it runs and what it says in the end."""

import io
from dataclasses import replace

from rich.console import Console

from ecs_queue.job import JobId
from ecs_queue.states import JobState
from ecs_scheduler.demo.account import Asked
from ecs_scheduler.demo.report import Ending, lines
from ecs_scheduler.demo.show import screen
from ecs_scheduler.demo.view import Frame, live, plain
from ecs_scheduler.passes.status import ServiceStatus

JOBS = {JobState.RUNNABLE: 14, JobState.RUNNING: 7, JobState.SUCCEEDED: 19}


def test_a_plain_line_says_it_all(status: ServiceStatus) -> None:
    """States, utilisation, launches and the commonest reasons, without what is zero."""
    assert plain(Frame(12.34, 40, 50, JOBS, status)) == (
        "  12.3 s  submitted 40/50  runnable 14 running 7 succeeded 19  "
        "cpu 75% memory 12% gpu 100%  launched 26 in 10 calls, 5.2/s  "
        "waiting: 9 RESOURCE:CPU, 4 RESOURCE:GPU"
    )


def shown(status: ServiceStatus) -> str:
    console = Console(file=io.StringIO(), width=120, record=True)
    console.print(live(Frame(12.34, 40, 50, JOBS, status), height=45))
    return console.export_text()


def test_the_live_view_has_every_part(status: ServiceStatus) -> None:
    """Jobs by state, capacity by dimension, budget, newest placements first, reasons."""
    text = shown(status)
    for part in (
        "40 of 50 jobs submitted",
        "SUCCEEDED",
        "3,072 of 4,096",
        "26 tasks in 10 calls, 2.6 a call",
        "88 of 100 tokens left, 10 calls, 2 throttled",
        "10.0 s ago job-90019 → 0123456789ab StartTask: fits",
        "9 RESOURCE:CPU",
    ):
        assert part in text, part
    assert text.index("job-90019") < text.index("job-90018")
    assert "job-90000" not in text


def test_the_live_view_starts_empty(status: ServiceStatus) -> None:
    """Before the first sweep there is nothing to divide by."""
    empty = replace(status, used={}, total={}, latest=(), waiting={}, launch_calls=0, launched=0)
    assert "no model yet" in shown(replace(empty, model_age_s=None))


def test_off_a_terminal_lines_come_every_two_seconds(status: ServiceStatus) -> None:
    """A pipe gets plain text, and not too much of it."""
    out = io.StringIO()
    with screen(out) as show:
        for elapsed_s in (0.1, 0.35, 1.9, 2.1, 2.3, 4.2):
            show(Frame(elapsed_s, 0, 50, JOBS, status))
    assert [line.split(" s ")[0].strip() for line in out.getvalue().splitlines()] == [
        "0.1",
        "2.1",
        "4.2",
    ]


def ending(status: ServiceStatus, *problems: str) -> Ending:
    return Ending(
        asked=(Asked(JobId("a")), Asked(JobId("b"), exit_code=3)),
        told=(),
        status=status,
        calls={"StartTask": 10},
        throttled=2,
        peaks={"CPU": 2048, "GPU": 0},
        registered={"CPU": 4096, "GPU": 1},
        first_launch_s=0.44,
        elapsed_s=20.0,
        problems=problems,
    )


def test_the_report_of_a_good_end(status: ServiceStatus) -> None:
    """Figures, then the verdict."""
    assert list(lines(ending(status))) == [
        "2 jobs: none left (1 were made to fail)",
        "first launch 0.4 s after the start",
        "26 tasks launched by 10 StartTask calls: 2.6 a call",
        "API, modify: 10 calls, 0.5/s of 40/s",
        "API, throttled by ECS: 2 calls",
        "peak reserved on 3 instances: CPU 50%",
        "checked against the simulated ECS: no instance over-committed, every job ended as its "
        "container did, none lost, none ran twice",
    ]


def test_the_report_of_a_bad_end(status: ServiceStatus) -> None:
    """The first problems are told in full, the rest counted, and nothing is called checked."""
    told = list(lines(ending(status, *(f"job-{n} is lost" for n in range(25)))))
    assert told[-22] == "25 promises broken:"
    assert told[-21:-19] == ["  job-0 is lost", "  job-1 is lost"]
    assert told[-1] == "  ... and 5 more"
    assert not any("checked" in line for line in told)
