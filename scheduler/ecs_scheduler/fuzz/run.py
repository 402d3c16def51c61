"""One seed, played: replicas, faults and jobs until the faults end, then until all is at rest."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ecs_queue.client import Queue
from ecs_queue.states import JobState
from ecs_scheduler.config import Config
from ecs_scheduler.fuzz.happenings import POLICIES, Director
from ecs_scheduler.fuzz.history import History
from ecs_scheduler.fuzz.invariants import Evidence, violations
from ecs_scheduler.fuzz.jobs import CLUSTERS, QUEUES, TASK_DEFINITIONS
from ecs_scheduler.fuzz.producers import Producers
from ecs_scheduler.fuzz.replica import MOST_CRASHES, Replica, Stage
from ecs_scheduler.fuzz.scenario import Scenario
from ecs_scheduler.fuzz.servers import ServedRedis, Servers
from ecs_simulator import FEW_CAPABILITIES, Options, SimulatedEcs, VirtualClock, run_virtual
from ecs_simulator.errors import InvariantBroken
from ecs_simulator.faults import FaultOptions

REST_WITHIN_S = 1200.0
"""After the faults: MISSING is believed after 300 s, and jobs queue for what room there is."""

SILENT_S = 15.0
"""A service that runs says something sooner: it asks ECS, or for events."""

NOTICED_WITHIN_S = 60.0
"""Replicas may be dead, frozen or without Redis for a while, and stopped before one leads again."""

LOOK_S = 5.0
VERIFIED_EVERY_S = 60.0
CONFIG = Config(
    pass_interval_s=5.0,
    track_interval_s=5.0,
    lease_s=15.0,
    unplaceable_after_s=100_000.0,
    worker_url="http://scheduler:8081",
)


@dataclass(frozen=True, slots=True)
class Played:
    """What came of one seed."""

    scenario: Scenario
    evidence: Evidence
    violations: tuple[str, ...]
    history: History
    figures: Mapping[str, int]


@dataclass(slots=True)
class _Run:
    stage: Stage
    producers: Producers
    replicas: list[Replica]
    clock: VirtualClock
    complaints: list[str] = field(default_factory=list)
    timed_out: bool = False


def play(scenario: Scenario, servers: Servers, config: Config = CONFIG) -> Played:
    """Run one scenario in virtual time; equal scenarios give equal histories."""
    servers.clear()
    random.seed(scenario.seed)  # the SDKs draw the jitter of their retries from here
    collecting = gc.isenabled()
    gc.disable()  # a finaliser must not run at a moment that depends on other seeds
    gc.freeze()  # what was there before is not looked through after each seed
    try:
        with TemporaryDirectory() as folder:
            policies = Path(folder) / "policies.toml"
            policies.write_text(POLICIES.format(cpu=1, packing=1), encoding="utf-8")
            own = config.model_copy(update={"policy_file": str(policies)})
            return run_virtual(lambda clock: _main(scenario, servers, own, clock))
    finally:
        if collecting:
            gc.enable()
        gc.collect()
        gc.unfreeze()


async def _main(
    scenario: Scenario, servers: Servers, config: Config, clock: VirtualClock
) -> Played:
    run = _set_up(scenario, servers, config, clock)
    asyncio.get_running_loop().set_exception_handler(_listener(run))
    with run.stage.history.listening():
        lives = [asyncio.create_task(each.supervise()) for each in run.replicas]
        async with asyncio.TaskGroup() as playing:
            for planned in scenario.jobs:
                playing.create_task(run.producers.submit(planned))
            director = Director(run.stage, run.replicas, run.producers)
            playing.create_task(director.play())
        await _come_to_rest(run)
        left_behind = await _left_behind(run)
        for each in run.replicas:
            each.dismiss()
        await asyncio.gather(*lives)
        left_behind["claims"] = _claims(servers)
    _verify(run)
    evidence = await _evidence(run, left_behind)
    return Played(
        scenario,
        evidence,
        violations(evidence),
        run.stage.history,
        _figures(run, evidence),
    )


def _set_up(scenario: Scenario, servers: Servers, config: Config, clock: VirtualClock) -> _Run:
    options = Options(
        agent_capabilities=FEW_CAPABILITIES,
        throttled=False,
        undocumented=scenario.undocumented,
        faults=scenario.events or FaultOptions(),
    )
    sim = SimulatedEcs(options, clock.now, seed=scenario.seed)
    for cluster in CLUSTERS[: scenario.clusters]:
        sim.add_instances(cluster, scenario.fleet)
    for definition in TASK_DEFINITIONS:
        sim.call("RegisterTaskDefinition", definition)
    words = scenario.rng("producer")
    queues = {
        name: Queue(
            ServedRedis(servers),
            name,
            now_ms=lambda: round(clock.now() * 1000),
            new_token=lambda: f"{words.getrandbits(128):032x}",
        )
        for name in QUEUES[: scenario.services]
    }
    stage = Stage(
        scenario, config, sim, servers, round(clock.start * 1000), History(clock.monotonic)
    )
    if scenario.events is not None:
        stage.event_queues.update((name, sim.send_events_to(name).url) for name in queues)
    replicas = [Replica(stage, number) for number in range(1, scenario.replicas + 1)]
    producers = Producers(queues, stage.history, lambda: round(clock.now() * 1000))
    return _Run(stage, producers, replicas, clock)


def _listener(run: _Run) -> Any:
    def hear(_loop: object, context: Mapping[str, Any]) -> None:
        text = f"{context['message']}: {context.get('exception')!r}"
        run.stage.history.say("loop", text)
        run.complaints.append(text)

    return hear


async def _come_to_rest(run: _Run) -> None:
    """Wait until every job has ended and every book is closed."""
    deadline = run.clock.monotonic() + REST_WITHIN_S
    verified_at = 0.0
    while True:
        if not await _open_jobs(run) and not any((await _left_behind(run)).values()):
            return
        if run.clock.monotonic() > deadline or len(run.stage.crashes) >= MOST_CRASHES:
            run.timed_out = True
            return
        if run.clock.monotonic() - verified_at > VERIFIED_EVERY_S:
            verified_at = run.clock.monotonic()
            _verify(run)
        await asyncio.sleep(LOOK_S)


async def _open_jobs(run: _Run) -> int:
    """Jobs that were submitted and have not ended."""
    counts = [await queue.counts() for queue in run.producers.queues.values()]
    return sum(n for each in counts for state, n in each.items() if not state.terminal)


def _verify(run: _Run) -> None:
    try:
        run.stage.sim.verify()
    except InvariantBroken as error:
        run.complaints.append(str(error))


async def _left_behind(run: _Run) -> dict[str, int]:
    """What should be empty once nothing runs any more."""
    live = sum(task.stopped_at is None for task in run.stage.sim.tasks())
    services = [service for each in run.replicas for service in each.services]
    queues = run.producers.queues.values()
    return {
        "calls still on their way to ECS": len(run.stage.ecs_weather.arriving),
        "tasks running": live,
        "open intents": sum([len(await each.pending_launches()) for each in queues]),
        "live tasks in the books": sum([len(await each.live_tasks()) for each in queues]),
        "cancellations": sum([len(await each.cancellations()) for each in queues]),
        "promises of room": sum(service.promised for service in services),
        "followed tasks": sum(service.following for service in services),
    }


def _claims(servers: Servers) -> int:
    return sum(servers.one(b"HLEN", key) for key in servers.one(b"KEYS", b"*:claimed*:*"))


async def _evidence(run: _Run, left_behind: Mapping[str, int]) -> Evidence:
    records = [
        record
        for queue in run.producers.queues.values()
        for record in await queue.jobs(limit=10_000)
    ]
    weather = run.stage.ecs_weather
    return Evidence(
        planned=run.stage.scenario.jobs,
        records={record.job.id: record for record in records},
        cancellations=run.producers.cancellations,
        tasks=run.stage.sim.tasks(),
        tokens_sent=weather.tokens,
        beyond_bounds=weather.beyond_bounds,
        forgotten=tuple(
            (run.clock.start + began, run.clock.start + ended)
            for began, ended in run.stage.redis_weather.forgotten
        ),
        unnoticed=_unnoticed(run),
        hidden_s=run.stage.scenario.undocumented.missing_after_launch_s,
        left_behind=left_behind,
        crashes=tuple(run.stage.crashes),
        complaints=tuple(run.complaints),
        timed_out=run.timed_out,
    )


def _unnoticed(run: _Run) -> tuple[float, ...]:
    """Of the fail-overs that left time enough."""
    history = run.stage.history.lines
    lines = [(at_s, what) for at_s, who, what in history if who not in ("fault", "producer")]
    led = [at_s for at_s, what in lines if "info: leading" in what]
    noticed = [at_s for at_s, what in lines if "redis restarted or failed over" in what]
    return tuple(
        failed_s
        for began_s, failed_s in run.stage.redis_weather.forgotten
        if any(at_s < began_s for at_s in led)
        and not any(at_s > failed_s for at_s in noticed)
        and _awake_s([at_s for at_s, _ in lines if at_s > failed_s]) > NOTICED_WITHIN_S
    )


def _awake_s(said_at_s: Sequence[float]) -> float:
    """How long somebody did something: nothing is said by who is dead or frozen."""
    return sum(min(later - earlier, SILENT_S) for earlier, later in pairwise(said_at_s))


def _figures(run: _Run, evidence: Evidence) -> dict[str, int]:
    states = [record.state for record in evidence.records.values()]
    faults = sum(who == "fault" for _, who, _ in run.stage.history.lines)
    return {
        "jobs": len(states),
        "succeeded": states.count(JobState.SUCCEEDED),
        "tasks": len(evidence.tasks),
        "strays": len(evidence.strays()),
        "faults": faults,
        "virtual_s": round(run.clock.monotonic()),
    }
