"""Mixes of work: OPENB, with the published trace's statistics; SMALL, a web shop's chores; GPU, a
laboratory's training runs.

A Mix is marginal distributions only: kinds of job by weight, run times and gaps between arrivals as
quantiles. What the trace's columns say about each other beyond that is lost.
"""

from dataclasses import dataclass
from typing import Literal

from ecs_simulator.fleet import InstanceGroup
from ecs_simulator.workloads.batch import Size
from ecs_simulator.workloads.processes import Quantiles

Together = Literal["jobs", "array", "gang"]
"""How the jobs of one submission belong together: not at all, as one array, as one gang."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of job: how often it comes, what it reserves, how urgent it is.

    `runs_s` are its possible run times in seconds; empty takes the mix's distribution. One
    submission brings `batch_mean` equal jobs on average (geometric), `together` as one array or
    gang, and `weight` counts submissions.
    """

    name: str
    weight: float
    size: Size
    priority: int = 0
    runs_s: tuple[float, ...] = ()
    batch_mean: float = 1.0
    together: Together = "jobs"


@dataclass(frozen=True, slots=True)
class Mix:
    """What to draw from, and the machines to run it on.

    `gap_s` are the quantiles of the time between two submissions, `run_s` those of run times. Of
    all jobs, the share `failing` exits with a code other than 0. `machines` are instance groups
    whose counts are weights; the first of them can run every kind of job.
    """

    name: str
    kinds: tuple[Kind, ...]
    gap_s: Quantiles
    run_s: Quantiles
    failing: float
    machines: tuple[InstanceGroup, ...]


# OPENB: counted from openb_pod_list_default.csv and openb_node_list_all_node.csv (8,152 pods, 1,523
# nodes; hkust-adsl/kubernetes-scheduler-simulator, Apache-2.0), described in "Beware of
# Fragmentation", USENIX ATC 2023.

LATENCY_SENSITIVE, BEST_EFFORT = 200, 0

# Pods, CPU units, MiB, GPUs: the 24 most frequent shapes (89 % of the pods), a share of a GPU
# counted as a whole one; then the most frequent shape with 2, 4 and 8 GPUs, for all pods with as
# many.
_SHAPES = {
    LATENCY_SENSITIVE: (
        (857, 11572, 49152, 1), (778, 12194, 47104, 1), (534, 11674, 48128, 1),
        (364, 12800, 57344, 0),
        (255, 19157, 64512, 1), (195, 10046, 41560, 1), (158, 12288, 24576, 1),
        (158, 16077, 58368, 1),
        (120, 15770, 51200, 0), (108, 16384, 32768, 1), (104, 8192, 16384, 1),
        (104, 4096, 24576, 1),
        (99, 12288, 16384, 1), (95, 16896, 51200, 0), (93, 14541, 58368, 1), (84, 24781, 93184, 1),
        (16, 16589, 66560, 2), (15, 32973, 132096, 4), (44, 90112, 327680, 8),
    ),
    BEST_EFFORT: (
        (1592, 3228, 5600, 1), (486, 8192, 30517, 1), (284, 32768, 49152, 0), (189, 4096, 22888, 1),
        (182, 4096, 15258, 1), (163, 8192, 30517, 0), (152, 4252, 10600, 1), (136, 4096, 30517, 1),
    ),
}  # fmt: skip

# Nodes, CPU units, MiB, GPUs, GPU model: the kinds with 20 nodes or more (95 % of the nodes).
_NODES = (
    (549, 98304, 393216, 8, "G2"), (387, 106496, 524288, 2, "T4"), (129, 32768, 262144, 0, ""),
    (107, 16384, 122880, 2, "P100"), (59, 98304, 524288, 0, ""), (39, 131072, 786432, 8, "G3"),
    (30, 98304, 393216, 0, ""), (28, 32768, 131072, 4, "V100M16"), (23, 32768, 131072, 0, ""),
    (22, 65536, 262144, 2, "P100"), (22, 65536, 524288, 0, ""), (21, 98304, 786432, 8, "V100M32"),
    (20, 106496, 524288, 0, ""),
)  # fmt: skip

