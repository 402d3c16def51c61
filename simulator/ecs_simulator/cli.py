"""`ecs-simulator`: a local ECS on the command line. Exit codes: 0 ended well, 1 failed, 2 usage."""

import asyncio
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter
from cyclopts.validators import Number

from ecs_simulator.autoscaling import AutoScalingGroup, load_auto_scaling_groups
from ecs_simulator.errors import FaultError, FleetError, InvariantBroken, SimulatorError
from ecs_simulator.faults import FaultOptions, load_faults
from ecs_simulator.fleet import Fleet, InstanceGroup, load_fleet
from ecs_simulator.options import Options

FAILED, USAGE = 1, 2

app = App(
    name="ecs-simulator",
    help="A simulated Amazon ECS to try schedulers and tools against.",
    version_flags=[],
)


@app.command(name="help")
def show_help() -> None:
    """Show what there is."""
    app.help_print([])


@Parameter(name="*")
@dataclass(frozen=True)
class Serve:
    """What to serve, and where."""

    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535))] = 8000
    """TCP port; 0 takes a free one."""
    host: str = "127.0.0.1"
    """Address to listen on. There is no authentication: think before opening it up."""
    cluster: str = "demo"
    """Cluster that the instances join."""
    instances: Annotated[int, Parameter(validator=Number(gte=0))] = 10
    """How many container instances to register; 0 leaves the cluster empty."""
    instance_type: str = "m5.xlarge"
    """Their EC2 instance type."""
    fleet: Path | None = None
    """Fleet file instead of --instances: TOML with [[instances]] and [[auto_scaling_groups]]
    tables, or JSON lines of instances."""
    region: str = "us-east-1"
    """AWS Region to play."""
    seed: int = 0
    """Decides every random draw: ids, run times, placement ties."""
    throttle: bool = True
    """Throttle requests at AWS's published rates."""
    faults: Path | None = None
    """Faults file (TOML), such as `lost_reply = 0.01`; docs/simulator.md lists them."""
    events: str | None = None
    """Deliver EventBridge events into a simulated SQS queue of this name, served here as well."""
    speed: Annotated[float, Parameter(validator=Number(gt=0, lte=1_000_000))] = 1.0
    """Simulated seconds per second."""


@app.command
def serve(*, options: Serve = Serve()) -> int:
    """Serve a simulated ECS over HTTP until SIGTERM or Ctrl-C."""
    fleet: Fleet = ()
    scaling: tuple[AutoScalingGroup, ...] = ()
    faults = FaultOptions()
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", options.cluster):
        return _fail(f"--cluster: 1 to 255 letters, digits, _ or -, not {options.cluster!r}", USAGE)
    if not re.fullmatch(r"[a-z0-9-]{1,64}", options.region):
        return _fail(f"--region: a name such as us-east-1, not {options.region!r}", USAGE)
    if options.events is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,80}", options.events):
        return _fail(f"--events: 1 to 80 letters, digits, _ or -, not {options.events!r}", USAGE)
    try:
        if options.faults is not None:
            faults = load_faults(options.faults)
        if options.fleet is not None:
            scaling = load_auto_scaling_groups(options.fleet)
            fleet = load_fleet(options.fleet, may_be_empty=bool(scaling))
        elif options.instances:
            fleet = (InstanceGroup(count=options.instances, instance_type=options.instance_type),)
    except (FaultError, FleetError) as error:
        return _fail(str(error), USAGE)
    return asyncio.run(_serve(options, fleet, scaling, faults))


async def _serve(
    options: Serve, fleet: Fleet, scaling: tuple[AutoScalingGroup, ...], faults: FaultOptions
) -> int:
    from ecs_simulator.clock import ServerClock
    from ecs_simulator.server import Serving, start, stop_signal
    from ecs_simulator.simulation import SimulatedEcs

    clock = ServerClock(options.speed)
    ecs = SimulatedEcs(
        Options(region=options.region, throttled=options.throttle, faults=faults),
        clock,
        options.seed,
    )
    stopped = stop_signal()
    count = len(ecs.add_instances(options.cluster, fleet))
    for group in scaling:
        ecs.add_auto_scaling_group(group)
    broken: list[InvariantBroken] = []

    def give_up(error: InvariantBroken) -> None:
        broken.append(error)
        stopped.set()

    serving = Serving(speed=options.speed, skip=clock.skip, broken=give_up)
    try:
        runner, port = await start(ecs, options.host, options.port, serving)
    except OSError as error:
        reason = error.strerror or error
        return _fail(
            f"cannot listen on {options.host}:{options.port}: {reason}; try --port 0", FAILED
        )
    endpoint = f"http://{options.host}:{port}"
    _say(
        f"Simulated ECS at {endpoint} (region {options.region}, cluster {options.cluster}, "
        f"{count} container instances, seed {options.seed})"
    )
    _say(
        f"Try: AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x aws ecs list-container-instances "
        f"--cluster {options.cluster} --region {options.region} --endpoint-url {endpoint}"
    )
    if scaling:
        names = ", ".join(group.name for group in scaling)
        _say(f"Auto Scaling groups for capacity providers to name: {names}")
    if options.events is not None:
        queue = ecs.send_events_to(options.events)
        _say(f"EventBridge events go to the SQS queue {queue.url}, served at the same endpoint")
    await stopped.wait()
    await runner.cleanup()
    return _fail(str(broken[0]), FAILED) if broken else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"ecs-simulator: {message}\n")
    return code


def main(arguments: list[str] | None = None) -> None:
    """Entry point; ends with SystemExit."""
    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        raise SystemExit(_fail(str(error), USAGE)) from None
    except SimulatorError as error:
        raise SystemExit(_fail(str(error), FAILED)) from None
    raise SystemExit(code if isinstance(code, int) else 0)
