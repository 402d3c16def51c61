"""Enqueueing beside arq, rq, dramatiq, celery and taskiq, on the same Valkey in the same run.

Their clients need other releases of redis-py than ours, so they run in an interpreter of their own:
`python -m venv peers && peers/bin/pip install --group peers`, then
`PEERS_PYTHON=peers/bin/python python -m benchmarks peers` (several, for arq, with a colon between).
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.queue_bench import SPEC_BYTES, a_job
from benchmarks.report import Row, main

from ecs_queue.client import Queue
from ecs_queue.connection import connect
from ecs_queue.embedded import EmbeddedValkey

PEERS = ("arq", "rq", "dramatiq", "celery", "taskiq")
SCRIPT = Path(__file__).with_name("peers_enqueue.py")
LIMIT_S = 120


def run(quick: bool = False) -> list[Row]:
    """Jobs/s from one process, ours and each peer's by its fastest way of enqueueing."""
    count = 2_000 if quick else 20_000
    pythons = os.environ.get("PEERS_PYTHON", sys.executable).split(os.pathsep)
    with tempfile.TemporaryDirectory() as folder, EmbeddedValkey(data_dir=Path(folder)) as server:
        found = {peer: _peer(pythons, peer, str(server.socket_path), count // 4) for peer in PEERS}
        wall, cpu = asyncio.run(_ours(server.url, count))
    rates = {peer: answer for peer, answer in found.items() if isinstance(answer, float)}
    fastest = max(rates.values(), default=0.0)
    note = f"one process, batches of 500, {SPEC_BYTES}-byte documents; {cpu:,.0f} a CPU second"
    note += f"; {wall / fastest:.2f} x the fastest peer" if fastest else "; no peer to compare with"
    rows = [Row(name="enqueue, ecs_queue", value=wall, unit="jobs/s", note=note)]
    for peer in PEERS:
        answer = found[peer]
        value, note = (
            (answer, f"ours is {wall / answer:.1f} x")
            if isinstance(answer, float)
            else (
                0.0,
                answer,
            )
        )
        rows.append(Row(name=f"enqueue, {peer}", value=value, unit="jobs/s", note=note))
    return rows


async def _ours(url: str, count: int) -> tuple[float, float]:
    """Jobs a second, and jobs a second of this process's own CPU time."""
    client = connect(url)
    await client.flushall()
    queue = Queue(client)
    jobs = [a_job(number) for number in range(count)]
    began, worked = time.perf_counter(), time.process_time()
    await queue.submit(jobs)
    taken, work = time.perf_counter() - began, time.process_time() - worked
    await client.aclose()
    return count / taken, count / work


def _peer(pythons: Sequence[str], peer: str, socket: str, count: int) -> float | str:
    """Jobs a second by the first interpreter that has the peer, or why there is no figure."""
    reason = "no interpreter"
    for python in pythons:
        command = [python, str(SCRIPT), peer, socket, str(count), str(SPEC_BYTES)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        if done.returncode == 0:
            return float(json.loads(done.stdout.splitlines()[-1]))
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return f"left out: {reason}"


if __name__ == "__main__":
    main(run)
