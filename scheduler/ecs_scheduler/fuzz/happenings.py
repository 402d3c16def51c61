"""The director plays a scenario's events at their times, and in the end makes everything well."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from ecs_scheduler.fuzz.jobs import CLUSTERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ecs_scheduler.fuzz.producers import Producers
    from ecs_scheduler.fuzz.replica import Replica, Stage
    from ecs_scheduler.fuzz.scenario import Happening


POLICIES = """
[policies.default]
weights = {{ cpu = {cpu}, memory = 1 }}
score = {{ best_fit = {packing}, consolidate = 1 }}
"""


class Director:
    """Kills, freezes, outages, instances that come and go, and what producers change their mind
    about.
    """

    def __init__(self, stage: Stage, replicas: Sequence[Replica], producers: Producers) -> None:
        self._stage = stage
        self._replicas = replicas
        self._producers = producers

    async def play(self) -> None:
        """All events; returns when the fault phase is over and everything is well again."""
        phase_s = self._stage.scenario.fault_phase_s
        try:
            async with asyncio.timeout(phase_s), asyncio.TaskGroup() as events:
                for happening in self._stage.scenario.happenings:
                    events.create_task(self._happen(happening))
                if (schedule := self._stage.scenario.schedule) is not None:
                    events.create_task(self._producers.schedule(schedule, phase_s * 2 / 3))
                events.create_task(asyncio.sleep(phase_s + 1))
        except TimeoutError:
            self._heal()
            await self._producers.let_go()

    async def _happen(self, happening: Happening) -> None:
        await asyncio.sleep(happening.at_s)
        replica = self._replicas[happening.which % len(self._replicas)]
        weather = self._stage.redis_weather
        match happening.what:
            case "kill":
                replica.kill(happening.for_s)
            case "freeze":
                await replica.freeze(happening.for_s)
            case "redis down":
                self._say(f"Redis down for {happening.for_s:.1f} s")
                weather.down = True
                await asyncio.sleep(happening.for_s)
                weather.down = False
            case "redis read only":
                self._say(f"Redis read-only for {happening.for_s:.1f} s")
                weather.read_only = True
                await asyncio.sleep(happening.for_s)
                weather.read_only = False
            case "redis fails over":
                await self._fail_over(happening)
            case "spot storm":
                await self._storm(happening)
            case "pause" | "suspend" | "reprioritise":
                await self._producers.steer(happening)
            case "reload":
                self._new_policies(happening.which)
            case "scripts lost":
                self._say("Redis forgets its scripts")
                self._stage.servers.one(b"SCRIPT", b"FLUSH")
            case _:
                await self._instance(happening)

    def _new_policies(self, which: int) -> None:
        """Another file, and SIGHUP for everybody."""
        self._say("policies change")
        text = POLICIES.format(cpu=1 + which % 3, packing=which % 2)
        Path(self._stage.config.policy_file or "").write_text(text, encoding="utf-8")
        for replica in self._replicas:
            replica.reload_policies()

    async def _fail_over(self, happening: Happening) -> None:
        now = asyncio.get_running_loop().time
        backup, began = self._stage.servers.backup(), now()
        await asyncio.sleep(happening.for_s)
        self._say(f"Redis fails over and forgets {happening.for_s:.1f} s")
        self._stage.servers.promote(backup)
        self._stage.redis_weather.forgotten.append((began, now()))
        if happening.which % 3 == 0:
            self._say("everybody dies with it")
            for replica in self._replicas:
                replica.kill(2.0)
        await self._producers.again()

    async def _storm(self, happening: Happening) -> None:
        """Half of the Spot instances get their notice at once; later as many new ones come."""
        sim, cluster = self._stage.sim, self._cluster(happening.which)
        hit = [each for each in self._instances(cluster) if sim.is_spot(cluster, each)][::2]
        self._say(f"Spot notice for {len(hit)} instances")
        for arn in hit:
            sim.interrupt_spot(cluster, arn)
        await asyncio.sleep(happening.for_s)
        if hit:
            sim.add_instances(cluster, self._stage.scenario.fleet[:1])

    async def _instance(self, happening: Happening) -> None:
        cluster = self._cluster(happening.which)
        arns = self._instances(cluster)
        if not arns:
            return
        arn = arns[happening.which % len(arns)]
        self._say(f"instance {arn[-32:-24]} {happening.what} for {happening.for_s:.1f} s")
        if happening.what == "disconnect":
            self._stage.sim.set_agent_connected(cluster, arn, False)
            await asyncio.sleep(happening.for_s)
            self._stage.sim.set_agent_connected(cluster, arn, True)
        elif happening.what == "drain":
            self._set_status(cluster, arn, "DRAINING")
            await asyncio.sleep(happening.for_s)
            self._set_status(cluster, arn, "ACTIVE")
        elif happening.what == "lose":
            self._stage.sim.call(
                "DeregisterContainerInstance",
                {"cluster": cluster, "containerInstance": arn, "force": True},
            )
            await asyncio.sleep(happening.for_s)
            self._stage.sim.add_instances(cluster, self._stage.scenario.fleet[:1])

    def _set_status(self, cluster: str, arn: str, status: str) -> None:
        self._stage.sim.call(
            "UpdateContainerInstancesState",
            {"cluster": cluster, "containerInstances": [arn], "status": status},
        )

    def _cluster(self, which: int) -> str:
        return CLUSTERS[which % self._stage.scenario.clusters]

    def _instances(self, cluster: str) -> list[str]:
        answer = self._stage.sim.call("ListContainerInstances", {"cluster": cluster})
        return list(answer["containerInstanceArns"])

    def _heal(self) -> None:
        """Faults are over; what is needed to run every job is there."""
        stage = self._stage
        self._say("all faults end")
        stage.redis_weather.calm = stage.ecs_weather.calm = True
        stage.redis_weather.down = stage.redis_weather.read_only = False
        for replica in self._replicas:
            replica.heal()
        for cluster in CLUSTERS[: stage.scenario.clusters]:
            stage.sim.add_instances(cluster, stage.scenario.fleet)
            for arn in self._instances(cluster):
                stage.sim.set_agent_connected(cluster, arn, True)
                self._set_status(cluster, arn, "ACTIVE")

    def _say(self, what: str) -> None:
        self._stage.history.say("fault", what)
