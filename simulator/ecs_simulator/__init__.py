"""A cluster to try: the simulated ECS control plane, its agents and workloads."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecs_simulator.autoscaling import AutoScalingGroup
    from ecs_simulator.capabilities import AGENT_CAPABILITIES, FEW_CAPABILITIES
    from ecs_simulator.collector import without_collections
    from ecs_simulator.containers import Behaviour, SimulatedContainers
    from ecs_simulator.errors import (
        ConnectionCut,
        EcsError,
        FaultError,
        FleetError,
        InvariantBroken,
        SimulatorError,
        VirtualDeadlock,
    )
    from ecs_simulator.evidence import Statistics, TaskRecord, Utilisation
    from ecs_simulator.faults import Fault, FaultOptions, Hazard, Storm, faults_from
    from ecs_simulator.fleet import Fleet, InstanceGroup, load_fleet
    from ecs_simulator.options import Bucket, Lifecycle, Options, Undocumented
    from ecs_simulator.session import http_session_class
    from ecs_simulator.simulation import SimulatedEcs
    from ecs_simulator.virtual_time import VirtualClock, run_virtual

_HOMES = {
    "AGENT_CAPABILITIES": "capabilities",
    "FEW_CAPABILITIES": "capabilities",
    "AutoScalingGroup": "autoscaling",
    "Behaviour": "containers",
    "SimulatedContainers": "containers",
    "ConnectionCut": "errors",
    "EcsError": "errors",
    "Fault": "faults",
    "FaultError": "errors",
    "FaultOptions": "faults",
    "Hazard": "faults",
    "Storm": "faults",
    "faults_from": "faults",
    "FleetError": "errors",
    "InvariantBroken": "errors",
    "SimulatorError": "errors",
    "VirtualDeadlock": "errors",
    "Statistics": "evidence",
    "TaskRecord": "evidence",
    "Utilisation": "evidence",
    "Fleet": "fleet",
    "InstanceGroup": "fleet",
    "load_fleet": "fleet",
    "Bucket": "options",
    "Lifecycle": "options",
    "Options": "options",
    "Undocumented": "options",
    "http_session_class": "session",
    "SimulatedEcs": "simulation",
    "VirtualClock": "virtual_time",
    "run_virtual": "virtual_time",
    "without_collections": "collector",
}

__all__ = [
    "AGENT_CAPABILITIES",
    "FEW_CAPABILITIES",
    "AutoScalingGroup",
    "Behaviour",
    "Bucket",
    "ConnectionCut",
    "EcsError",
    "Fault",
    "FaultError",
    "FaultOptions",
    "Fleet",
    "FleetError",
    "Hazard",
    "InstanceGroup",
    "InvariantBroken",
    "Lifecycle",
    "Options",
    "SimulatedContainers",
    "SimulatedEcs",
    "SimulatorError",
    "Statistics",
    "Storm",
    "TaskRecord",
    "Undocumented",
    "Utilisation",
    "VirtualClock",
    "VirtualDeadlock",
    "faults_from",
    "http_session_class",
    "load_fleet",
    "run_virtual",
    "without_collections",
]


def __getattr__(name: str) -> Any:
    """Import public names when they are first asked for: the package itself stays cheap to
    import."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
