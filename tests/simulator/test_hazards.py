"""Stories of instances: agents that flap, hosts that die, Spot capacity that is reclaimed."""

import pytest

from ecs_simulator import FaultOptions, Hazard, InstanceGroup, Options, SimulatedEcs, Storm

from .conftest import SMALL, MakeWorld, ManualClock, World


def test_a_host_dies_and_ecs_notices_later(world: World) -> None:
    """Until then its task looks alive; then it is STOPPED without an exit code."""
    (arn,) = world.add(SMALL)
    world.define(container={"command": ["sleep", "20"]})
    task = world.start(arn)["tasks"][0]["taskArn"]
    world.later(10)
    world.ecs.kill_instance("demo", arn, noticed_after_s=60)
    world.later(30)
    assert world.task(task)["lastStatus"] == "RUNNING"
    assert world.instance(arn)["agentConnected"] is False
    world.later(31)
    shape = world.task(task)
    assert (shape["lastStatus"], shape["stopCode"]) == ("STOPPED", "TerminationNotice")
    assert "terminated" in shape["stoppedReason"]
    assert "exitCode" not in shape["containers"][0]
    assert world("ListContainerInstances", cluster="demo")["containerInstanceArns"] == []


@pytest.mark.parametrize("draining", [False, True])
def test_spot_gives_two_minutes(make_world: MakeWorld, draining: bool) -> None:
    """A draining agent says so at once; its tasks run on until the host is gone."""
    world = make_world(spot_draining=draining)
    (arn,) = world.add(InstanceGroup(spot=True))
    world.define(container={"command": ["sleep", "1000"]})
    task = world.start(arn)["tasks"][0]["taskArn"]
    world.later(10)
    world.ecs.interrupt_spot("demo", arn)
    assert world.instance(arn)["status"] == ("DRAINING" if draining else "ACTIVE")
    world.later(119)
    assert world.task(task)["lastStatus"] == "RUNNING"
    world.later(2)
    shape = world.task(task)
    assert (shape["lastStatus"], shape["stopCode"]) == ("STOPPED", "SpotInterruption")
    assert world.instance(arn)["status"] == "INACTIVE"


def hour(faults: FaultOptions, seed: int = 1) -> SimulatedEcs:
    """One hour of a hundred instances, half of them Spot."""
    clock = ManualClock()
    ecs = SimulatedEcs(Options(faults=faults), clock, seed)
    ecs.add_instances("demo", (InstanceGroup(count=50), InstanceGroup(count=50, spot=True)))
    for _ in range(60):
        clock.seconds += 60
        ecs.advance()
        ecs.verify()
    return ecs


def words(ecs: SimulatedEcs, word: str) -> int:
    return sum(entry[1] == word for entry in ecs.region.agents.history)


def test_agents_flap_at_their_rate_and_come_back() -> None:
    """Two an hour for each of a hundred agents: about 200, and nobody stays away for long."""
    ecs = hour(FaultOptions(agent_flap=Hazard(per_hour=2.0, lasting_s=10.0)))
    assert 150 < words(ecs, "disconnected") < 250
    assert words(ecs, "disconnected") - words(ecs, "connected") < 5


def test_deaths_and_interruptions_at_their_rates() -> None:
    """A fifth of the hosts dies in an hour; only Spot instances are interrupted."""
    ecs = hour(
        FaultOptions(
            instance_death=Hazard(per_hour=0.2, lasting_s=60.0),
            spot_interruption=Hazard(per_hour=0.4),
        )
    )
    assert 8 < words(ecs, "died") < 35
    assert 8 < words(ecs, "Spot interruption notice") < 35
    noticed = {arn for _, what, arn in ecs.region.agents.history if what.startswith("Spot")}
    instances = ecs.region.clusters["demo"].instances.values()
    assert all(one.spot for one in instances if one.arn in noticed)
    lost = sum(one.status == "INACTIVE" for one in instances)
    assert lost == pytest.approx(words(ecs, "INACTIVE"))


def test_a_schedule_bounds_a_hazard_and_the_seed_decides_it() -> None:
    """Flaps only in the second half of the hour, at the same moments for the same seed."""
    flaps = FaultOptions(agent_flap=Hazard(per_hour=2.0, from_s=1800.0, until_s=2700.0))
    first, again, other = hour(flaps), hour(flaps), hour(flaps, seed=2)
    moments = [at for at, what, _ in first.region.agents.history if what == "disconnected"]
    start = first.region.dice.started_at
    assert moments
    assert all(1800 <= at - start <= 2701 for at in moments)
    assert list(first.region.agents.history) == list(again.region.agents.history)
    assert list(first.region.agents.history) != list(other.region.agents.history)


def test_hazards_strike_at_the_moments_that_are_given() -> None:
    """One instance each, whatever the rate; only Spot instances are interrupted."""
    ecs = hour(
        FaultOptions(
            agent_flap=Hazard(at_s=(600, 1200), lasting_s=5),
            instance_death=Hazard(at_s=(900,), lasting_s=30),
            spot_interruption=Hazard(at_s=(1800, 1801)),
        )
    )
    start = ecs.region.dice.started_at
    told = [(round(at - start), what) for at, what, _ in ecs.region.agents.history]
    assert (600, "disconnected") in told
    assert (1200, "disconnected") in told
    assert [at for at, what in told if what == "died"] == [900]
    assert [at for at, what in told if what.startswith("Spot")] == [1800, 1801]
    assert sorted(at for at, what in told if what == "INACTIVE") == [930, 1920, 1921]


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_spot_storm_takes_many_at_once(share: float) -> None:
    """Of fifty Spot instances this share gets its notice in the same moment."""
    ecs = hour(FaultOptions(spot_storm=Storm(at_s=(600,), share=share)))
    start = ecs.region.dice.started_at
    noticed = [at for at, what, _ in ecs.region.agents.history if what.startswith("Spot")]
    assert noticed == [start + 600] * round(50 * share)


def test_storms_come_at_their_rate_within_their_span() -> None:
    """Twenty an hour, in its first half only: about ten, of two instances each."""
    ecs = hour(FaultOptions(spot_storm=Storm(per_hour=20, until_s=1800, share=0.04)))
    start = ecs.region.dice.started_at
    noticed = [at - start for at, what, _ in ecs.region.agents.history if what.startswith("Spot")]
    assert 3 <= len(set(noticed)) <= 20
    assert max(noticed) < 1800


def test_moments_that_are_past_do_not_come_again(world: World) -> None:
    """Faults that are set later count from the start, as their spans do."""
    (arn,) = world.add(InstanceGroup(spot=True))
    world.later(700)
    world.ecs.set_faults(FaultOptions(spot_interruption=Hazard(at_s=(600, 800))))
    world.later(90)
    assert words(world.ecs, "Spot interruption notice") == 0
    world.later(20)
    assert words(world.ecs, "Spot interruption notice") == 1
    world.later(120)
    assert world.instance(arn)["status"] == "INACTIVE"
