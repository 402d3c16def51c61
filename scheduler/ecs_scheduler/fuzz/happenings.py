"""The director plays a scenario's events at their times, and in the end makes everything well."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ecs_scheduler.fuzz.replica import Replica, Stage
    from ecs_scheduler.fuzz.scenario import Happening

CLUSTER = "default"
Again: TypeAlias = "Callable[[], Awaitable[None]]"


class Director:
    """Kills, freezes, outages and instances that come and go. `again` has the producers say again
    what Redis may have forgotten.
    """

    def __init__(self, stage: Stage, replicas: Sequence[Replica], again: Again) -> None:
        self._stage = stage
        self._replicas = replicas
        self._again = again

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
            case "redis fails over":
                await self._fail_over(happening.for_s)
            case "spot storm":
                await self._storm(happening)
            case "scripts lost":
                self._say("Redis forgets its scripts")
                self._stage.servers.one(b"SCRIPT", b"FLUSH")
            case _:
                await self._instance(happening)

    async def _fail_over(self, behind_s: float) -> None:
        now = asyncio.get_running_loop().time
        backup, began = self._stage.servers.backup(), now()
        await asyncio.sleep(behind_s)
        self._say(f"Redis fails over and forgets {behind_s:.1f} s")
        self._stage.servers.promote(backup)
        self._stage.redis_weather.forgotten.append((began, now()))
        await self._again()

    async def _storm(self, happening: Happening) -> None:
        """Half of the Spot instances get their notice at once; later as many new ones come."""
        sim = self._stage.sim
        hit = [each for each in self._instances() if sim.is_spot(CLUSTER, each)][::2]
        self._say(f"Spot notice for {len(hit)} instances")
        for arn in hit:
            sim.interrupt_spot(CLUSTER, arn)
        await asyncio.sleep(happening.for_s)
        if hit:
            sim.add_instances(CLUSTER, self._stage.scenario.fleet[:1])

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
