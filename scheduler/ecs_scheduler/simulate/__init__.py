"""`ecs-scheduler simulate`: policies compared on a workload before they are live.

workload → one world per policy and seed, played in virtual time → record → measures → comparison
→ table, JSON and a report in HTML.
"""

from ecs_scheduler.simulate.command import simulate

__all__ = ["simulate"]