OPENB = Mix(
    name="openb",
    kinds=tuple(
        Kind(f"{cpu}c-{memory}m-{gpus}g", pods, Size(cpu, memory, gpus), priority)
        for priority, shapes in _SHAPES.items()
        for pods, cpu, memory, gpus in shapes
    ),
    # Between two creations, in seconds; the ten longest gaps (to 1,410,436 s) are cut at an hour.
    gap_s=(
        (0, 0), (0.02, 0), (0.05, 1), (0.1, 6), (0.2, 32), (0.3, 59), (0.4, 103), (0.5, 161),
        (0.6, 238),
        (0.7, 356), (0.8, 544), (0.9, 948), (0.95, 1466), (0.98, 2260), (0.99, 3417), (1, 3600),
    ),
    # From scheduling (or creation) to deletion, in seconds; beyond 99.5 % (to 12,537,496 s) cut at
    # a week.
    run_s=(
        (0, 0), (0.01, 12), (0.02, 22), (0.05, 40), (0.1, 60), (0.2, 114), (0.3, 169), (0.4, 258),
        (0.5, 485), (0.6, 834), (0.7, 1358), (0.8, 2639), (0.9, 6518), (0.95, 16080), (0.98, 40522),
        (0.99, 93426), (0.995, 566821), (1, 604800),
    ),
    failing=1870 / 8152,
    machines=tuple(
        InstanceGroup(
            count=nodes,
            instance_type=f"openb-{cpu // 1024}c-{memory // 1024}g-{gpus}g",
            cpu_units=cpu,
            memory_mib=memory,
            gpus=gpus,
            attributes={"gpu-model": model} if model else {},
        )
        for nodes, cpu, memory, gpus, model in _NODES
    ),
)  # fmt: skip

# SMALL: made up so that a short demo shows everything at once: many equal launches, contention in
# each dimension, jobs that wait for a GPU or for room, and a few that fail.
SMALL = Mix(
    name="small",
    kinds=(
        Kind("thumbnail", 4, Size(512, 1024), 0, (2,), 20),
        Kind("mail", 4, Size(256, 512), 300, (1,), 10),
        Kind("report", 4, Size(1024, 4096), 100, (4, 8), 6),
        Kind("encode", 5, Size(4096, 3072), 0, (6, 12), 8),
        Kind("invoice", 3, Size(512, 2048), 200, (3,), 10),
        Kind("index", 4, Size(2048, 30720), 0, (8,), 5),
        Kind("backup", 3, Size(1024, 8192), 0, (5, 10), 5),
        Kind("render", 3, Size(6144, 8192), 50, (10,), 6),
        Kind("inference", 2, Size(2048, 8192, 1), 100, (2,), 4),
        Kind("training", 1, Size(7168, 24576, 1), 0, (5,), 1),
    ),
    gap_s=((0, 0), (0.4, 0), (0.8, 0.3), (0.95, 0.6), (1, 1.5)),
    run_s=((0, 1), (1, 10)),
    failing=0.01,
    machines=(
        InstanceGroup(count=10, instance_type="g4dn.2xlarge"),
        InstanceGroup(count=50, instance_type="m5.2xlarge"),
        InstanceGroup(count=25, instance_type="r5.2xlarge"),
        InstanceGroup(count=15, instance_type="c5.4xlarge"),
    ),
)

# GPU: made up; whole machines for training in gangs, sweeps as arrays, single GPUs beside them.
GPU = Mix(
    name="gpu",
    kinds=(
        Kind("pretrain", 1, Size(90112, 983040, 8), 100, (14400, 28800), 4, "gang"),
        Kind("finetune", 3, Size(40960, 163840, 4), 100, (1800, 3600), 2, "gang"),
        Kind("sweep", 4, Size(3072, 12288, 1), 0, (600, 1200), 30, "array"),
        Kind("notebook", 4, Size(3072, 12288, 1), 300, (3600,), 1),
        Kind("evaluate", 6, Size(7168, 28672, 1), 200, (300,), 3),
        Kind("tokenise", 4, Size(4096, 8192), 0, (120, 600), 20),
    ),
    gap_s=((0, 0), (0.5, 60), (0.9, 240), (1, 900)),
    run_s=((0, 60), (1, 3600)),
    failing=0.05,
    machines=(
        InstanceGroup(count=8, instance_type="p4d.24xlarge"),
        InstanceGroup(count=8, instance_type="g4dn.12xlarge"),
        InstanceGroup(count=24, instance_type="g5.2xlarge"),
        InstanceGroup(count=10, instance_type="m5.4xlarge"),
    ),
)

MIXES = {mix.name: mix for mix in (SMALL, OPENB, GPU)}
