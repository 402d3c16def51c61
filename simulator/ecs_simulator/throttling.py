"""Request throttling: one token bucket per category, shared by every caller of the account and
Region."""

from collections.abc import Mapping

from ecs_simulator.options import Bucket

CATEGORIES: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "StartTask",
            "RunTask",
            "StopTask",
            "ExecuteCommand",
            "PutAttributes",
            "DeleteAttributes",
            "DeregisterContainerInstance",
            "UpdateContainerAgent",
            "UpdateContainerInstancesState",
        ),
        "Cluster resource modify",
    ),
    **dict.fromkeys(
        (
            "DescribeContainerInstances",
            "DescribeTasks",
            "ListContainerInstances",
            "ListTasks",
            "ListAttributes",
        ),
        "Cluster resource read",
    ),
    **dict.fromkeys(("DescribeClusters", "ListClusters"), "Cluster read"),
    **dict.fromkeys(
        ("RegisterTaskDefinition", "DeregisterTaskDefinition"), "Task definition modify"
    ),
    **dict.fromkeys(
        ("DescribeTaskDefinition", "ListTaskDefinitions", "ListTaskDefinitionFamilies"),
        "Task definition read",
    ),
    "DescribeCapacityProviders": "Capacity provider read",
    **dict.fromkeys(
        ("CreateCapacityProvider", "UpdateCapacityProvider", "DeleteCapacityProvider"),
        "Capacity provider modify",
    ),
    "RegisterContainerInstance": "Agent modify",
    **dict.fromkeys(("TagResource", "UntagResource"), "Tag modify"),
    "ListTagsForResource": "Tag read",
}
"""Operation → throttling category (API Reference, "Request throttling"); others are not
throttled."""


class Throttle:
    """The buckets of one account in one Region; every bucket starts full."""

    def __init__(self, rates: Mapping[str, Bucket], now: float) -> None:
        self._rates = dict(rates)
        self._tokens = {category: bucket.burst for category, bucket in rates.items()}
        self._filled_at = dict.fromkeys(rates, now)

    def admits(self, operation: str, now: float) -> bool:
        """Take one token for `operation`; False when there is none."""
        category = CATEGORIES.get(operation)
        bucket = self._rates.get(category) if category else None
        if category is None or bucket is None:
            return True
        elapsed = max(0.0, now - self._filled_at[category])
        tokens = min(bucket.burst, self._tokens[category] + elapsed * bucket.per_second)
        self._filled_at[category] = now
        admitted = tokens >= 1.0
        self._tokens[category] = tokens - 1.0 if admitted else tokens
        return admitted
