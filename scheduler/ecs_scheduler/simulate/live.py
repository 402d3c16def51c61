"""The live cluster's instances as the fleet of a simulation: a snapshot, read once."""

import os
from pathlib import Path

from ecs_scheduler.cli.failures import InvalidInput
from ecs_scheduler.clock import SystemClock
from ecs_scheduler.config_sources import load_config
from ecs_scheduler.ecs import client as ecs
from ecs_scheduler.recording.recorder import instances_of
from ecs_simulator.fleet import Fleet, InstanceGroup


async def live_fleet() -> Fleet:
    """What is registered and ACTIVE now, in the cluster that the settings name (environment and
    ecs-scheduler.toml, as for `run`). Only reads. Raises InvalidInput when there is nothing.
    """
    config = load_config({}, os.environ, directory=Path.cwd(), file=None)
    async with ecs.connect(config, SystemClock()) as client:
        await client.verify_cluster()
        groups = await instances_of(client)
    if not groups:
        raise InvalidInput(f"--snapshot live: no instance is ACTIVE in cluster {config.cluster}")
    return tuple(InstanceGroup(**group.document) for group in groups)
