"""What every part of the service shares, wired once: the queue, ECS, the cluster model, the
clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ecs_queue.client import Queue
    from ecs_queue.states import OwnerId
    from ecs_scheduler.clock import Clock
    from ecs_scheduler.cluster.model import ClusterModel
    from ecs_scheduler.config import Config
    from ecs_scheduler.ecs.client import Ecs
    from ecs_scheduler.ecs.task_definitions import TaskDefinitions
    from ecs_scheduler.metrics import Metrics
    from ecs_scheduler.policies.live import LivePolicies


@dataclass(frozen=True, slots=True)
class Around:
    """The service's surroundings; `owner` is the name its claims are held under."""

    config: Config
    queue: Queue
    owner: OwnerId
    ecs: Ecs
    model: ClusterModel
    definitions: TaskDefinitions
    metrics: Metrics
    clock: Clock
    policies: LivePolicies
