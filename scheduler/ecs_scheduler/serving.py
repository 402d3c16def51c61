"""What one process serves: a queue and a cluster, or several such pairs."""

from collections.abc import Iterator

from ecs_scheduler.config import Config


def served(config: Config) -> Iterator[Config]:
    """A configuration for each pair of queue and cluster; each has an HTTP side of its own, on the
    ports that follow.
    """
    if not config.serve:
        yield config
    for number, pair in enumerate(config.serve):
        queue, _, cluster = pair.partition("@")
        alone = config.model_copy(update={"queue": queue, "cluster": cluster})
        url = config.events_queue_url
        yield alone.model_copy(
            update={
                "http_port": _port(config.http_port, number),
                "worker_port": _port(config.worker_port, number),
                "events_queue_url": url
                and url.replace("{queue}", queue).replace("{cluster}", alone.cluster_name),
            }
        )


def _port(first: int | None, number: int) -> int | None:
    """Port 0, any free one, stays so."""
    return first + number if first else first
