"""Make it so: the service that places jobs from the queue on an ECS cluster."""
