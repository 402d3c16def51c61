"""How long `explain` and `plan` take beside a busy service, asked as by the command line.

A real service on a full cluster with a deep queue, whose passes go on; only the interpreter's
start is left out. Each row has its share of the limit, and the CPU seconds of the answer alone.
"""

import asyncio
import contextlib
import io
import json
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiobotocore.awsrequest import AioAWSResponse
from benchmarks.report import Row, main

from ecs_queue.client import Queue
from ecs_queue.connection import connect as connect_redis
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.job import Job, JobId
from ecs_scheduler.cli.explaining import explain, plan
from ecs_scheduler.cli.service_call import ServiceFlags
from ecs_scheduler.clock import SystemClock
from ecs_scheduler.config import Config
from ecs_scheduler.ecs import client as ecs
from ecs_scheduler.interpreter import collecting_seldom, short_turns
from ecs_scheduler.logs import configure_logging
from ecs_scheduler.metrics import Metrics
from ecs_scheduler.passes.service import Service
from ecs_scheduler.web.api import Backend, create_app
from ecs_scheduler.web.server import listen, serving
from ecs_simulator import (
    FEW_CAPABILITIES,
    InstanceGroup,
    Options,
    SimulatedEcs,
    http_session_class,
)
from ecs_simulator.session import InProcessSession

EXPLAIN_LIMIT_S, PLAN_LIMIT_S = 0.2, 0.3
GROUPS = 400
FILLER = {
    "name": "main",
    "image": "busybox",
    "cpu": 15_000,
    "memory": 60_000,
    "command": ["sleep", "1000000"],
}
READY_AFTER_S = 600.0
WATCHED_FOR_S, PAUSE_S = 20.0, 0.002


@dataclass(frozen=True)
class Size:
    """The cluster, the queue, and how many different jobs are in it."""

    instances: int
    waiting: int
    asks: int


def run(quick: bool = False) -> list[Row]:
    """Rows for `python -m benchmarks`."""
    configure_logging("json", "error")
    size = Size(300, 2_000, 3) if quick else Size(5_000, 50_000, 20)
    with _served(size) as served, TemporaryDirectory() as folder:
        beside = list(_beside(served, WATCHED_FOR_S / (5 if quick else 1)))
        flags = ServiceFlags(url=served.url, timeout_s=120)
        rows = [_timed(question, served, size) for question in _explanations(served, flags)]
        rows += [_timed(question, served, size) for question in _plans(served, flags, folder)]
    for each in beside:
        each["note"] += f"; {size.instances:,} instances, {size.waiting:,} waiting"
    return rows + beside


def _beside(served: "Served", for_s: float) -> Iterator[Row]:
    """What passes leave to everything else on the event loop, while nobody asks anything."""
    status, began_s, began_cpu_s = served.service.status(), time.monotonic(), time.process_time()
    late = sorted(served.late_s(for_s))
    passes = max(1, served.service.status().passes - status.passes)
    wall_s = (time.monotonic() - began_s) / passes
    cpu_s = (time.process_time() - began_cpu_s) / passes
    yield Row(
        name="one pass, CPU", value=1e3 * cpu_s, unit="ms", note=f"{1e3 * wall_s:.0f} ms of time"
    )
    p99 = late[int(0.99 * len(late))]
    note = f"max {1e3 * late[-1]:.0f} ms; median {1e3 * late[len(late) // 2]:.1f} ms"
    yield Row(name="a turn of the event loop is late, p99", value=1e3 * p99, unit="ms", note=note)


@dataclass(frozen=True)
class Question:
    """`ask(n)` puts it for the n-th time by the command line; `answer()` is the service's part."""

    name: str
    limit_s: float
    ask: Callable[[int], object]
    answer: Callable[[], Coroutine[Any, Any, object]]


def _explanations(served: "Served", flags: ServiceFlags) -> Iterator[Question]:
    explainer = served.service.explainer
    for what, kind in (
        ("a waiting job", "plain"),
        ("a job with an expression", "within"),
        ("a job of one of many groups", "apart"),
        ("a GPU job", "gpu"),
        ("a job beyond the window", "beyond"),
    ):
        yield Question(
            f"explain {what}",
            EXPLAIN_LIMIT_S,
            lambda n, kind=kind: explain(f"{kind}-{n}", service=flags),  # type: ignore[misc]
            lambda kind=kind: explainer.job(JobId(f"{kind}-0")),  # type: ignore[misc]
        )

    async def instance() -> object:
        return explainer.instance(served.instance)

    yield Question(
        "explain an instance",
        EXPLAIN_LIMIT_S,
        lambda _: explain(instance=served.instance, service=flags),
        instance,
    )


