"""Stories of what goes wrong on purpose: lost replies, errors, throttling, delays, stale reads."""

import asyncio
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from ecs_simulator import (
    ConnectionCut,
    EcsError,
    Fault,
    FaultError,
    FaultOptions,
    InstanceGroup,
    Options,
    SimulatedEcs,
    VirtualClock,
    faults_from,
    http_session_class,
    run_virtual,
)
from ecs_simulator.faults import load_faults

from .conftest import (
    AIO_SESSION,
    CREDENTIALS,
    ONE_TRY,
    SMALL,
    MakeWorld,
    ManualClock,
    World,
    boto3_calls,
    direct,
    serve_in_thread,
)

ALWAYS_START = Fault(probability=1.0, operations=frozenset({"StartTask"}))


def faulty(world: World, **faults: Any) -> str:
    """A world with one instance, a task definition and these faults from now on; the instance."""
    (arn,) = world.add(SMALL)
    world.define()
    world.ecs.set_faults(FaultOptions(**faults))
    return arn


def test_errors_before_and_after_the_work(make_world: MakeWorld) -> None:
    """Both are HTTP 500; only one has started a task."""
    for fault, started in (("error_before", 0), ("error_after", 1)):
        world = make_world()
        arn = faulty(world, **{fault: ALWAYS_START})
        request = {"taskDefinition": "work", "containerInstances": [arn], "startedBy": "t"}
        refusal = world.refused("StartTask", cluster="demo", **request)
        assert (refusal.code, refusal.status) == ("ServerException", 500)
        assert len(world("ListTasks", cluster="demo", startedBy="t")["taskArns"]) == started
        assert world.ecs.statistics.faults == {fault: 1}


def test_throttled_below_the_published_rate(world: World) -> None:
    """As if other callers of the account had used up the bucket: nothing is done."""
    arn = faulty(world, throttled=ALWAYS_START)
    request = {"taskDefinition": "work", "containerInstances": [arn]}
    refusal = world.refused("StartTask", cluster="demo", **request)
    assert refusal.code == "ThrottlingException"
    assert world.ecs.tasks() == ()


def test_a_lost_reply_in_each_way_of_calling() -> None:
    """The task runs, and the caller only sees the connection break, as its library puts it."""
    clock = ManualClock()
    ecs = SimulatedEcs(Options(), clock, seed=7)
    world = World(ecs, clock, direct(ecs, ExitStack()), "direct")
    arn = faulty(world, lost_reply=ALWAYS_START)
    request = {"cluster": "demo", "taskDefinition": "work", "containerInstances": [arn]}
    with pytest.raises(ConnectionCut):
        ecs.call("StartTask", request)

    async def in_process() -> None:
        config = AioConfig(retries=ONE_TRY, http_session_cls=http_session_class(ecs))
        async with AIO_SESSION.create_client(
            "ecs", endpoint_url="http://simulated", config=config, **CREDENTIALS
        ) as client:
            with pytest.raises(ConnectionClosedError):
                await client.start_task(**request)

    asyncio.run(in_process())
    with ExitStack() as stack:
        send, _ = boto3_calls(serve_in_thread(ecs, stack), stack)
        with pytest.raises((ConnectionClosedError, EndpointConnectionError)):
            send("StartTask", request)
        assert len(send("ListTasks", {"cluster": "demo"})["taskArns"]) == 3
    ecs.verify()


def test_default_retries_start_the_same_task_several_times() -> None:
    """Why StartTask wants one attempt: errors after the work make one call start five tasks."""
    clock = ManualClock()
    ecs = SimulatedEcs(Options(), clock)
    arn = faulty(World(ecs, clock, ecs.call, "direct"), error_after=ALWAYS_START)

    async def main(_: VirtualClock) -> None:
        config = AioConfig(http_session_cls=http_session_class(ecs))
        async with AIO_SESSION.create_client(
            "ecs", endpoint_url="http://simulated", config=config, **CREDENTIALS
        ) as client:
            with pytest.raises(ClientError, match="ServerException"):
                await client.start_task(
                    cluster="demo", taskDefinition="work", containerInstances=[arn]
                )

    run_virtual(main)
    assert len(ecs.tasks()) == 5


