"""What a service takes of the account's API rates, and what it shows of that."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ecs_queue.states import JobState
from ecs_scheduler.metrics import Metrics
from ecs_simulator import FEW_CAPABILITIES, InstanceGroup, Options
from ecs_simulator.options import Bucket

Run = Callable[..., None]
MODIFY = "Cluster resource modify"
ROOMY = (InstanceGroup(count=10, instance_type="m5.4xlarge"),)


def distinct(number: int) -> dict[str, Any]:
    environment = [{"name": "N", "value": str(number)}]
    container = {"name": "main", "cpu": 64, "environment": environment, "command": ["sleep", "900"]}
    return {"id": f"j{number}", "overrides": {"containerOverrides": [container]}}


def shown(w: Any) -> dict[tuple[str, str], float]:
    """The samples of /metrics by name and label values."""
    metrics = Metrics()
    metrics.observe(w.service.status())
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


@pytest.mark.parametrize("share", [0.1, 0.05])
def test_a_share_of_the_budget_is_used_and_the_rest_left_to_others(
    world: Run, share: float
) -> None:
    """Of 40 calls a second and 100 at once, this one may take so much; it takes nearly that."""

    async def story(w: Any) -> None:
        await w.until_ready()
        await w.submit(*(distinct(number) for number in range(150)))
        await asyncio.sleep(20)
        calls = w.sim.statistics.calls["StartTask"]
        allowed = share * (100 + 40 * 20)
        assert 0.8 * allowed < calls <= allowed

    world(story, fleet=ROOMY, budget_share=share)


def test_what_is_spent_saved_and_refused_is_shown(world: Run) -> None:
    """Forty equal jobs share calls, ten a call; then ECS allows less than we were told, and what it
    refuses is counted.
    """

    async def story(w: Any) -> None:
        await w.until_ready()
        equal = {"name": "main", "cpu": 900, "command": ["sleep", "900"]}
        overrides = {"containerOverrides": [equal]}
        await w.submit(*({"id": f"e{number}", "overrides": overrides} for number in range(40)))
        await w.until("e39", JobState.RUNNING)
        samples, calls = shown(w), w.sim.statistics.calls["StartTask"]
        assert samples["ecs_scheduler_budget_spent_calls", "modify"] == calls
        assert samples["ecs_scheduler_budget_saved_calls", ""] == 40 - calls
        assert calls == 4
        assert samples["ecs_scheduler_budget_refused_calls", "modify"] == 0
        await w.submit(*(distinct(number) for number in range(30)))
        await asyncio.sleep(10)
        samples, refused = shown(w), w.sim.statistics.throttled[MODIFY]
        assert samples["ecs_scheduler_budget_refused_calls", "modify"] == refused > 0
        assert samples["ecs_scheduler_budget_rate", "modify"] < 40

    rates = {**Options().rates, MODIFY: Bucket(burst=10, per_second=2)}
    fleet = (InstanceGroup(count=10, instance_type="m5.xlarge"),)
    world(story, fleet=fleet, options=Options(agent_capabilities=FEW_CAPABILITIES, rates=rates))
