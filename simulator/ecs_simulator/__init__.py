"""A cluster to try: the simulated ECS control plane, its agents and workloads."""
