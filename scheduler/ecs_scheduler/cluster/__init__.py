"""The cluster as this service knows it: what ECS said, what we promised since, whom to avoid."""
