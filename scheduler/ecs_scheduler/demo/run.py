"""One demo from start to end: feed and watch until every job has ended, then check the books."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from ecs_queue.states import JobRecord, JobState
from ecs_scheduler.demo.account import Books, Ran, Told, problems
from ecs_scheduler.demo.feed import Feed
from ecs_scheduler.demo.report import Ending
from ecs_scheduler.demo.stage import Stage
from ecs_scheduler.demo.stillness import Stillness
from ecs_scheduler.demo.view import Frame
from ecs_scheduler.demo.workload import Workload
from ecs_simulator import InvariantBroken, TaskRecord

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

LOOK_EVERY_S = 0.25
CHECKS_SHARE = 0.05
"""At most this share of the time goes into recounting the simulated ECS."""

PAGE = 500


class Recount:
    """Lets the simulated ECS recount itself while the demo runs, as often as the cost allows."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._next_s = 0.0
        self.broken: str | None = None

    def look(self, *, now: bool = False) -> None:
        """Recount, unless it is too early or something was found before."""
        clock = self._stage.clock
        started_s = clock.monotonic_s()
        if self.broken is not None or (started_s < self._next_s and not now):
            return
        try:
            self._stage.ecs.advance()
            self._stage.ecs.verify()
        except InvariantBroken as error:
            self.broken = f"the simulated ECS found: {error}"
        ended_s = clock.monotonic_s()
        self._next_s = ended_s + max((ended_s - started_s) / CHECKS_SHARE, 1.0)


@dataclass(slots=True)
class Performance:
    """A workload on a stage; `started_s` is when the demo began, on the stage's clock."""

    stage: Stage
    workload: Workload
    show: Callable[[Frame], None]
    started_s: float
    first_launch_s: float | None = None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the demo began."""
        return self.stage.clock.monotonic_s() - self.started_s

    async def run(self, service: asyncio.Task[None]) -> Ending:
        """Until every job has ended or the time is up; raises what ended `service` or the feed."""
        feed, recount = Feed(self.stage, self.workload), Recount(self.stage)
        still = Stillness(self.workload.dues[-1].at_s, self.workload.longest_run_s)
        feeding = asyncio.create_task(feed.run(), name="feed")
        try:
            while self.elapsed_s < self.workload.limit_s:
                counts = await self.stage.queue.counts()
                self._look(feed, counts)
                recount.look()
                ended = sum(counts[state] for state in JobState if state.terminal)
                if feeding.done() and ended >= feed.total:
                    break
                if await self._stuck(still, counts):
                    break
                await self._pause(service, feeding)
        finally:
            feeding.cancel()
            await asyncio.wait((feeding,))
        recount.look(now=True)
        return await self._ending(recount.broken)

    async def _stuck(self, still: Stillness, counts: Mapping[JobState, int]) -> bool:
        """Whether there is no hope left; on the way there the user is told what stands still."""
        now_s = self.elapsed_s
        still.look(now_s, counts, self.stage.service.status().launched)
        if still.worth_saying(now_s):
            jobs = [Told.by(job) for job in await all_jobs(self.stage) if not job.state.terminal]
            log.warning(still.told(now_s, jobs))
        return still.hopeless(now_s)

    def _look(self, feed: Feed, counts: Mapping[JobState, int]) -> None:
        status, elapsed_s = self.stage.service.status(), self.elapsed_s
        if self.first_launch_s is None and status.launched:
            self.first_launch_s = elapsed_s
        self.show(Frame(elapsed_s, feed.submitted, feed.total, counts, status))

    async def _pause(self, service: asyncio.Task[None], feeding: asyncio.Task[None]) -> None:
        """Until the next look; at once if something came to its end that should not have."""
        await asyncio.wait((service,), timeout=LOOK_EVERY_S)
        if service.done():
            await service
            raise RuntimeError("the service ended in the middle of the demo")
        if feeding.done():
            await feeding

    async def _ending(self, broken: str | None) -> Ending:
        stage = self.stage
        told = [Told.by(record) for record in await all_jobs(stage)]
        books = Books(
            asked=self.workload.asked,
            told={each.job_id: each for each in told},
            ran={task.arn: _ran(task) for task in stage.ecs.tasks()},
        )
        dead = await stage.queue.dead_letters()
        cluster, statistics = stage.config.cluster, stage.ecs.statistics
        return Ending(
            asked=self.workload.asked,
            told=told,
            status=stage.service.status(),
            calls=statistics.calls,
            throttled=sum(statistics.throttled.values()),
            peaks=statistics.peak_reserved.get(cluster, {}),
            registered={
                name: each.registered for name, each in stage.ecs.utilisation(cluster).items()
            },
            first_launch_s=self.first_launch_s,
            elapsed_s=self.elapsed_s,
            problems=(
                *([] if broken is None else [broken]),
                *(f"dead letter {letter.entry_id}: {letter.reason}" for letter in dead),
                *problems(books),
            ),
        )


async def all_jobs(stage: Stage) -> tuple[JobRecord, ...]:
    """Every job of the queue, page by page."""
    records: list[JobRecord] = []
    while page := await stage.queue.jobs(limit=PAGE, offset=len(records)):
        records += page
    return tuple(records)


def _ran(task: TaskRecord) -> Ran:
    by_itself = task.stop_code == "EssentialContainerExited"
    return Ran(
        task_arn=task.arn,
        started=task.started_at is not None,
        exit_code=task.exit_codes[0] if by_itself and task.exit_codes else None,
    )
