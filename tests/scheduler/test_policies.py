"""Windows of the week, who is under which policy, and what a hash of the job's id decides."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs_queue.job import Job, JobId
from ecs_scheduler.policies.live import LivePolicies
from ecs_scheduler.policies.reading import book_of
from ecs_scheduler.policies.trial import Trial
from ecs_scheduler.policies.windows import Windows

BOOK = """
[policies.bulk]
[policies.own]
[policies.night]
[use]
shares = { "a-*" = "bulk", a-b = "night" }
queues = { nightly = "night" }
"""


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("windows", "zone", "now", "opens"),
    [
        ("Mon-Fri 20:00-06:00", "UTC", "2026-11-26T19:59", "2026-11-26T20:00"),  # a Thursday
        ("Mon-Fri 20:00-06:00", "UTC", "2026-11-28T05:59", "2026-11-28T05:59"),  # still Friday's
        ("Mon-Fri 20:00-06:00", "UTC", "2026-11-28T06:00", "2026-11-30T20:00"),
        ("Sat,Sun", "UTC", "2026-11-26T12:00", "2026-11-28T00:00"),
        ("Fri-Mon 09:00-10:00", "UTC", "2026-11-26T12:00", "2026-11-27T09:00"),
        ("22:00-24:00", "Europe/Berlin", "2026-11-26T20:30", "2026-11-26T21:00"),
        ("02:30-03:00", "Europe/Berlin", "2026-03-28T12:00", "2026-03-30T00:30"),  # a lost hour
    ],
)
def test_windows_open_when_their_words_say(windows: str, zone: str, now: str, opens: str) -> None:
    spans = Windows(tuple(windows.split(";")), zone)
    assert spans.opens_at_ms(at(now)) == at(opens)
    assert spans.open_at(at(now)) == (now == opens)


@pytest.mark.parametrize(
    ("job", "queue", "policy"),
    [
        ({"policy": "own", "share": "a-x"}, "nightly", "own"),
        ({"share": "a-x"}, "nightly", "bulk"),
        ({"share": "a-b"}, "other", "night"),
        ({}, "nightly", "night"),
        ({}, "other", "default"),
    ],
)
def test_a_job_then_its_share_then_its_queue_then_the_default(
    job: dict[str, Any], queue: str, policy: str
) -> None:
    chosen = book_of(BOOK, "p").choose(Job(id=JobId("j"), task_definition="t:1", **job), queue)
    assert (chosen.policy.name, chosen.why_not) == (policy, "")


def test_an_unknown_name_falls_back_and_says_so() -> None:
    job = Job(id=JobId("j"), task_definition="t:1", share="a-x", policy="nigt")
    chosen = book_of(BOOK, "p.toml").choose(job, "other")
    assert chosen.policy.name == "bulk"
    assert chosen.why_not == "policy 'nigt' is not in p.toml; did you mean night?"


def test_a_reload_is_taken_over_whole_or_not_at_all(tmp_path: Path) -> None:
    """The second file has one right and one wrong policy: neither comes into force."""
    file = tmp_path / "p.toml"
    file.write_text("[policies.a]\nobjective = 'open'")
    live = LivePolicies(book_of(file.read_text(), str(file)), "q", file)
    before = live.status()
    file.write_text("[policies.a]\nobjective = 'fill'\n[policies.b]\ngear = 'fats'")
    live.reload()
    after = live.status()
    assert (after.version, after.labels) == (before.version, before.labels)
    assert "p.toml:4: policies.b.gear" in after.error
    file.write_text("[policies.a]\nobjective = 'fill'")
    live.reload()
    mended = live.status()
    assert mended.version != before.version
    assert (mended.error, mended.reloads) == ("", {"ok": 1, "error": 1})


def test_a_version_tells_what_decides_and_nothing_else() -> None:
    """Name, description and order of fields make no difference; a weight does."""
    texts = (
        "[policies.a]\nabout = 'x'\ngear = 'fast'\nseed = 3",
        "[policies.b]\nseed = 3\ngear = 'fast'",
        "[policies.b]\nseed = 4\ngear = 'fast'",
    )
    versions = [book_of(text, "p").policies[1].version for text in texts]
    assert versions[0] == versions[1] != versions[2]


@given(st.text(max_size=20), st.floats(0, 100), st.floats(0, 100))
def test_a_larger_percentage_takes_all_that_a_smaller_one_took(
    job_id: str, one: float, other: float
) -> None:
    small, large = sorted((one, other))
    if Trial("c", "default", small).takes(job_id):
        assert Trial("c", "default", large).takes(job_id)
    assert not Trial("c", "default", 0).takes(job_id)
    assert Trial("c", "default", 100).takes(job_id)
