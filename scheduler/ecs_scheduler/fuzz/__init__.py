"""`ecs-scheduler fuzz`: the production service under faults drawn from one seed, in virtual time.

`scenario` draws what will happen, `gate`, `ecs_faults` and `redis_faults` make it happen, `replica`
runs services that die and come back, `run` plays one seed, and `invariants` judges it.
"""

from ecs_scheduler.fuzz.command import fuzz

__all__ = ["fuzz"]
