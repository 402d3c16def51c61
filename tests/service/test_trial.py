"""A candidate policy beside the live one, under a running service in virtual time."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ecs_queue.states import JobState
from ecs_scheduler.policies.trial import Trial
from ecs_simulator import InstanceGroup

Run = Callable[..., None]
FOUR = (InstanceGroup(count=4, instance_type="m5.xlarge"),)
SPREAD = '[policies.new]\nchain = ["spread(instanceId)"]\n[trial]\ncandidate = "new"\n'
NOWHERE = """
[policies.new]
filters = ["attribute:rack == none"]
[trial]
candidate = "new"
percent = 50
roll_back = { wait_s = 10, for_s = 30, least_jobs = 5 }
"""


def sleep(job_id: str, seconds: int, **members: Any) -> dict[str, Any]:
    command = {"name": "main", "command": ["sleep", str(seconds)]}
    return {"id": job_id, "overrides": {"containerOverrides": [command]}, **members}


def test_in_the_shadow_it_decides_everything_and_does_nothing(world: Run, tmp_path: Path) -> None:
    """Spreading would open all four instances; best fit, which acts, opens one."""
    file = tmp_path / "p.toml"
    file.write_text(SPREAD)

    async def story(w: Any) -> None:
        await w.submit(*(sleep(f"j{i}", 60) for i in range(3)))
        for i in range(3):
            await w.until(f"j{i}", JobState.RUNNING)
        status = w.service.status()
        assert len({each.instance for each in status.latest}) == 1
        assert all("by policy default@" in each.detail for each in status.latest)
        trial = status.policies.trial
        assert (trial.started, trial.opened) == ((3, 3), (1, 3))
        assert trial.moved == 2

    world(story, fleet=FOUR, policy_file=str(file))


def test_a_percentage_of_the_jobs_goes_by_the_candidate(world: Run, tmp_path: Path) -> None:
    """Exactly those whose hash says so, however often they are asked about."""
    file = tmp_path / "p.toml"
    file.write_text(SPREAD + "percent = 40")

    async def story(w: Any) -> None:
        await w.submit(*(sleep(f"j{i}", 5) for i in range(20)))
        for i in range(20):
            await w.until(f"j{i}")
        latest = w.service.status().latest
        by = Counter(each.detail.partition("policy ")[2].partition("@")[0] for each in latest)
        taken = {f"j{i}" for i in range(20) if Trial("new", "default", 40).takes(f"j{i}")}
        assert 0 < len(taken) < 20
        assert all(("policy new@" in e.detail) == (e.job_id in taken) for e in latest)
        assert set(by) == {"new", "default"}

    world(story, fleet=FOUR, policy_file=str(file))


def test_a_candidate_that_starts_nothing_is_rolled_back(world: Run, tmp_path: Path) -> None:
    """Half of the jobs wait for instances that are not there; then they run by the live policy."""
    file = tmp_path / "p.toml"
    file.write_text(NOWHERE)

    async def story(w: Any) -> None:
        await w.submit(*(sleep(f"j{i}", 30) for i in range(16)))
        await asyncio.sleep(20)
        assert not w.service.status().policies.trial.rolled_back
        for i in range(16):
            assert (await w.until(f"j{i}")).state is JobState.SUCCEEDED
        trial = w.service.status().policies.trial
        assert "its jobs wait" in trial.rolled_back
        assert trial.percent == 0

    world(story, fleet=FOUR, policy_file=str(file))


def test_a_rolled_back_candidate_stays_so_after_a_restart(world: Run, tmp_path: Path) -> None:
    """The next scheduler of the queue gives it no job, until the file has another version."""
    file = tmp_path / "p.toml"
    file.write_text(NOWHERE)

    async def story(w: Any) -> None:
        await w.submit(*(sleep(f"j{i}", 30) for i in range(16)))
        for i in range(16):
            await w.until(f"j{i}")
        assert w.service.status().policies.trial.rolled_back
        w.service.stop()
        await asyncio.wait({w.running[-1]})
        async with w.another_service():
            await w.submit(*(sleep(f"k{i}", 2) for i in range(10)))
            for i in range(10):
                assert (await w.until(f"k{i}", timeout_s=60)).state is JobState.SUCCEEDED
            trial = w.service.status().policies.trial
            assert (trial.percent, "its jobs wait" in trial.rolled_back) == (0, True)
            file.write_text(NOWHERE.replace("percent = 50", "percent = 60"))
            w.service.policies.reload()
            await asyncio.sleep(5)
            trial = w.service.status().policies.trial
            assert (trial.percent, trial.rolled_back) == (60, "")

    world(story, fleet=FOUR, policy_file=str(file))
