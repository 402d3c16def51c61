"""What befalls container instances: agents that flap, hosts that die, Spot capacity that is
reclaimed."""

from collections.abc import Callable

from ecs_simulator.agenda import Appointment
from ecs_simulator.faults import FaultOptions, Hazard
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
        """Begin anew with these rates."""
        for appointment in self._planned:
            appointment.due = 0
        self._planned = []
        for hazard, strike in (
            (options.agent_flap, self.flap),
            (options.instance_death, self.kill),
            (options.spot_interruption, self.interrupt),
        ):
            if hazard.per_hour > 0:
                appointment = Appointment()
                self._planned.append(appointment)
                self._next(hazard, strike, appointment)

    def _next(
        self, hazard: Hazard, strike: Callable[[Instance, float], None], appointment: Appointment
    ) -> None:
        region = self._region
        start = region.dice.started_at
        begin = max(region.now, start + hazard.from_s)
        eligible = self._eligible(strike == self.interrupt)
        rate = hazard.per_hour / 3600.0 * len(eligible)
        wait = region.dice.rng.expovariate(rate) if rate else _IDLE_RETRY_S

        def fall(_: object, at: float) -> None:
            candidates = self._eligible(strike == self.interrupt)
            if rate and candidates:
                strike(region.dice.rng.choice(candidates), hazard.lasting_s)
            if at < start + hazard.until_s:
                self._next(hazard, strike, appointment)

        if begin + wait < start + hazard.until_s:
            region.agenda.schedule(begin + wait, fall, (appointment,))

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
