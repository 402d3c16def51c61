"""Policies under a running service: windows, filters, fallbacks, reloads and what is recorded."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecs_queue.states import JobState
from ecs_scheduler.decisions.log import log_files, read_file
from ecs_scheduler.decisions.replaying import replay
from ecs_simulator import InstanceGroup

Run = Callable[..., None]
TWO_ZONES = (
    InstanceGroup(count=2, instance_type="m5.xlarge", availability_zone="us-east-1a"),
    InstanceGroup(count=2, instance_type="m5.xlarge", availability_zone="us-east-1b"),
)
FILE = """
[policies.b-only]
filters = ["attribute:ecs.availability-zone == us-east-1b"]
[policies.late]
windows = ["00:02-24:00"]
"""


FARGATE = {
    "family": "fargate",
    "networkMode": "awsvpc",
    "requiresCompatibilities": ["EC2", "FARGATE"],
    "cpu": "1024",
    "memory": "2048",
    "containerDefinitions": [{"name": "main", "image": "busybox"}],
}


def sleep(job_id: str, seconds: int, **members: Any) -> dict[str, Any]:
    command = {"name": "main", "command": ["sleep", str(seconds)]}
    return {"id": job_id, "overrides": {"containerOverrides": [command]}, **members}


def test_each_job_runs_under_its_own_policy(world: Run, tmp_path: Path) -> None:
    """A filter holds, a window opens two minutes into the day, an unknown name says so."""
    file = tmp_path / "policies.toml"
    file.write_text(FILE)

    async def story(w: Any) -> None:
        await w.submit(
            *(sleep(f"b{i}", 5, policy="b-only") for i in range(4)),
            sleep("late", 5, policy="late"),
            sleep("astray", 5, policy="b-onl"),
        )
        for job_id in ("b0", "b1", "b2", "b3", "astray"):
            assert (await w.until(job_id)).state is JobState.SUCCEEDED
        placed = {each.job_id: each for each in w.service.status().latest}
        version = w.service.policies.book.named("b-only").version
        assert f"by policy b-only@{version}" in placed["b0"].detail
        assert "policy 'b-onl' is not in" in placed["astray"].detail
        zones = await zones_of(w)
        assert {zones[placed[f"b{i}"].instance] for i in range(4)} == {"us-east-1b"}
        await asyncio.sleep(30)
        late = await w.queue.job("late")
        assert late.state is JobState.RUNNABLE
        assert late.reason == (
            "policy late starts jobs only 00:02-24:00 (UTC); next at 2026-01-01T00:02Z"
        )
        assert (await w.until("late")).state is JobState.SUCCEEDED

    world(story, fleet=TWO_ZONES, policy_file=str(file))


async def zones_of(w: Any) -> dict[str, str]:
    snapshot = w.service._around.model.snapshot(w.clock.now())
    return {
        each.id.rpartition("/")[2]: str(each.attributes["ecs.availability-zone"])
        for each in snapshot.instances
    }


def test_a_reload_changes_what_comes_and_a_wrong_file_nothing(world: Run, tmp_path: Path) -> None:
    """The next job goes by the new file; after a broken one the policies stay, and it shows."""
    file = tmp_path / "policies.toml"
    file.write_text("[policies.default]\n")

    async def story(w: Any) -> None:
        await w.submit(sleep("before", 5))
        await w.until("before")
        file.write_text(
            '[policies.default]\nfilters = ["attribute:ecs.availability-zone == us-east-1b"]'
        )
        w.service.policies.reload()
        await w.submit(*(sleep(f"after{i}", 5) for i in range(3)))
        for i in range(3):
            await w.until(f"after{i}")
        file.write_text("[policies.default]\nfilters = 3")
        w.service.policies.reload()
        await w.submit(sleep("still", 5))
        await w.until("still")
        placed = {each.job_id: each.instance for each in w.service.status().latest}
        zones = await zones_of(w)
        later = ("after0", "after1", "after2", "still")
        assert {zones[placed[job_id]] for job_id in later} == {"us-east-1b"}
        status = w.service.status().policies
        assert "policies.default.filters: expected" in status.error
        assert status.reloads == {"ok": 1, "error": 1}

    world(story, fleet=TWO_ZONES, policy_file=str(file))


@pytest.mark.parametrize(
    "policy",
    [
        'chain = ["spread(instanceId)"]',
        'score = { "spread(attribute:ecs.availability-zone)" = 1 }',
        '[[policies.default.limits]]\nfield = "attribute:ecs.availability-zone"\nmost = 1',
    ],
    ids=["a chain", "a score", "a limit"],
)
def test_a_spread_counts_what_runs_already(world: Run, tmp_path: Path, policy: str) -> None:
    """Jobs that name no group are in their family's, as ECS has it: the second goes elsewhere."""
    file = tmp_path / "policies.toml"
    file.write_text(f"[policies.default]\n{policy}\n")

    async def story(w: Any) -> None:
        for name in ("a", "b", "c", "d"):
            await w.submit(sleep(name, 300))
            await w.until(name, JobState.RUNNING)
        zones = await zones_of(w)
        placed = Counter(zones[each.instance] for each in w.service.status().latest)
        assert placed == {"us-east-1a": 2, "us-east-1b": 2}

    world(story, fleet=TWO_ZONES, policy_file=str(file))


def test_a_policy_s_fallback_is_used_where_the_job_has_none(world: Run, tmp_path: Path) -> None:
    """No room for 30 s: FARGATE, as the policy of its share says."""
    file = tmp_path / "policies.toml"
    file.write_text(
        "[policies.out]\nfallback = { after_s = 30, launch_type = 'FARGATE' }\n"
        "[use]\nshares = { burst = 'out' }"
    )

    async def story(w: Any) -> None:
        await w.submit(*(sleep(f"full{i}", 300) for i in range(4)))
        await w.until("full3", JobState.RUNNING)
        w.sim.call("RegisterTaskDefinition", FARGATE)
        network = {"awsvpcConfiguration": {"subnets": ["subnet-a"]}}
        out = {"task_definition": "fargate", "network_configuration": network, "share": "burst"}
        await w.submit({"id": "out", **out})
        await asyncio.sleep(45)
        placed = {each.job_id: each for each in w.service.status().latest}
        assert placed["out"].api == "RunTask"

    world(story, fleet=(InstanceGroup(count=1, instance_type="m5.xlarge"),), policy_file=str(file))


def test_each_placement_names_a_decision_that_can_be_replayed(world: Run, tmp_path: Path) -> None:
    """Every logged decision of a running service comes out bit for bit again."""
    named: set[str] = set()

    async def story(w: Any) -> None:
        await w.submit(*(sleep(f"j{i}", 2) for i in range(6)))
        for i in range(6):
            await w.until(f"j{i}")
        details = [each.detail for each in w.service.status().latest]
        named.update(detail.rpartition(", decision ")[2] for detail in details)

    world(story, fleet=(InstanceGroup(count=1),), decision_log=str(tmp_path))
    decisions = [each for path in log_files(tmp_path) for each in read_file(path)]
    assert named
    assert named <= {each.id for each in decisions}
    assert all(replay(each).exact for each in decisions)
