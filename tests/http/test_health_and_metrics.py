"""Health, readiness, status and metrics."""

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ecs_scheduler.errors import HttpSideUnavailable
from ecs_scheduler.metrics import Metrics
from ecs_scheduler.web.server import listen


async def samples(site: Any) -> dict[tuple[str, str], float]:
    """Every sample of /metrics by name and its label values."""
    async with site.http.get(f"{site.url}/metrics") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/plain"
        text = await answer.text()
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_health_asks_nobody(site_without_redis: Any) -> None:
    """A living process is healthy, whatever Redis does: a restart would not mend that."""
    assert await site_without_redis.get("/healthz") == (200, {"status": "ok"})


async def test_ready_when_redis_answers_and_the_model_is_fresh(site: Any) -> None:
    """200, with what it was judged by."""
    assert await site.get("/readyz") == (
        200,
        {
            "ready": True,
            "missing": [],
            "redis": "ok",
            "model_age_s": 2.5,
            "instances": 5,
            "policies": {"version": "", "error": ""},
            "avoided": {},
        },
    )


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        (
            {"ready": False, "model_age_s": None},
            "the first complete look at the cluster's instances is not done yet",
        ),
        (
            {"ready": False, "leading": False, "model_age_s": None},
            "this scheduler does not lead; it stands by for the one that does",
        ),
        ({"ready": False}, "the scheduler is stopping"),
        ({"model_age_s": 61.0}, "the cluster model is 61 s old; at most 60"),
    ],
)
async def test_not_ready_says_what_is_missing(
    site: Any, changes: dict[str, Any], missing: str
) -> None:
    """503, so that no traffic comes, and the reason for people."""
    site.now(**changes)
    code, answer = await site.get("/readyz")
    assert (code, answer["ready"], answer["missing"]) == (503, False, [missing])


async def test_not_ready_without_redis(site_without_redis: Any) -> None:
    """Redis is named, with its address."""
    code, answer = await site_without_redis.get("/readyz")
    assert code == 503
    assert "Redis at redis://127.0.0.1:1/0 does not answer" in answer["missing"][0]


async def test_status_shows_the_service(site: Any) -> None:
    """The whole ServiceStatus as JSON."""
    code, status = await site.get("/v1/status")
    assert code == 200
    assert status["jobs"] == {"RUNNABLE": 3, "RUNNING": 2}
    assert status["budgets"][0]["tokens"] == 97.5
    assert status["waiting"] == {"RESOURCE:CPU": 3}


async def test_gauges_follow_the_status(site: Any) -> None:
    """Each scrape reads the status anew, and a reason that is gone is gone."""
    first = await samples(site)
    assert first["ecs_scheduler_jobs", "RUNNABLE"] == 3
    assert first["ecs_scheduler_jobs", "FAILED"] == 0
    assert first["ecs_scheduler_cluster_utilisation_ratio", "CPU"] == 0.25
    assert first["ecs_scheduler_cluster_utilisation_ratio", "GPU"] == 0
    assert first["ecs_scheduler_budget_tokens", "modify"] == 97.5
    assert first["ecs_scheduler_model_age_seconds", ""] == 2.5
    assert first["ecs_scheduler_waiting_jobs", "RESOURCE:CPU"] == 3
    site.now(waiting={"RESOURCE:GPU": 1})
    second = await samples(site)
    assert second["ecs_scheduler_waiting_jobs", "RESOURCE:GPU"] == 1
    assert ("ecs_scheduler_waiting_jobs", "RESOURCE:CPU") not in second


async def test_counters_count_what_happened(site: Any) -> None:
    """Passes, decisions, launches, dead letters, and the ECS seam's own tally."""
    calls = {("StartTask", "ok"): 4, ("StartTask", "Throttled"): 1, ("ListTasks", "CallUnknown"): 2}
    site.metrics.watch_ecs_calls(calls)
    site.metrics.pass_done(0.02, start=5, wait=2, reject=1)
    site.metrics.launched("StartTask", "started", 5)
    site.metrics.dead_letters(3)
    calls["RunTask", "CallRefused"] = 6
    calls["RunTask", "AwsRefused"] = 1
    found = await samples(site)
    assert found["ecs_scheduler_pass_duration_seconds_count", ""] == 1
    assert found["ecs_scheduler_placements_total", "start"] == 5
    assert found["ecs_scheduler_placements_total", "wait"] == 2
    assert found["ecs_scheduler_launches_total", "StartTask,started"] == 5
    assert found["ecs_scheduler_dead_letters_total", ""] == 3
    assert found["ecs_scheduler_ecs_requests_total", "StartTask,ok"] == 4
    assert found["ecs_scheduler_ecs_requests_total", "ListTasks,unknown"] == 2
    assert found["ecs_scheduler_ecs_requests_total", "RunTask,refused"] == 7
    assert found["ecs_scheduler_ecs_throttled_total", "StartTask"] == 1


async def test_waiting_reasons_never_grow_without_bound(site: Any) -> None:
    """The most frequent keep their names, the rest is summed up."""
    site.now(waiting={f"reason-{n}": n for n in range(1, 101)})
    found = await samples(site)
    reasons = {label: value for (name, label), value in found.items() if "waiting" in name}
    assert len(reasons) == 21
    assert reasons["reason-100"] == 100
    assert sum(reasons.values()) == sum(range(1, 101))


def test_services_in_one_process_do_not_share_metrics() -> None:
    """Each Metrics has its own registry."""
    first, second = Metrics(), Metrics()
    first.dead_letters(1)
    assert b"ecs_scheduler_dead_letters_total 1.0" in first.render()
    assert b"ecs_scheduler_dead_letters_total 0.0" in second.render()


def test_a_taken_port_is_named() -> None:
    """With the settings that would help."""
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(HttpSideUnavailable, match=f"127.0.0.1:{port}: Address already in use"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.1"])
def test_an_address_that_is_not_ours_is_named(host: str) -> None:
    """A host that can't be listened on is said to be so."""
    with pytest.raises(HttpSideUnavailable, match=f"cannot listen on {host}:0: .*--http-host"):
        listen(host, 0)