def _plans(served: "Served", flags: ServiceFlags, folder: str) -> Iterator[Question]:
    documents = {
        "a small job": _job("new", 256),
        "a job with an expression": _job(
            "new", 256, placement_constraints=[_within("attribute:ecs.instance-type =~ m5.*")]
        ),
        "a GPU job": _gpu("new"),
        "an array of 10,000": _job("new", 256, array_size=10_000),
        "a gang of 1,000": _job("new", 2, gang={"id": "g", "size": 1_000}),
    }
    for number, (what, document) in enumerate(documents.items()):
        file = Path(folder) / f"{number}.json"
        file.write_text(json.dumps(document))
        job = Job.model_validate(document)
        yield Question(
            f"plan {what}",
            PLAN_LIMIT_S,
            lambda _, file=file: plan(file, service=flags),  # type: ignore[misc]
            lambda job=job: served.service.explainer.plan(job),  # type: ignore[misc]
        )


def _timed(question: Question, served: "Served", size: Size) -> Row:
    """The slowest but one of twenty, so that a single hiccup of the machine does not count. What
    this process computed meanwhile, passes and all, is what other load cannot lengthen.
    """
    times, computed = [], []
    for number in range(size.asks):
        began, began_cpu = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            question.ask(number)
        times.append(time.perf_counter() - began)
        computed.append(time.process_time() - began_cpu)
    (late, middle), (late_cpu, _) = _p95_and_median(times), _p95_and_median(computed)
    cpu_s = min(served.cpu_s(question.answer) for _ in range(size.asks))
    note = f"{late / question.limit_s:.2f} x limit; median {1e3 * middle:.0f} ms"
    note += f"; CPU: p95 {1e3 * late_cpu:.0f} ms, of which the answer {1e3 * cpu_s:.0f} ms"
    return Row(name=f"{question.name}, p95", value=1e3 * late, unit="ms", note=note)


def _p95_and_median(times: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(times)
    return ordered[max(0, len(ordered) - 2)], ordered[len(ordered) // 2]


@dataclass(frozen=True)
class Served:
    """The service that runs in a thread of its own, and one of its instances."""

    url: str
    service: Service
    loop: asyncio.AbstractEventLoop
    instance: str

    def late_s(self, for_s: float) -> list[float]:
        """By how much the service's event loop was late for each of many equal pauses."""

        async def measured() -> list[float]:
            late, ends = [], time.perf_counter() + for_s
            while (began := time.perf_counter()) < ends:
                await asyncio.sleep(PAUSE_S)
                late.append(time.perf_counter() - began - PAUSE_S)
            return late

        return asyncio.run_coroutine_threadsafe(measured(), self.loop).result()

    def cpu_s(self, answer: Callable[[], Coroutine[Any, Any, object]]) -> float:
        """CPU seconds of the service's thread for one answer; a pass may have been in between."""

        async def measured() -> float:
            began = time.thread_time()
            await answer()
            return time.thread_time() - began

        return asyncio.run_coroutine_threadsafe(measured(), self.loop).result()


@contextlib.contextmanager
def _served(size: Size) -> Iterator[Served]:
    """The service, once it has looked at its whole window."""
    ready: Future[Served] = Future()
    stop = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(size, ready, stop)))
    thread.start()
    try:
        yield ready.result(timeout=READY_AFTER_S)
    finally:
        stop.set()
        thread.join()


