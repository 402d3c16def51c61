"""docs/workloads.md works as it is written."""

import json
import re
import shlex
from pathlib import Path

import pytest

from ecs_queue.document import parse_job
from ecs_scheduler.cli import main
from ecs_simulator.workloads.arrivals import read_trace

TEXT = (Path(__file__).parents[2] / "docs" / "workloads.md").read_text("utf-8")
TABLES = {
    "pods.csv": (
        "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,"
        "deletion_time,scheduled_time\nwhole,1000,512,1,1000,,LS,Running,0,9,0\n"
    ),
    "nodes.csv": "sn,cpu_milli,memory_mib,gpu,model\nnode-0,8000,32768,2,T4\n",
    "instance_events.jsonl": "".join(
        json.dumps(
            {
                "time": str(second * 1_000_000),
                "type": kind,
                "collection_id": "7",
                "instance_index": 0,
                "resource_request": {"cpus": 0.25, "memory": 0.125},
            }
        )
        + "\n"
        for second, kind in ((600, 0), (601, 3), (660, 6))
    ),
    "collection_events.jsonl": '{"time": "0", "type": 0, "collection_id": "7", "user": "u"}\n',
    "machine_events.jsonl": json.dumps(
        {"time": "0", "machine_id": "1", "type": 1, "capacity": {"cpus": 1, "memory": 1}}
    ),
}


def blocks(language: str) -> list[str]:
    """The code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_every_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the page's own table and one small recording of each kind; all jobs are jobs."""
    monkeypatch.chdir(tmp_path)
    (table,) = blocks("csv")
    for name, content in {**TABLES, "jobs.csv": table}.items():
        Path(name).write_text(content)
    lines = "".join(blocks("sh")).replace("\\\n", " ").splitlines()
    assert len(lines) == 6
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "ecs-scheduler"
        assert main(arguments) == 0
        out = Path(arguments[arguments.index("--out-trace") + 1])
        arrivals = read_trace(out)
        assert arrivals
        for arrival in arrivals:
            parse_job(json.dumps(arrival.job))
        out.unlink()


def test_the_line_shown_is_one(tmp_path: Path) -> None:
    """It reads as a trace of one arrival."""
    (line,) = blocks("json")
    file = tmp_path / "trace.jsonl"
    file.write_text(line)
    (arrival,) = read_trace(file)
    assert parse_job(json.dumps(arrival.job)).id == "film-7"
