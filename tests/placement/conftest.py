"""Small builders for clusters and requests, and what Hypothesis draws them from."""

from collections.abc import Callable

import pytest
from hypothesis import settings

from ecs_placement.request import RequestId, Shape, TaskRequest
from ecs_placement.snapshot import Instance, InstanceId

Vector = tuple[int, int, int, int]

# A shared machine is no reason to fail: the time of one example says nothing about the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def instance() -> Callable[..., Instance]:
    """An empty instance of 4096 CPU units, 16384 MiB and three ENIs unless told otherwise."""

    def build(name: str, total: Vector = (4096, 16384, 0, 3), **fields: object) -> Instance:
        fields.setdefault("free", total)
        return Instance(InstanceId(name), total, **fields)  # type: ignore[arg-type]

    return build


@pytest.fixture
def task() -> Callable[..., TaskRequest]:
    """A request of 1024 CPU units and 2048 MiB unless told otherwise."""

    def build(name: str, *, priority: int = 0, order: int = 0, **shape: object) -> TaskRequest:
        demand = {"cpu_units": 1024, "memory_mib": 2048} | shape
        return TaskRequest(RequestId(name), Shape(**demand), priority, order)  # type: ignore[arg-type]

    return build