async def _serve(size: Size, ready: "Future[Served]", stop: threading.Event) -> None:
    clock = SystemClock()
    unthrottled = Options(throttled=False, agent_capabilities=FEW_CAPABILITIES)
    sim = SimulatedEcs(unthrottled, lambda: clock.now_ms() / 1000, seed=1)
    instance = _fill(sim, size.instances)
    with EmbeddedValkey() as valkey:
        queue = Queue(connect_redis(valkey.url))
        await queue.submit([Job.model_validate(each) for each in _backlog(size.waiting)])
        config = Config(http_port=None, read_rate_per_s=1e6, read_burst=1_000_000, lease_s=300)
        async with (
            ecs.connect(config, clock, http_session_cls=_with_turns(sim)) as client,
            AsyncExitStack() as stack,
        ):
            stack.enter_context(collecting_seldom())  # both as `run` does
            stack.enter_context(short_turns())
            service = Service(config, queue, client, Metrics(), clock)
            backend = Backend(
                queue, service.status, Metrics(), lambda: "unused", explainer=service.explainer
            )
            listener = stack.enter_context(listen("127.0.0.1", 0))
            url = await stack.enter_async_context(serving(create_app(backend), listener))
            running = asyncio.create_task(service.run())
            await _all_looked_at(service, min(config.window, size.waiting) // 2)
            ready.set_result(Served(url, service, asyncio.get_running_loop(), instance))
            await asyncio.to_thread(stop.wait)
            service.stop()
            await running
        await queue.aclose()


def _with_turns(sim: SimulatedEcs) -> type[InProcessSession]:
    """Each call ends the turn of the event loop, as one over the network does."""

    class Session(http_session_class(sim)):  # type: ignore[misc]
        async def send(self, request: Any) -> AioAWSResponse:
            await asyncio.sleep(0)
            return await super().send(request)

    return Session


async def _all_looked_at(service: Service, jobs: int) -> None:
    """So many jobs were found to have no room, and the next pass is done too."""
    async with asyncio.timeout(READY_AFTER_S):
        while sum(service.status().waiting.values()) < jobs:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def _fill(sim: SimulatedEcs, instances: int) -> str:
    """A quarter has GPUs; each is almost full, of CPU or of memory. Answers one of them."""
    gpus = instances // 4
    for count, kind in ((gpus, "g4dn.4xlarge"), (instances - gpus, "m5.4xlarge")):
        sim.add_instances("default", (InstanceGroup(count=count, instance_type=kind),))
    for family, container in (
        ("filler", FILLER),
        ("batch", {**FILLER, "cpu": 64, "memory": 64}),
    ):
        definition = {"family": family, "containerDefinitions": [container]}
        sim.call("RegisterTaskDefinition", definition)
    arns: list[str] = []
    page: dict[str, Any] = {}
    while len(arns) < instances:
        page = sim.call("ListContainerInstances", {"nextToken": page.get("nextToken")})
        arns += page["containerInstanceArns"]
    for first in range(0, instances, 10):
        where = arns[first : first + 10]
        sim.call("StartTask", {"taskDefinition": "filler", "containerInstances": where})
    return arns[0]


def _backlog(waiting: int) -> list[dict[str, Any]]:
    """Jobs that all lack room, as different as jobs are; the last ones are beyond the window."""
    kinds = 4
    distinct = [{"type": "distinctInstance"}]
    jobs = []
    for number in range(waiting // kinds - kinds - 1):
        cpu = 2_000 + number % 200
        few = f"attribute:ecs.instance-type =~ m5.* and runningTasksCount < {2 + number % 50}"
        group = f"g{number % GROUPS}"
        jobs += [
            _job(f"plain-{number}", cpu),
            _job(f"within-{number}", cpu, placement_constraints=[_within(few)]),
            _job(f"apart-{number}", cpu, group=group, placement_constraints=distinct),
            _gpu(f"gpu-{number}", cpu),
        ]
    return jobs + [_job(f"beyond-{number}", 2_000) for number in range(20)]


def _job(name: str, cpu: int, **more: Any) -> dict[str, Any]:
    container = {"name": "main", "cpu": cpu, "command": ["true"]}
    return {
        "id": name,
        "task_definition": "batch",
        "overrides": {"containerOverrides": [container]},
        **more,
    }


def _gpu(name: str, cpu: int = 2_000) -> dict[str, Any]:
    document = _job(name, cpu)
    (container,) = document["overrides"]["containerOverrides"]
    container["resourceRequirements"] = [{"type": "GPU", "value": "1"}]
    return document


def _within(expression: str) -> dict[str, str]:
    return {"type": "memberOf", "expression": expression}


if __name__ == "__main__":
    main(run)
