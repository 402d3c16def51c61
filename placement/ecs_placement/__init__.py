"""Where it runs: the functional core. numpy in, a Plan out; no I/O, no clock."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ecs_placement.arrays import pack
    from ecs_placement.batch import place
    from ecs_placement.check import Violation
    from ecs_placement.explain import sentence
    from ecs_placement.explanation import why
    from ecs_placement.policy import DEFAULT_POLICY, Policy
    from ecs_placement.preemption import preempt

__all__ = ["DEFAULT_POLICY", "Policy", "Violation", "pack", "place", "preempt", "sentence", "why"]

_HOME = {
    "DEFAULT_POLICY": "policy",
    "Policy": "policy",
    "Violation": "check",
    "pack": "arrays",
    "place": "batch",
    "preempt": "preemption",
    "sentence": "explain",
    "why": "explanation",
}


def __getattr__(name: str) -> object:
    """Import on first use: numpy is loaded only by those who place."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
