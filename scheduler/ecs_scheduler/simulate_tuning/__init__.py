"""`ecs-scheduler tune`: searches policies by simulating them, on any number of machines.

space (what can be chosen) → search (Optuna asks, simulations answer) → choice and ablation →
policy file and report.
"""

from ecs_scheduler.simulate_tuning.command import tune

__all__ = ["tune"]
