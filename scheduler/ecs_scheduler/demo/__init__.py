"""`ecs-scheduler demo`: the service on an embedded Valkey and the simulated ECS, with a workload.

`workload` says what will run where, `stage` builds it, `feed` submits, `view` shows, `account`
checks the books against the simulated ECS, and `command` puts these together.
"""

from ecs_scheduler.demo.command import demo

__all__ = ["demo"]