def test_slow_calls_time_out_and_are_worked_off_all_the_same() -> None:
    """Half of the delays are on the way there: the task appears after its caller gave up."""

    async def main(clock: VirtualClock) -> Counter[str]:
        ecs = SimulatedEcs(Options(throttled=False), clock.now, seed=2)
        world = World(ecs, ManualClock(), direct(ecs, ExitStack()), "direct")
        (arn,) = world.add(InstanceGroup(cpu_units=100_000, memory_mib=100_000))
        world.define()
        ecs.set_faults(FaultOptions(slow=ALWAYS_START, slow_s=20.0))
        seen: Counter[str] = Counter()
        config = AioConfig(
            retries=ONE_TRY, read_timeout=5, http_session_cls=http_session_class(ecs)
        )
        async with AIO_SESSION.create_client(
            "ecs", endpoint_url="http://simulated", config=config, **CREDENTIALS
        ) as client:
            for _ in range(40):
                before, began = len(ecs.tasks()), clock.monotonic()
                try:
                    await client.start_task(
                        cluster="demo", taskDefinition="work", containerInstances=[arn]
                    )
                    seen["answered"] += 1
                    assert clock.monotonic() - began < 5
                except ReadTimeoutError:
                    assert clock.monotonic() - began == pytest.approx(5)
                    done = len(ecs.tasks()) - before
                    seen["timed out after the work" if done else "timed out before"] += 1
                    await asyncio.sleep(20)
        assert len(ecs.tasks()) == 40
        ecs.verify()
        return seen

    assert set(run_virtual(main)) == {"answered", "timed out after the work", "timed out before"}


def test_latency_is_what_every_answer_takes() -> None:
    """Ten calls of 50 ms each, one after the other."""

    async def main(clock: VirtualClock) -> float:
        ecs = SimulatedEcs(Options(latency_s=0.05), clock.now)
        config = AioConfig(http_session_cls=http_session_class(ecs))
        async with AIO_SESSION.create_client(
            "ecs", endpoint_url="http://simulated", config=config, **CREDENTIALS
        ) as client:
            for _ in range(10):
                await client.list_clusters()
        return clock.monotonic()

    assert run_virtual(main) == pytest.approx(0.5)


def test_stale_reads_show_what_was_seen_before() -> None:
    """An old answer of up to ten seconds ago, or nothing of a task that is younger."""
    clock = ManualClock()
    reads = frozenset({"DescribeTasks", "DescribeContainerInstances", "ListTasks"})
    stale = Fault(probability=0.5, operations=reads)
    options = Options(throttled=False, faults=FaultOptions(stale_read=stale, stale_s=10.0))
    ecs = SimulatedEcs(options, clock, seed=1)
    world = World(ecs, clock, direct(ecs, ExitStack()), "direct")
    (arn,) = world.add(SMALL)
    world.define()
    world.remaining(arn)
    task = world.start(arn)["tasks"][0]["taskArn"]
    cpu = {world.remaining(arn)["CPU"] for _ in range(50)}
    assert cpu == {2048, 1792}
    seen = Counter(
        len(world("DescribeTasks", cluster="demo", tasks=[task])["tasks"]) for _ in range(50)
    )
    assert set(seen) == {0, 1}
    assert {len(world("ListTasks", cluster="demo")["taskArns"]) for _ in range(50)} == {0, 1}
    world.later(11)
    assert {world.remaining(arn)["CPU"] for _ in range(50)} == {1792}
    statuses = {world.task(task)["lastStatus"] for _ in range(50)}
    assert statuses == {"RUNNING"}
    world("StopTask", cluster="demo", task=task)
    assert {len(world("ListTasks", cluster="demo")["taskArns"]) for _ in range(50)} == {0, 1}
    world.later(11)
    assert {len(world("ListTasks", cluster="demo")["taskArns"]) for _ in range(50)} == {0}


def test_schedules_and_operations_limit_a_fault(quick: World) -> None:
    """Only between from_s and until_s, only for the operations named."""
    fault = Fault(
        probability=1.0, from_s=10.0, until_s=20.0, operations=frozenset({"ListClusters"})
    )
    quick.ecs.set_faults(FaultOptions(error_before=fault))
    outcomes = []
    for _ in range(4):
        for operation in ("ListClusters", "ListTaskDefinitions"):
            try:
                quick.ecs.call(operation, {})
                outcomes.append("ok")
            except EcsError as error:
                outcomes.append(error.code)
        quick.later(6)
    assert outcomes == ["ok", "ok", "ok", "ok", "ServerException", "ok", "ServerException", "ok"]


def fates(seed: int) -> list[str]:
    clock = ManualClock()
    half = Fault(probability=0.3)
    faults = FaultOptions(error_before=half, error_after=half, lost_reply=half, throttled=half)
    ecs = SimulatedEcs(Options(faults=faults, throttled=False), clock, seed=seed)
    ended = []
    for _ in range(200):
        try:
            ecs.call("ListClusters", {})
            ended.append("ok")
        except (EcsError, ConnectionCut) as error:
            ended.append(str(error))
    return ended


