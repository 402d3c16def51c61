"""RunTask: where ECS itself chooses the instances, by constraints, then strategies, then at
random."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ecs_simulator.errors import EcsError, invalid_parameter
from ecs_simulator.fields import (
    Request,
    choice,
    client_token,
    integer,
    required_text,
    structs,
    text,
)
from ecs_simulator.operations.capacity import provider_shares, start_provisioning
from ecs_simulator.operations.launching import (
    conflict,
    fingerprint,
    launch_of,
    member_of,
    new_task,
    settle_on,
    zones_of,
)
from ecs_simulator.query import parse_query
from ecs_simulator.records import STOPPED, Cluster, Instance, Launch, Task, TokenUse
from ecs_simulator.region import Region, failure
from ecs_simulator.resources import refusal
from ecs_simulator.shapes import task_shape

MAX_COUNT = 10
RUN_TASK_STARTED_BY = 128
TOKEN_LIFE_S = 24 * 3600.0
TOKEN_AFTER_END_S = 3600.0
FAILURES_WHOLE_S = 3600.0
"""After this a repeated RunTask only counts its failures (API Reference, ECS idempotency)."""

Failures = list[dict[str, Any]]
Strategy = tuple[str, str]


def run_task(region: Region, request: Request) -> dict[str, Any]:
    """RunTask: up to ten tasks; a repeated clientToken answers what it answered the first time."""
    cluster = region.cluster(request)
    token = client_token(request)
    if token is not None:
        earlier = _earlier(region, cluster, token, request)
        if earlier is not None:
            return earlier
    tasks, failures = _run(region, cluster, request)
    if token is not None:
        use = TokenUse(fingerprint(request), tasks, failures, region.now)
        cluster.tokens[token] = use
    now = region.now
    return {"tasks": [task_shape(task, now) for task in tasks], "failures": failures}


def _earlier(
    region: Region, cluster: Cluster, token: str, request: Request
) -> dict[str, Any] | None:
    """The answer for a token that is still known (API Reference, ECS idempotency)."""
    use, now = cluster.tokens.get(token), region.now
    if use is None:
        return None
    ended = [task.stopped_at for task in use.tasks]
    all_over = bool(ended) and all(at is not None and now - at >= TOKEN_AFTER_END_S for at in ended)
    if all_over or now - use.at >= TOKEN_LIFE_S:
        del cluster.tokens[token]
        return None
    if use.fingerprint != fingerprint(request):
        raise conflict([task.arn for task in use.tasks])
    shapes = [
        task_shape(task, now)
        if task.status < STOPPED
        else {
            "taskArn": task.arn,
            "lastStatus": "STOPPED",
            "desiredStatus": "STOPPED",
        }
        for task in use.tasks
    ]
    failures = use.failures
    if failures and now - use.at > FAILURES_WHOLE_S:
        failures = [{"reason": "FAILURES", "detail": str(len(failures))}]
    return {"tasks": shapes, "failures": failures}


def _run(region: Region, cluster: Cluster, request: Request) -> tuple[list[Task], Failures]:
    count = integer(request, "count", 1)
    if not 1 <= count <= MAX_COUNT:
        raise invalid_parameter("Task count must be between 1 and 10.")
    launch_type = choice(request, "launchType", ("EC2", "FARGATE", "EXTERNAL"))
    strategy = structs(request, "capacityProviderStrategy")
    if strategy and launch_type:
        raise invalid_parameter(
            "Specifying both a launch type and capacity provider strategy is not supported. "
            "Remove one and try again."
        )
    if not strategy and launch_type is None:
        strategy = cluster.default_strategy
    if not strategy:
        return _batch(region, cluster, request, (launch_type or "EC2", None, count))
    tasks: list[Task] = []
    failures: Failures = []
    for name, share in provider_shares(region, cluster, strategy, count):
        kind = "FARGATE" if name.startswith("FARGATE") else "EC2"
        some, failed = _batch(region, cluster, request, (kind, name, share))
        tasks += some
        failures += failed
    return tasks, failures


def _batch(
    region: Region, cluster: Cluster, request: Request, what: tuple[str, str | None, int]
) -> tuple[list[Task], Failures]:
    """Launch (launch type, capacity provider, count)."""
    launch_type, provider, count = what
    launch = launch_of(region, request, launch_type, RUN_TASK_STARTED_BY)
    if launch_type == "FARGATE":
        _check_fargate(launch)
        serverless = [new_task(region, cluster, launch, provider) for _ in range(count)]
        region.agents.launch(serverless, region.now)
        return serverless, []
    rules = Rules(request, launch)
    present = [
        one
        for one in cluster.instances.values()
        if one.status == "ACTIVE" and (provider is None or one.capacity_provider == provider)
    ]
    if not present and provider is None:
        raise invalid_parameter("No Container Instances were found in your cluster.")
    tasks: list[Task] = []
    failures: Failures = []
    while len(tasks) < count:
        instance, failures = choose(region, present, launch, rules)
        if instance is None:
            break
        tasks.append(new_task(region, cluster, launch, provider or instance.capacity_provider))
        settle_on(region, tasks[-1], instance)
    region.agents.launch(tasks, region.now)
    if provider is None:
        return tasks, failures if len(tasks) < count else []
    while len(tasks) < count:
        tasks.append(start_provisioning(region, cluster, launch, provider, rules.suits))
    return tasks, []


def _check_fargate(launch: Launch) -> None:
    if "FARGATE" not in launch.definition.document["compatibilities"]:
        raise EcsError(
            "PlatformTaskDefinitionIncompatibilityException",
            "Task definition does not support launch_type FARGATE.",
        )


class Rules:
    """The constraints and strategies of one RunTask request, its task definition's included."""

    def __init__(self, request: Request, launch: Launch) -> None:
        self._launch = launch
        self.distinct = False
        constraints = structs(request, "placementConstraints")
        own = launch.definition.document["placementConstraints"]
        if len(constraints) + len(own) > 10:
            raise invalid_parameter("placementConstraints can have at most 10 items")
        self._predicates = []
        for item in constraints:
            if item.get("type") == "distinctInstance":
                self.distinct = True
            elif item.get("type") == "memberOf":
                expression = required_text(item, "expression", "Placement constraint expression")
                self._predicates.append(parse_query(expression))
            else:
                raise invalid_parameter(
                    "Placement constraint type should be one of [distinctInstance,memberOf]"
                )
        self.strategies = _strategies(request)

    def suits(self, instance: Instance) -> bool:
        """Whether the instance satisfies every constraint."""
        group = self._launch.group
        if self.distinct and any(
            task.wanted and task.launch.group == group for task in instance.tasks.values()
        ):
            return False
        return member_of(self._launch.definition, instance) and all(
            predicate(instance) for predicate in self._predicates
        )


