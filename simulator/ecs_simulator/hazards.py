"""What befalls container instances: agents that flap, hosts that die, Spot capacity that is
reclaimed."""

from collections.abc import Callable, Sequence

from ecs_simulator.agenda import Appointment
from ecs_simulator.faults import FaultOptions, Hazard, Storm
from ecs_simulator.operations.instances import deregister, set_state
from ecs_simulator.records import Instance
from ecs_simulator.region import Region

SPOT_NOTICE_S = 120.0
_IDLE_RETRY_S = 60.0


class Hazards:
    """Strikes random instances at the rates of FaultOptions; also on request."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._planned: list[Appointment] = []

    def plan(self, options: FaultOptions) -> None:
        """Begin anew with these rates and moments; those that are past are left out."""
        for appointment in self._planned:
            appointment.due = 0
        self._planned = []
        for hazard, strike in (
            (options.agent_flap, self.flap),
            (options.instance_death, self.kill),
            (options.spot_interruption, self.interrupt),
        ):
            self._plan_one(hazard, strike)
        storm = options.spot_storm
        self._moments(storm.at_s, lambda: self._storm(storm.share))
        if storm.per_hour > 0:
            self._next(storm, lambda: self._storm(storm.share), lambda: 1, self._appointment())

    def _plan_one(self, hazard: Hazard, strike: Callable[[Instance, float], None]) -> None:
        spot_only = strike == self.interrupt

        def fall() -> None:
            candidates = self._eligible(spot_only)
            if candidates:
                strike(self._region.dice.rng.choice(candidates), hazard.lasting_s)

        self._moments(hazard.at_s, fall)
        if hazard.per_hour > 0:
            exposed = lambda: len(self._eligible(spot_only))  # noqa: E731
            self._next(hazard, fall, exposed, self._appointment())

    def _appointment(self) -> Appointment:
        appointment = Appointment()
        self._planned.append(appointment)
        return appointment

    def _moments(self, at_s: Sequence[float], fall: Callable[[], None]) -> None:
        region = self._region
        for moment in at_s:
            at = region.dice.started_at + moment
            if at >= region.now:
                region.agenda.schedule(at, lambda _, __: fall(), (self._appointment(),))

    def _next(
        self,
        hazard: Hazard | Storm,
        fall: Callable[[], None],
        exposed: Callable[[], int],
        appointment: Appointment,
    ) -> None:
        """Plan the next strike; the rate is that of so many exposed ones now."""
        region = self._region
        start = region.dice.started_at
        begin = max(region.now, start + hazard.from_s)
        rate = hazard.per_hour / 3600.0 * exposed()
        wait = region.dice.rng.expovariate(rate) if rate else _IDLE_RETRY_S

        def step(_: object, at: float) -> None:
            if rate:
                fall()
            if at < start + hazard.until_s:
                self._next(hazard, fall, exposed, appointment)

        if begin + wait < start + hazard.until_s:
            region.agenda.schedule(begin + wait, step, (appointment,))

    def _storm(self, share: float) -> None:
        exposed = self._eligible(spot_only=True)
        for instance in self._region.dice.rng.sample(exposed, round(share * len(exposed))):
            self.interrupt(instance)

    def _eligible(self, spot_only: bool) -> list[Instance]:
        return [
            instance
            for cluster in self._region.clusters.values()
            for instance in cluster.instances.values()
            if instance.status in ("ACTIVE", "DRAINING")
            and instance.agent_connected
            and not instance.doomed
            and (instance.spot or not spot_only)
        ]

    def flap(self, instance: Instance, lasting_s: float) -> None:
        """Disconnect the agent for a while."""
        region = self._region
        region.agents.set_connected(instance, False, region.now)
        away_s = region.dice.rng.expovariate(1.0 / max(lasting_s, 0.001))

        def back(_: object, at: float) -> None:
            if not instance.dead and instance.status != "INACTIVE":
                region.agents.set_connected(instance, True, at)

        region.agenda.schedule(region.now + away_s, back, (Appointment(),))

    def kill(self, instance: Instance, lasting_s: float) -> None:
        """The host is gone now; ECS notices `lasting_s` later."""
        region = self._region
        instance.dead = instance.doomed = True
        region.agents.set_connected(instance, False, region.now)
        region.agents.history.note(region.now, "died", instance)
        region.agenda.schedule(
            region.now + lasting_s,
            lambda _, at: self._gone(instance, "TerminationNotice"),
            (Appointment(),),
        )

    def interrupt(self, instance: Instance, _: float = 0.0) -> None:
        """Two minutes' notice; the agent drains if it is set up to, then the host is gone."""
        region = self._region
        instance.doomed = True
        region.agents.history.note(region.now, "Spot interruption notice", instance)
        if region.agents.spot_noticed is not None:
            region.agents.spot_noticed(instance, region.now)
        if region.options.spot_draining and instance.agent_connected:
            set_state(region, instance, "DRAINING")
        region.agenda.schedule(
            region.now + SPOT_NOTICE_S,
            lambda _, at: self._gone(instance, "SpotInterruption"),
            (Appointment(),),
        )

    def _gone(self, instance: Instance, code: str) -> None:
        instance.dead = True
        if instance.status != "INACTIVE":
            reason = f"Host EC2 (instance {instance.ec2_id}) terminated."
            deregister(self._region, instance, reason, code)
