"""Alibaba's "openb" cluster trace (2023): pods become jobs, nodes become instance groups.

The tables are those of hkust-adsl/kubernetes-scheduler-simulator, `data/openb_pod_list_*.csv` and
`data/openb_node_list_*.csv`; "Beware of Fragmentation" (USENIX ATC 2023) describes them.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ecs_simulator.fleet import InstanceGroup
from ecs_simulator.workloads.arrivals import Arrival, in_order
from ecs_simulator.workloads.batch import LEAST_MEMORY_MIB, Run, Size, job_document
from ecs_simulator.workloads.errors import BadRow, InvalidTable
from ecs_simulator.workloads.tables import BadCell, Cells, Columns, Imported, read_rows

GpuShares = Literal["round-up", "drop"]
GPU_MODEL = "gpu-model"

POD_COLUMNS = Columns((
    "name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec", "qos", "pod_phase",
    "creation_time", "deletion_time", "scheduled_time",
))  # fmt: skip
NODE_COLUMNS = Columns(("sn", "cpu_milli", "memory_mib", "gpu", "model"))

PRIORITIES = {"LS": 200, "Guaranteed": 200, "Burstable": 100, "BE": 0}
"""Latency-sensitive before best-effort; the levels are ours."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What was read and what was decided on the way; all but `nodes` count pods.

    `gpu_shares` asked for a part of one GPU: they were given a whole one, or left out.
    `never_scheduled` have no scheduled time: their run counts from their creation. `never_ended`
    have no deletion time: they run until the latest time in the table. `failed` have the phase
    Failed: their jobs exit with 1. `with_gpu_spec` name GPU models that they need: noted here, not
    honoured. `fit_nowhere` exceed every single node.
    """

    gpu_share_fate: GpuShares

    pods: int
    nodes: int
    jobs: int
    gpu_shares: int
    never_scheduled: int
    never_ended: int
    failed: int
    with_gpu_spec: int
    fit_nowhere: int
    bad_rows: tuple[BadRow, ...]

    def headline(self) -> str:
        """What became of the whole."""
        return f"{self.pods} pods became {self.jobs} jobs on {self.nodes} instances"

    def facts(self) -> Iterator[tuple[int, str]]:
        """How many were treated how; those with 0 did not happen."""
        fate = "given a whole GPU each" if self.gpu_share_fate == "round-up" else "left out"
        yield self.gpu_shares, f"asked for a share of a GPU and were {fate}"
        yield self.failed, "failed in the trace: their jobs exit with 1"
        yield (
            self.never_scheduled,
            "never got a node: they run for as long as they waited for one",
        )
        yield self.never_ended, "have no end: they run to the end of the trace"
        yield self.with_gpu_spec, f"name GPU models, which is not honoured (see {GPU_MODEL})"
        yield self.fit_nowhere, "are larger than every instance and can never be placed"


@dataclass(frozen=True, slots=True)
class _Pod:
    name: str
    size: Size
    shares_gpu: bool
    gpu_spec: str
    priority: int
    phase: str
    created_s: int
    scheduled_s: int | None
    deleted_s: int | None


@dataclass(frozen=True, slots=True)
class _Node:
    cpu_units: int
    memory_mib: int
    gpus: int
    model: str

    @property
    def instance_type(self) -> str:
        return f"openb-{self.cpu_units // 1024}c-{self.memory_mib // 1024}g-{self.gpus}g"

    def fits(self, size: Size) -> bool:
        return (
            size.cpu_units <= self.cpu_units
            and size.memory_mib <= self.memory_mib
            and size.gpus <= self.gpus
        )


def import_openb(
    pods_csv: Path,
    nodes_csv: Path,
    *,
    gpu_shares: GpuShares = "round-up",
    skip_bad_rows: bool = False,
) -> Imported[ImportReport]:
    """Read both tables. CPU milli become CPU units: 1000 are 1024, pods rounded up and nodes down.

    A pod arrives at its creation and runs for as long as the trace had it from its scheduling to
    its deletion. GPUs are whole on ECS: a share of one is rounded up, or the pod is dropped. Node
    models become the attribute `gpu-model`. Raises UnreadableFile, or InvalidTable for bad rows
    unless they are skipped.
    """
    bad_rows: list[BadRow] = []
    pods = list(read_rows(pods_csv, POD_COLUMNS, _pod, bad_rows))
    nodes = list(read_rows(nodes_csv, NODE_COLUMNS, _node, bad_rows))
    if bad_rows and not skip_bad_rows:
        raise InvalidTable.of_rows(bad_rows)
    if not pods:
        raise InvalidTable(f"{pods_csv}: no pods in it")
    if not nodes:
        raise InvalidTable(f"{nodes_csv}: no nodes in it")
    kept = [pod for pod in pods if gpu_shares == "round-up" or not pod.shares_gpu]
    end_s = max((time for pod in pods for time in (pod.created_s, pod.deleted_s or 0)), default=0)
    kinds = Counter(nodes)
    report = ImportReport(
        gpu_share_fate=gpu_shares,
        pods=len(pods),
        nodes=len(nodes),
        jobs=len(kept),
        gpu_shares=sum(pod.shares_gpu for pod in pods),
        never_scheduled=sum(pod.scheduled_s is None for pod in kept),
        never_ended=sum(pod.deleted_s is None for pod in kept),
        failed=sum(pod.phase == "Failed" for pod in kept),
        with_gpu_spec=sum(bool(pod.gpu_spec) for pod in kept),
        fit_nowhere=sum(not any(node.fits(pod.size) for node in kinds) for pod in kept),
        bad_rows=tuple(bad_rows),
    )
    arrivals = in_order(_arrival(pod, end_s) for pod in kept)
    return Imported(arrivals, tuple(_group(node, count) for node, count in kinds.items()), report)


def _arrival(pod: _Pod, end_s: int) -> Arrival:
    started_s = pod.created_s if pod.scheduled_s is None else pod.scheduled_s
    ended_s = end_s if pod.deleted_s is None else pod.deleted_s
    run = Run(max(ended_s - started_s, 0), exit_code=int(pod.phase == "Failed"))
    return Arrival(pod.created_s, job_document(pod.name, pod.size, run, priority=pod.priority))


def _group(node: _Node, count: int) -> InstanceGroup:
    return InstanceGroup(
        count=count,
        instance_type=node.instance_type,
        cpu_units=node.cpu_units,
        memory_mib=node.memory_mib,
        gpus=node.gpus,
        attributes={GPU_MODEL: node.model} if node.model else {},
    )


def _pod(cells: Cells) -> _Pod:
    gpus, gpu_milli = cells.count("num_gpu"), cells.count("gpu_milli")
    qos = cells.text("qos")
    if qos not in PRIORITIES:
        raise BadCell("qos", f"expected one of {', '.join(PRIORITIES)}; it is {qos!r}")
    pod = _Pod(
        name=cells.text("name"),
        size=Size(-(-cells.count("cpu_milli") * 1024 // 1000), cells.count("memory_mib"), gpus),
        shares_gpu=gpus == 1 and gpu_milli < 1000,
        gpu_spec=cells.text("gpu_spec"),
        priority=PRIORITIES[qos],
        phase=cells.text("pod_phase"),
        created_s=cells.count("creation_time"),
        scheduled_s=cells.time_s("scheduled_time"),
        deleted_s=cells.time_s("deletion_time"),
    )
    if not re.fullmatch(r"[A-Za-z0-9_.:/-]{1,128}", pod.name):
        raise BadCell("name", f"cannot be a job's id: {pod.name!r}")
    if pod.scheduled_s is not None and pod.scheduled_s < pod.created_s:
        raise BadCell("scheduled_time", "lies before creation_time")
    if pod.deleted_s is not None and pod.deleted_s < (pod.scheduled_s or pod.created_s):
        raise BadCell("deletion_time", "lies before the pod's start")
    return pod


def _node(cells: Cells) -> _Node:
    node = _Node(
        cpu_units=cells.count("cpu_milli") * 1024 // 1000,
        memory_mib=cells.count("memory_mib"),
        gpus=cells.count("gpu"),
        model=cells.text("model"),
    )
    for field, value in (("cpu_milli", node.cpu_units), ("memory_mib", node.memory_mib)):
        if value < LEAST_MEMORY_MIB:
            raise BadCell(field, "too small for a container instance")
    return node
