"""Plays one policy on one workload: the real service, the real queue on a Valkey of its own, the
simulated ECS, all in virtual time. Equal cases leave equal records.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from ecs_queue.client import Queue
from ecs_queue.document import from_canonicals
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.producing import Written, submit
from ecs_queue.script import QueueSettings
from ecs_scheduler.clock import LoopClock, SystemClock
from ecs_scheduler.config import Config
from ecs_scheduler.ecs.client import budget_of
from ecs_scheduler.interpreter import collecting_seldom
from ecs_scheduler.metrics import Metrics
from ecs_scheduler.passes.pace import Pace
from ecs_scheduler.passes.service import Service
from ecs_scheduler.policies.book import PolicyBook
from ecs_scheduler.simulate.blocking_redis import connect_blocking
from ecs_scheduler.simulate.collecting import JobColumns, TaskColumns
from ecs_scheduler.simulate.columns import instances_of
from ecs_scheduler.simulate.direct_ecs import DirectEcs
from ecs_scheduler.simulate.record import Record
from ecs_scheduler.simulate.workload import Workload, limit_s
from ecs_simulator import FEW_CAPABILITIES, Options, SimulatedEcs, VirtualClock, run_virtual
from ecs_simulator.options import Lifecycle
from ecs_simulator.workloads.batch import task_definition_document

CLUSTER = "simulated"
TOGETHER_S = 1.0
AT_ONCE = 500
LOOK_S = 5.0
COLLECT_S = 15.0
ALL = QueueSettings(retention_s=10**9, ended_kept=10**9, events_kept=1_000)
"""Jobs can end by the thousand at once, with the one that they depend on or by their times."""
TAKEN_DOWN = replace(ALL, ended_kept=5_000)
"""Of ended jobs that nobody can depend on any more; their times are in our columns by then."""
FORGETFUL = Lifecycle(stopped_visible_s=900.0)
"""ECS shows a task for an hour after its end; the service has seen that end after seconds, and what
is kept of a busy hour takes more memory than all jobs do.
"""
UNHURRIED_S = 3600.0
LOOK_AT_QUEUE_S = Config().pass_interval_s
MOST_SLOWER = 25.0

Progress = Callable[[int], None]
"""Told the number of jobs that have ended."""


@dataclass(frozen=True, slots=True)
class Case:
    """One run: a named policy on the workload of one seed."""

    name: str
    policy: PolicyBook
    workload: Workload
    seed: int
    look_s: float = LOOK_AT_QUEUE_S


def play(case: Case, progress: Progress) -> Record:
    """Play a case to its end, or to the limit of its time. Raises InvariantBroken when the
    simulated ECS contradicts itself.
    """
    wall = SystemClock()
    began_s = wall.monotonic_s()
    random.seed(case.seed)  # jitter of back-offs
    with EmbeddedValkey() as server, collecting_seldom():
        played = run_virtual(lambda clock: _World(case, clock, server).play(progress))
    return played(wall.monotonic_s() - began_s)


class _World:
    """Everything one case needs, wired together."""

    def __init__(self, case: Case, clock: VirtualClock, server: EmbeddedValkey) -> None:
        self._case, self._clock = case, clock
        self._tasks = TaskColumns(clock.start)
        self._sim = SimulatedEcs(
            Options(agent_capabilities=FEW_CAPABILITIES, lifecycle=FORGETFUL),
            clock.now,
            seed=case.seed,
            witness=self._tasks.saw,
        )
        arns = self._sim.add_instances(CLUSTER, case.workload.fleet)
        self._tasks.instances = {arn: row for row, arn in enumerate(arns)}
        self._jobs = JobColumns(case.workload.submissions, clock.start)
        self._sim.call("RegisterTaskDefinition", task_definition_document())
        self._redis = connect_blocking(str(server.socket_path))
        tokens = random.Random(case.seed)
        kept = ALL if case.workload.submissions.linked else TAKEN_DOWN
        self._queue, self._collected = (
            Queue(
                self._redis,
                now_ms=lambda: round(clock.now() * 1000),
                settings=settings,
                new_token=lambda: f"{tokens.getrandbits(128):032x}",
            )
            for settings in (ALL, kept)
        )
        config = _config(case)
        service_clock = LoopClock(round(clock.start * 1000))
        ecs = DirectEcs(self._sim, CLUSTER, budget_of(config, service_clock))
        self._service = Service(config, self._queue, ecs, Metrics(), service_clock)
        self._service.policies.book = case.policy
        self._service.pace = _pace(config.pass_interval_s / LOOK_AT_QUEUE_S)

    async def play(self, progress: Progress) -> Callable[[float], Record]:
        running = asyncio.create_task(self._service.run())
        await self._submit(progress)
        unfinished = await self._finish(running, progress)
        self._service.stop()
        await running
        self._sim.verify()
        jobs = await self._jobs.finish(self._queue)
        await self._redis.aclose()
        statistics = self._sim.statistics
        return lambda wall_s: Record(
            policy=self._case.name,
            seed=self._case.seed,
            jobs=jobs,
            tasks=self._tasks.finish(self._sim.tasks(), self._clock.now()),
            instances=instances_of(self._case.workload.fleet),
            ended_s=self._clock.monotonic(),
            unfinished=unfinished,
            calls=dict(statistics.calls),
            throttled=sum(statistics.throttled.values()),
            wall_s=wall_s,
        )

    async def _submit(self, progress: Progress) -> None:
        """Send every job when it is due, those of one second together."""
        at_s, sent, looked_at = self._case.workload.submissions.at_s, 0, 0.0
        for _, together in groupby(range(len(at_s)), lambda row: at_s[row] // TOGETHER_S):
            due = list(together)
            await asyncio.sleep(max(0.0, at_s[due[-1]] - self._clock.monotonic()))
            for first in range(0, len(due), AT_ONCE):
                await self._send(due[first : first + AT_ONCE])
            sent += len(due)
            if self._clock.monotonic() - looked_at >= COLLECT_S:
                looked_at = self._clock.monotonic()
                await self._jobs.look(self._collected)
                progress(await self._ended(sent))

    async def _send(self, rows: Sequence[int]) -> None:
        """One submission of all these; their documents were written when the workload was made."""
        submissions = self._case.workload.submissions
        documents = [submissions.document(row) for row in rows]
        job_ids = [submissions.ids[row].encode() for row in rows]
        jobs = from_canonicals(job_ids, [each.partition(b"{")[2] for each in documents])
        written = [Written(job, text) for job, text in zip(jobs, documents, strict=True)]
        await self._queue.run(submit(self._queue.new_token(), written))

    async def _finish(self, running: asyncio.Task[None], progress: Progress) -> int:
        """Wait until every job has ended or the time is up; the number that did not end."""
        total = len(self._case.workload.submissions)
        until, looked_at = limit_s(self._case.workload), 0.0
        while not running.done():
            ended = await self._ended(total)
            progress(ended)
            if self._clock.monotonic() - looked_at >= COLLECT_S:
                looked_at = self._clock.monotonic()
                await self._jobs.look(self._collected)
            if ended == total or self._clock.monotonic() > until:
                return total - ended
            await asyncio.sleep(LOOK_S)
        await running
        raise AssertionError("the service ended before its work")

    async def _ended(self, sent: int) -> int:
        """How many of the jobs sent so far have ended; the queue does not keep them all."""
        counts = await self._queue.counts()
        return sent - sum(number for state, number in counts.items() if not state.terminal)


def _config(case: Case) -> Config:
    """The service's defaults; over more than an hour, or where it is asked for, it looks less
    often, in proportion, or most of the time would go into looking at nothing.
    """
    defaults = Config()
    by_length = min(max(case.workload.submissions[-1].at_s / UNHURRIED_S, 1.0), 25.0)
    slower = max(by_length, case.look_s / defaults.pass_interval_s)
    return Config(
        cluster=CLUSTER,
        http_port=None,
        lease_s=60.0,
        pass_interval_s=defaults.pass_interval_s * slower,
        track_interval_s=defaults.track_interval_s * min(slower, 5.0),
        sweep_interval_s=defaults.sweep_interval_s * min(slower, 4.0),
    )


def _pace(slower: float) -> Pace:
    """What has no setting follows, up to MOST_SLOWER times; launches under way are not held up."""
    usual, by = Pace(), min(slower, MOST_SLOWER)
    return replace(
        usual,
        refresh_s=usual.refresh_s * by,
        interruptions_s=usual.interruptions_s * by,
        recurring_s=usual.recurring_s * by,
        reconcile_s=usual.reconcile_s * by,
        observe_s=usual.observe_s * by,
    )
