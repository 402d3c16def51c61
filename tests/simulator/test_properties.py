"""Random histories against a model of the resource arithmetic that is too small to be wrong."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ecs_simulator import FEW_CAPABILITIES, InstanceGroup, Lifecycle, Options, SimulatedEcs

from .conftest import ManualClock

CPU, MEMORY, GPUS, ENIS = 1000, 2000, 3, 2


@dataclass(frozen=True)
class Need:
    """What one task takes."""

    cpu: int
    memory: int
    gpus: int
    enis: int
    ports: frozenset[int]


@dataclass
class Box:
    """What the model knows of an instance: which wanted task takes what."""

    taken: dict[str, Need] = field(default_factory=dict)
    connected: bool = True

    @property
    def cpu(self) -> int:
        return CPU - sum(need.cpu for need in self.taken.values())

    @property
    def memory(self) -> int:
        return MEMORY - sum(need.memory for need in self.taken.values())

    @property
    def gpus(self) -> int:
        return GPUS - sum(need.gpus for need in self.taken.values())

    @property
    def enis(self) -> int:
        return ENIS - sum(need.enis for need in self.taken.values())

    @property
    def ports(self) -> set[int]:
        return {port for need in self.taken.values() for port in need.ports}

    def refuses(self, need: Need) -> str | None:
        for reason, short in (
            ("AGENT", not self.connected),
            ("RESOURCE:CPU", need.cpu > self.cpu),
            ("RESOURCE:GPU", need.gpus > self.gpus),
            ("RESOURCE:MEMORY", need.memory > self.memory),
            ("RESOURCE:PORTS", need.ports & self.ports),
            ("RESOURCE:ENI", need.enis > self.enis),
        ):
            if short:
                return reason
        return None


class Histories(RuleBasedStateMachine):
    """Start, run, stop, drain, disconnect, wait: both must always tell the same story."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        delays = Lifecycle(sigterm_s=3.0)
        options = Options(throttled=False, lifecycle=delays, agent_capabilities=FEW_CAPABILITIES)
        self.ecs = SimulatedEcs(options, self.clock, seed=3)
        self.boxes: dict[str, Box] = {}

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        return self.ecs.call(operation, {"cluster": "demo", **request})

    @initialize(count=st.integers(1, 4))
    def fleet(self, count: int) -> None:
        group = InstanceGroup(count=count, cpu_units=CPU, memory_mib=MEMORY, gpus=GPUS, enis=ENIS)
        self.ecs = SimulatedEcs(self.ecs.options, self.clock, seed=3)
        self.boxes = {arn: Box() for arn in self.ecs.add_instances("demo", (group,))}

    def definition(self, need: Need, run_s: int) -> str:
        container: dict[str, Any] = {
            "name": "c",
            "image": "i",
            "cpu": need.cpu,
            "memory": need.memory,
            "command": ["sleep", str(run_s)],
            "portMappings": [{"containerPort": port, "hostPort": port} for port in need.ports],
        }
        if need.gpus:
            container["resourceRequirements"] = [{"type": "GPU", "value": str(need.gpus)}]
        mode = {"networkMode": "awsvpc"} if need.enis else {}
        self.call("RegisterTaskDefinition", family="f", containerDefinitions=[container], **mode)
        return "f"

    @rule(
        data=st.data(),
        need=st.builds(
            Need,
            cpu=st.sampled_from((0, 1, 250, 999, 1000, 1001)),
            memory=st.sampled_from((6, 500, 1999, 2000, 2001)),
            gpus=st.integers(0, 4),
            enis=st.just(0),
            ports=st.frozensets(st.sampled_from((80, 81)), max_size=2),
        )
        | st.builds(
            Need,
            cpu=st.just(10),
            memory=st.just(10),
            gpus=st.just(0),
            enis=st.just(1),
            ports=st.just(frozenset()),
        ),
        run_s=st.sampled_from((0, 5, 60)),
    )
    def start(self, data: st.DataObject, need: Need, run_s: int) -> None:
        """Start on one to three instances; the model says which of them can."""
        names = data.draw(st.lists(st.sampled_from(sorted(self.boxes)), min_size=1, max_size=3))
        network = {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"]}}}
        answer = self.call(
            "StartTask",
            taskDefinition=self.definition(need, run_s),
            containerInstances=names,
            **(network if need.enis else {}),
        )
        started = iter(answer["tasks"])
        failed = []
        for name in names:
            box = self.boxes[name]
            reason = box.refuses(need)
            if reason is not None:
                failed.append({"arn": name, "reason": reason})
                continue
            task = next(started)
            assert task["containerInstanceArn"] == name
            box.taken[task["taskArn"]] = need
        assert answer["failures"] == failed
        assert next(started, None) is None

    @precondition(lambda self: any(box.taken for box in self.boxes.values()))
    @rule(data=st.data(), times=st.integers(1, 2))
    def stop(self, data: st.DataObject, times: int) -> None:
        """Stopping once or twice gives back exactly once."""
        alive = sorted(arn for box in self.boxes.values() for arn in box.taken)
        arn = data.draw(st.sampled_from(alive))
        for _ in range(times):
            self.call("StopTask", task=arn)
        for box in self.boxes.values():
            box.taken.pop(arn, None)

    @rule(seconds=st.sampled_from((0.1, 1.0, 6.0, 61.0, 4000.0)))
    def wait(self, seconds: float) -> None:
        """Time passes; what ECS no longer wants no longer counts."""
        self.clock.seconds += seconds
        self.ecs.advance()
        for box in self.boxes.values():
            for arn in list(box.taken):
                found = self.call("DescribeTasks", tasks=[arn])["tasks"]
                if not found or found[0]["desiredStatus"] == "STOPPED":
                    assert box.connected or seconds == 4000.0 or found
                    del box.taken[arn]

    @rule(data=st.data(), connected=st.booleans())
    def connect(self, data: st.DataObject, connected: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.boxes)))
        self.ecs.set_agent_connected("demo", name, connected)
        self.boxes[name].connected = connected
        self.wait(0.0)

    @rule(data=st.data(), status=st.sampled_from(("ACTIVE", "DRAINING")))
    def drain(self, data: st.DataObject, status: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.boxes)))
        self.call("UpdateContainerInstancesState", containerInstances=[name], status=status)

    @invariant()
    def both_tell_the_same(self) -> None:
        self.ecs.verify()
        for name, box in self.boxes.items():
            shape = self.call("DescribeContainerInstances", containerInstances=[name])
            remaining = {
                item["name"]: item.get("stringSetValue", item["integerValue"])
                for item in shape["containerInstances"][0]["remainingResources"]
            }
            assert remaining["CPU"] == box.cpu
            assert remaining["MEMORY"] == box.memory
            assert len(remaining["GPU"]) == box.gpus
            assert {int(port) for port in remaining["PORTS"]} & {80, 81} == box.ports
            assert shape["containerInstances"][0]["runningTasksCount"] == len(box.taken)


def settled(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


TestHistories = Histories.TestCase
TestHistories.settings = settled(60)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_thousands_of_histories() -> None:
    """Two thousand histories, no disagreement."""
    run_state_machine_as_test(Histories, settings=settled(2000))
