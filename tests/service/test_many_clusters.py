"""One process serves several pairs of queue and cluster."""

import pytest

from ecs_scheduler.config import Config
from ecs_scheduler.serving import served


def test_each_pair_has_its_own_configuration() -> None:
    """Queue, cluster, ports, and the queue of its events; the rest is shared."""
    url = "https://sqs.eu-west-1.amazonaws.com/1/{queue}-{cluster}"
    arn = "arn:aws:ecs:eu-west-1:123456789012:cluster/analytics"
    config = Config(serve=("nightly@batch", f"etl@{arn}"), http_port=9000, events_queue_url=url)
    first, second = served(config)
    assert (first.queue, first.cluster, first.http_port) == ("nightly", "batch", 9000)
    assert (second.queue, second.cluster, second.http_port) == ("etl", arn, 9001)
    assert second.events_queue_url == "https://sqs.eu-west-1.amazonaws.com/1/etl-analytics"
    assert second.aws_region == "eu-west-1"
    assert second.lease_s == config.lease_s


def test_without_pairs_there_is_one() -> None:
    """As before: queue and cluster."""
    config = Config(queue="q", cluster="c")
    assert list(served(config)) == [config]


@pytest.mark.parametrize("pair", ["batch", "@batch", "q@", "q@b@c"])
def test_what_is_no_pair_is_refused(pair: str) -> None:
    """QUEUE@CLUSTER, nothing else."""
    with pytest.raises(ValueError, match="serve"):
        Config(serve=(pair,))