def _strategies(request: Request) -> list[Strategy]:
    rules = structs(request, "placementStrategy")
    if len(rules) > 5:
        raise invalid_parameter("placementStrategy can have at most 5 items")
    found = []
    for item in rules:
        kind, field = text(item, "type"), text(item, "field") or ""
        if kind not in ("random", "spread", "binpack"):
            raise invalid_parameter(
                "Placement strategy type should be one of [random,spread,binpack]"
            )
        if kind == "binpack" and field.lower() not in ("cpu", "memory"):
            raise invalid_parameter("binpack strategy field should be one of [cpu,memory]")
        if kind == "spread" and not (
            field in ("instanceId", "host") or field.startswith("attribute:")
        ):
            raise invalid_parameter(f"Invalid field for spread strategy: {field}")
        found.append((kind, field.lower() if kind == "binpack" else field))
    return found


def choose(
    region: Region, present: Sequence[Instance], launch: Launch, rules: Rules
) -> tuple[Instance | None, Failures]:
    """The instance for one task, or why each instance was passed over."""
    zones = zones_of(region, launch)
    candidates: list[Instance] = []
    failures: Failures = []
    most = region.options.undocumented.run_task_failures_max
    for instance in present:
        reason = refusal(instance, launch, zones)
        if reason is None and not rules.suits(instance):
            reason = "MemberOf placement constraint unsatisfied."
        if reason is None:
            candidates.append(instance)
        elif len(failures) < most:
            failures.append(failure(instance.arn, reason))
    if not candidates:
        return None, failures
    for kind, field in rules.strategies:
        candidates = _narrowed(candidates, _rank(kind, field, launch.group, present))
    return region.rng.choice(candidates), []


def _narrowed(candidates: list[Instance], rank: Callable[[Instance], float]) -> list[Instance]:
    best = min(rank(one) for one in candidates)
    return [one for one in candidates if rank(one) == best]


def _rank(
    kind: str, field: str, group: str, present: Sequence[Instance]
) -> Callable[[Instance], float]:
    """Lower is better: least available resource, or fewest tasks of the group so far."""
    if kind == "random":
        return lambda _: 0.0
    if kind == "binpack":
        return lambda one: one.free_cpu if field == "cpu" else one.free_memory
    name = field.removeprefix("attribute:")

    def bin_of(instance: Instance) -> str | None:
        return instance.id if name in ("instanceId", "host") else instance.attributes.get(name)

    counts: Counter[str | None] = Counter()
    for instance in present:
        for task in instance.tasks.values():
            if task.wanted and task.launch.group == group:
                counts[bin_of(instance)] += 1
    return lambda one: counts[bin_of(one)]
