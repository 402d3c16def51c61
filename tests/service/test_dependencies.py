"""Graphs of jobs, run by the whole service."""

from collections.abc import Callable
from typing import Any

from ecs_queue import graph, producing, staging
from ecs_queue.job import Job
from ecs_queue.states import JobState

Run = Callable[..., None]


def command(*words: str) -> dict[str, Any]:
    return {"containerOverrides": [{"name": "main", "command": list(words)}]}


def job(job_id: str, words: tuple[str, ...], *after: str, kind: str = "afterok") -> Job:
    return Job.model_validate(
        {
            "id": job_id,
            "task_definition": "batch",
            "overrides": command(*words),
            "depends_on": [{"job": each, "type": kind} for each in after],
        }
    )


def test_a_diamond_runs_in_its_order(world: Run) -> None:
    """Nobody starts before those it depends on have ended; the two in the middle overlap."""

    async def story(w: Any) -> None:
        sleep = ("sleep", "20")
        await w.queue.submit_graph(
            [
                job("end", sleep, "left", "right"),
                job("left", sleep, "start"),
                job("right", sleep, "start"),
                job("start", sleep),
            ]
        )
        await w.until("end", timeout_s=3600)
        times = {}
        for name in ("start", "left", "right", "end"):
            record = await w.until(name)
            assert record.state is JobState.SUCCEEDED
            times[name] = (record.attempts[0].started_at_ms, record.ended_at_ms)
        assert times["start"][1] <= min(times["left"][0], times["right"][0])
        assert max(times["left"][1], times["right"][1]) <= times["end"][0]
        assert times["left"][0] < times["right"][1]
        assert times["right"][0] < times["left"][1]

    world(story)


def test_a_failure_stops_what_depends_on_it(world: Run) -> None:
    """Only the job that cleans up runs; the others never have a task."""

    async def story(w: Any) -> None:
        await w.queue.submit_graph(
            [
                job("a", ("exit", "3")),
                job("b", ("true",), "a"),
                job("c", ("true",), "b"),
                job("cleanup", ("true",), "c", kind="afternotok"),
            ]
        )
        assert (await w.until("cleanup")).state is JobState.SUCCEEDED
        last = await w.until("c")
        assert last.state is JobState.FAILED
        assert last.reason.startswith("dependency a FAILED: ")
        assert len(w.sim.tasks()) == 2

    world(story)


def test_a_graph_whose_producer_died_is_run(world: Run) -> None:
    """Submitted and not taken in: the service does it."""

    async def story(w: Any) -> None:
        jobs = [job("a", ("true",)), job("b", ("true",), "a")]
        (batch,) = producing.batches(graph.ordered(jobs))
        await w.queue.run(staging.stage("token", 0, batch))
        await w.queue.run(staging.commit("token"))
        record = await w.until_known("b")
        assert record.state is JobState.SUCCEEDED

    world(story)
