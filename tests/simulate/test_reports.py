"""The README's answer to "which policy, and what would it cost" says what the reports say."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecs_scheduler.cli import main
from ecs_scheduler.policies.reading import read_book
from ecs_scheduler.simulate.compare import Interval, interval
from ecs_scheduler.simulate.report import number
from ecs_scheduler.simulate.verdict import seconds

ROOT = Path(__file__).parents[2]
REPORTS = ROOT / "docs" / "reports"
POLICIES = ROOT / "docs" / "policies"
OPENB = ROOT.parent / "shared" / "data" / "openb"
README = (ROOT / "README.md").read_text("utf-8")
HEAD = "| policy | 1,000 jobs cost | instance-hours | median wait | 95 % within |"
LARGEST = {".html": 400_000, ".json": 400_000, ".svg": 150_000}
NAMES = ("openb", "burst")


def report(name: str) -> Any:
    return json.loads((REPORTS / f"{name}.json").read_text("utf-8"))


def table_under(name: str) -> dict[str, list[str]]:
    """The rows of the README's table of a report, by policy."""
    _, _, after = README.partition(f"(docs/reports/{name}.svg)")
    lines = after.partition(HEAD)[2].splitlines()[2:]
    rows = {}
    for line in lines:
        if not line.startswith("|"):
            break
        policy, *cells = (re.sub(r"[*`]", "", cell).strip() for cell in line.strip("|").split("|"))
        rows[policy] = cells
    return rows


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_s_figures_are_the_report_s(name: str) -> None:
    """Every policy of the report has its row, with the figures rounded as the report rounds."""
    expected = {
        each["policy"]: [
            f"${number(each['metrics']['cost_per_1000']['mean'])}",
            number(each["metrics"]["instance_hours"]["mean"]),
            seconds(each["metrics"]["wait_median_s"]["mean"]),
            seconds(each["metrics"]["wait_p95_s"]["mean"]),
        ]
        for each in report(name)["policies"]
    }
    assert table_under(name) == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_report_stands_alone_and_says_how_it_was_made(name: str) -> None:
    """No file needs the network or is large; page and picture show what the JSON says."""
    page = (REPORTS / f"{name}.html").read_text("utf-8")
    picture = (REPORTS / f"{name}.svg").read_text("utf-8")
    found = report(name)
    assert "src=" not in page
    assert "href=" not in page
    assert f"docs/reports/{name}.html" in README
    assert re.search(r"ecs-scheduler simulate .*--trace", found["command"])
    for each in found["policies"]:
        assert f">{each['policy']}</text>" in picture
        assert number(each["metrics"]["cost"]["mean"]) in page
        assert each["metrics"]["unfinished"]["mean"] == 0
    assert found["price_per_hour"].keys() == {each["instance_type"] for each in found["fleet"]}


@pytest.mark.slow
@pytest.mark.skipif(not OPENB.is_dir(), reason="the trace is not here")
@pytest.mark.parametrize("policy", ["openb-cost", "ecs:binpack(cpu)"])
def test_the_openb_report_comes_out_again(
    policy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first seed of two policies, with the report's own flags: as many instances are open at
    every moment.
    """
    file = POLICIES / f"{policy}.toml"
    monkeypatch.chdir(tmp_path)
    tables = ["--pods", str(OPENB / "openb_pod_list_default.csv")]
    tables += ["--nodes", str(OPENB / "openb_node_list_all_node.csv"), "--fleet-of", "60"]
    outputs = ["--out-trace", "openb.jsonl", "--out-fleet", "openb-fleet.jsonl"]
    assert main(["trace", "import", "--format", "openb", *tables, *outputs]) == 0
    words = shlex.split(report("openb")["command"])[3:]
    kept = dict(zip(words[::2], words[1::2], strict=True))
    kept |= {"--seeds": "1", "--policy": str(file) if file.exists() else policy}
    assert main(["simulate", "--outline", *(word for pair in kept.items() for word in pair)]) == 0
    (again,) = json.loads(Path("openb.json").read_text("utf-8"))["policies"]
    (known,) = [each for each in report("openb")["policies"] if each["policy"] == policy]
    assert again["runs"][0]["open_instances"] == known["runs"][0]["open_instances"]


def test_no_file_of_the_reports_is_large() -> None:
    """A page that is opened once must not weigh on every clone."""
    for path in REPORTS.iterdir():
        assert path.stat().st_size <= LARGEST.get(path.suffix, 20_000), path


OWN = ("ecs:binpack(memory)", "ecs:binpack(cpu)", "ecs:spread", "ecs:random")


def change(name: str, key: str, one: str, other: str) -> Interval:
    """What `one` has more of than `other`, seed by seed on the same course of events."""
    runs = {each["policy"]: each["runs"] for each in report(name)["policies"]}
    pairs = zip(runs[one], runs[other], strict=True)
    return interval(np.array([mine[key] - its[key] for mine, its in pairs]))


@pytest.mark.parametrize("other", OWN)
@pytest.mark.parametrize("policy", ["openb-hours", "openb-cost", "default"])
def test_tuned_and_default_need_fewer_instance_hours_beyond_chance(policy: str, other: str) -> None:
    """Than each of ECS's own, on the same seeds, at no longer median wait."""
    assert change("openb", "instance_hours", policy, other).high < 0
    assert change("openb", "wait_median_s", policy, other).high < 0.001


@pytest.mark.parametrize("other", OWN)
@pytest.mark.parametrize("policy", ["openb-cost", "default"])
def test_they_cost_less_too_beyond_chance(policy: str, other: str) -> None:
    assert change("openb", "cost", policy, other).high < 0


@pytest.mark.parametrize("key", ["instance_hours", "cost"])
@pytest.mark.parametrize("other", OWN)
def test_the_default_is_no_worse_in_bursts_within_chance(other: str, key: str) -> None:
    assert change("burst", key, "default", other).low <= 0


@pytest.mark.parametrize("name", ["openb-hours", "openb-cost"])
def test_the_tuned_policies_can_be_used_as_they_are(name: str) -> None:
    """They are valid files which say where they come from."""
    policy = read_book(POLICIES / f"{name}.toml").named("tuned")
    assert "Found by tuning on" in policy.about