def test_a_fault_strikes_only_during_its_spans(quick: World) -> None:
    """Certain within them, never outside, and never past the whole schedule's end."""
    spans = ((60.0, 120.0), (300.0, 310.0), (590.0, 700.0))
    fault = Fault(probability=1.0, during=spans, until_s=600.0)
    quick.ecs.set_faults(FaultOptions(error_before=fault))
    struck = []
    for second in range(0, 720, 5):
        try:
            quick.ecs.call("ListClusters", {})
        except EcsError:
            struck.append(second)
        quick.later(5)
    assert struck == [*range(60, 120, 5), 300, 305, 590, 595]


def test_the_seed_decides() -> None:
    """Same seed, same faults; another seed, others; and each kind occurs."""
    assert fates(1) == fates(1)
    assert fates(1) != fates(2)
    assert len(set(fates(1))) == 4


def test_turning_faults_on_changes_no_draw_of_the_simulation() -> None:
    """Ids and run times stay the same, so that a faulty run can be compared with a calm one."""

    def ids(faults: FaultOptions) -> list[str]:
        clock = ManualClock()
        ecs = SimulatedEcs(Options(faults=faults, throttled=False), clock, seed=4)
        (arn,) = ecs.add_instances("demo", (SMALL,))
        world = World(ecs, clock, ecs.call, "direct")
        world.define(container={"command": ["work"]})
        world.start(arn)
        clock.seconds += 1000
        ecs.advance()
        return [f"{one.arn} {one.stopped_at}" for one in ecs.tasks()]

    slow = Fault(probability=1.0)
    assert ids(FaultOptions()) == ids(FaultOptions(slow=slow, stale_read=slow))


def test_faults_from_a_document() -> None:
    """A number is a probability (or a rate); a table says more."""
    document = {
        "lost_reply": 0.01,
        "slow": {"probability": 0.5, "from_s": 60, "operations": ["StartTask"]},
        "slow_s": 9,
        "agent_flap": 2,
        "instance_death": {"per_hour": 0.1, "lasting_s": 5},
    }
    read = faults_from(document, "here")
    assert read.lost_reply == Fault(probability=0.01)
    assert read.slow == Fault(probability=0.5, from_s=60.0, operations=frozenset({"StartTask"}))
    assert (read.slow_s, read.agent_flap.per_hour, read.instance_death.lasting_s) == (9, 2, 5)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "here: expected a table of faults, got list"),
        ({"lost": 1}, "here: lost: unknown fault"),
        ({"slow": "often"}, "here: slow: expected a number or a table"),
        ({"slow": 2}, "here: slow.probability: not between 0 and 1"),
        ({"slow": {"probabilty": 1}}, "here: slow.probabilty: unknown field"),
        ({"slow": {"from_s": "x"}}, "here: slow.from_s: expected a number"),
        ({"slow": {"operations": "StartTask"}}, "here: slow.operations: expected a list"),
        ({"slow_s": -1}, "here: slow_s: expected a number from 0 on"),
        ({"slow": {"operations": ["StartTsk"]}}, "here: slow.operations: ECS knows no 'StartTsk'"),
        ({"event_lost": {"operations": ["StartTask"]}}, "here: event_lost.operations: ECS knows"),
        ({"slow": {"from_s": 60, "until_s": 60}}, "here: slow.until_s: not after from_s"),
        ({"slow_s": float("nan")}, "here: slow_s: expected a number from 0 on"),
        ({"agent_flap": float("inf")}, "here: agent_flap.per_hour: expected a number"),
        ({"agent_flap": 1e9}, "here: agent_flap.per_hour: more than 3600"),
        ({"agent_flap": {"per_day": 1}}, "here: agent_flap.per_day: unknown field"),
    ],
)
def test_a_wrong_faults_document_names_the_field(document: object, words: str) -> None:
    """Where, which field, what was expected."""
    with pytest.raises(FaultError, match=words):
        faults_from(document, "here")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"slow_s = {'9' * 5000}", "f.toml: not TOML: Exceeds the limit"),
        ("slow_s = 1\nlost = 0.1", "f.toml:2: lost: unknown fault"),
        ("slow_s = 1\n\n[slow]\nfrom_s = 1\nprobability = 2", "f.toml:5: slow.probability: not"),
        ("slow_s = 1\nslow = { probability = 2 }", "f.toml:2: slow.probability: not between"),
        ("slow_s = 1\nslow.from_s = -1", "f.toml:2: slow.from_s: expected a number"),
        ("[slow]\nfrom_s = 1\n[agent_flap]\nper_day = 1", "f.toml:4: agent_flap.per_day: unkn"),
        ("# none\n\nspot_storm = true", "f.toml:3: spot_storm.per_hour: expected a number"),
    ],
)
def test_a_wrong_faults_file_names_line_and_field(tmp_path: Path, text: str, words: str) -> None:
    """As a wrong fleet file does, however the table is written."""
    file = tmp_path / "f.toml"
    file.write_text(text)
    with pytest.raises(FaultError, match=words):
        load_faults(file)
