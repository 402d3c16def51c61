"""The director plays a scenario's events at their times, and in the end makes everything well."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fakeredis import FakeAsyncRedis

    from ecs_scheduler.fuzz.replica import Replica, Stage
    from ecs_scheduler.fuzz.scenario import Happening

CLUSTER = "default"


class Director:
    """Kills, freezes, outages and instances that come and go."""

    def __init__(self, stage: Stage, replicas: Sequence[Replica], redis: FakeAsyncRedis) -> None:
        self._stage = stage
        self._replicas = replicas
        self._redis = redis

    async def play(self) -> None:
        """All events; returns when the fault phase is over and everything is well again."""
        phase_s = self._stage.scenario.fault_phase_s
        try:
            async with asyncio.timeout(phase_s), asyncio.TaskGroup() as events:
                for happening in self._stage.scenario.happenings:
                    events.create_task(self._happen(happening))
                events.create_task(asyncio.sleep(phase_s + 1))
        except TimeoutError:
            self._heal()

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
            case "scripts lost":
                self._say("Redis forgets its scripts")
                await self._redis.script_flush()
            case _:
                await self._instance(happening)

    async def _instance(self, happening: Happening) -> None:
        arns = self._instances()
        if not arns:
            return
        arn = arns[happening.which % len(arns)]
        self._say(f"instance {arn[-32:-24]} {happening.what} for {happening.for_s:.1f} s")
        if happening.what == "disconnect":
            self._stage.sim.set_agent_connected(CLUSTER, arn, False)
            await asyncio.sleep(happening.for_s)
            self._stage.sim.set_agent_connected(CLUSTER, arn, True)
        elif happening.what == "drain":
            self._set_status(arn, "DRAINING")
            await asyncio.sleep(happening.for_s)
            self._set_status(arn, "ACTIVE")
        elif happening.what == "lose":
            self._stage.sim.call(
                "DeregisterContainerInstance",
                {"cluster": CLUSTER, "containerInstance": arn, "force": True},
            )
            await asyncio.sleep(happening.for_s)
            self._stage.sim.add_instances(CLUSTER, self._stage.scenario.fleet[:1])

    def _set_status(self, arn: str, status: str) -> None:
        self._stage.sim.call(
            "UpdateContainerInstancesState",
            {"cluster": CLUSTER, "containerInstances": [arn], "status": status},
        )

    def _instances(self) -> list[str]:
        answer = self._stage.sim.call("ListContainerInstances", {"cluster": CLUSTER})
        return list(answer["containerInstanceArns"])

    def _heal(self) -> None:
        """Faults are over; what is needed to run every job is there."""
        stage = self._stage
        self._say("all faults end")
        stage.redis_weather.calm = stage.ecs_weather.calm = True
        stage.redis_weather.down = stage.redis_weather.read_only = False
        for replica in self._replicas:
            replica.heal()
        stage.sim.add_instances(CLUSTER, stage.scenario.fleet)
        for arn in self._instances():
            stage.sim.set_agent_connected(CLUSTER, arn, True)
            self._set_status(arn, "ACTIVE")

    def _say(self, what: str) -> None:
        self._stage.history.say("fault", what)
