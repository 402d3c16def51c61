"""What the placement benchmarks pack: clusters, batches, and the usual ways to compare with."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecs_placement.arrays import Objective, as_problem, pack
from ecs_placement.request import RequestId, Shape, TaskRequest
from ecs_placement.snapshot import Instance, InstanceId, Snapshot
from ecs_placement.volume import classify, volume_plan

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Vector = tuple[int, int, int, int]

# Shares of m5.xlarge, m5.2xlarge, c5.4xlarge and g5.8xlarge, as ECS registers them.
FLEET: tuple[Vector, ...] = (
    (4096, 15585, 0, 3),
    (8192, 31652, 0, 3),
    (16384, 30943, 0, 7),
    (32768, 127000, 1, 7),
)
PRICES = (0.192, 0.384, 0.68, 2.448)
"""US dollars an hour, on demand in us-east-1."""

ONE_BY_ONE_SAMPLE = 1_000


def cluster(count: int, seed: int = 1) -> Snapshot:
    """`count` empty instances drawn from FLEET; every fourth zone attribute differs."""
    chosen = np.random.default_rng(seed).choice(len(FLEET), count, p=[0.4, 0.3, 0.2, 0.1])
    return Snapshot.of(
        Instance(
            InstanceId(f"i-{row:05d}"), FLEET[k], FLEET[k], attributes={"zone": "abcd"[row % 4]}
        )
        for row, k in enumerate(chosen.tolist())
    )


def in_use(snapshot: Snapshot, share: float, seed: int = 5) -> Snapshot:
    """The same, with so large a share of the instances filled to any degree."""
    chance = np.random.default_rng(seed)
    filled = chance.random((len(snapshot), 1)) * (chance.random((len(snapshot), 1)) < share)
    return snapshot.having_free(snapshot.free - (snapshot.total * filled).astype(np.int64))


def batch(count: int, shapes: int, seed: int = 2, *, zoned: bool = False) -> list[TaskRequest]:
    """`count` requests of `shapes` shapes; one shape in ten needs a GPU, `zoned` ones a zone."""
    chance = np.random.default_rng(seed)
    drawn = [
        Shape(
            cpu_units=int(chance.integers(1, 33)) * 128,
            memory_mib=int(chance.integers(1, 33)) * 256,
            gpus=int(number % 10 == 9),
            required_attributes=frozenset({("zone", "abcd"[number % 4])}) if zoned else frozenset(),
        )
        for number in range(shapes)
    ]
    picks = chance.integers(0, shapes, count).tolist()
    return [TaskRequest(RequestId(f"r{n}"), drawn[k], order=n) for n, k in enumerate(picks)]


def one_by_one(free: NDArray[np.int64], demand: NDArray[np.int64]) -> int:
    """The usual loop: best fit in numpy for one request after the other; how many it placed."""
    free = free.copy()
    weights = 1.0 / np.maximum(free.max(axis=0), 1)
    placed = 0
    for asked in demand:
        score = np.where((free >= asked).all(axis=1), free @ weights, np.inf)
        best = int(score.argmin())
        if score[best] < np.inf:
            free[best] -= asked
            placed += 1
    return placed


@dataclass(frozen=True, slots=True)
class Case:
    """Arrays for `pack`; `bound` is proven: the worth that fits, or the cost of opening."""

    name: str
    free: Ints
    demand: Ints
    active: Bools
    cost: Floats
    objective: Objective
    bound: float

    def packed(self, budget_s: float | None) -> Ints:
        """The answer of a gear."""
        return pack(
            self.free,
            self.demand,
            active=self.active,
            cost=self.cost,
            objective=self.objective,
            budget_s=budget_s,
        )

    def gap(self, rows: Ints) -> float:
        """How far an answer stays behind the bound, as a share of it; infinite if tasks wait in
        vain.
        """
        if self.objective == "fit":
            return 1.0 - float(worth(self.free, self.demand)[rows >= 0].sum()) / self.bound
        opened = np.unique(rows[rows >= 0])
        spent = float(self.cost[opened[~self.active[opened]]].sum())
        return spent / self.bound - 1.0 if (rows >= 0).all() else float("inf")


def worth(free: Ints, demand: Ints) -> Floats:
    """A task's mean share of all room, over what is asked for at all."""
    asked = demand.any(axis=0)
    shares: Floats = (demand / np.maximum(free.sum(axis=0), 1))[:, asked].mean(axis=1)
    return shares


def planted(rows: int, shapes: int, seed: int = 5) -> Case:
    """Every row is cut into tasks to the last unit, so that all fit: the bound is 1."""
    chance = np.random.default_rng(seed)
    sizes = chance.integers(2, 40, (shapes, 3))
    chosen = chance.integers(0, shapes, (rows, 7))
    demand = chance.permutation(sizes[chosen.reshape(-1)])
    everywhere = np.ones(rows, dtype=np.bool_)
    free = sizes[chosen].sum(axis=1)
    return Case("planted", free, demand, everywhere, np.ones(rows), "fit", 1.0)


def fleet(rows: int, tasks: int, shapes: int, load: float, seed: int = 6) -> Case:
    """FLEET's types at their hourly prices, six in ten partly used; `load` below 1 is to be opened,
    above 1 asks for that many times the room. The bound is the volume plan's.
    """
    chance = np.random.default_rng(seed)
    kind = chance.choice(len(FLEET), rows, p=[0.4, 0.3, 0.2, 0.1])
    total = np.array(FLEET, dtype=np.int64)[kind, :2]
    opening = load < 1
    active = (chance.random(rows) < 0.6) | (not opening)
    used = np.where(active[:, None], chance.uniform(0.3, 1.0, (rows, 2)), 0.0)
    free = (total * (1 - used)).astype(np.int64)
    sizes = chance.integers(1, 33, (shapes, 2)) * np.array([16, 64])
    demand = sizes[chance.integers(0, shapes, tasks)]
    asked = float((demand.sum(axis=0) / free.sum(axis=0)).max())
    sizes = np.maximum(1, sizes * load / asked).astype(np.int64)
    demand = sizes[chance.integers(0, shapes, tasks)]
    cost = np.array(PRICES)[kind]
    objective: Objective = "open" if opening else "fit"
    options = {"active": active, "cost": cost, "objective": objective}
    problem, _ = as_problem(free, demand, options)  # type: ignore[arg-type]
    classes = classify(problem, problem.free, active, 1)
    bound = volume_plan(problem, problem.free, problem.counts, classes).value
    name = f"open, {rows:,} x {tasks:,}" if opening else f"oversubscribed {load:.0%}"
    bound *= float(cost.max()) if opening else 1.0
    return Case(name, free, demand, active, cost, objective, bound)


def best_fit_one_by_one(case: Case) -> Ints:
    """Best-fit decreasing in numpy, the usual loop: a closed row only when no open one fits."""
    free, opened = case.free.copy(), case.active.copy()
    weights = (case.demand / np.maximum(case.free.max(axis=0), 1)).sum(axis=0)
    weights = weights / weights.max() / np.maximum(case.free.max(axis=0), 1)
    closed = (case.cost / np.maximum(case.free @ weights, 1e-12) + 1) * 1e6
    rows = np.full(len(case.demand), -1, dtype=np.int64)
    for task in np.argsort(-(case.demand @ weights), kind="stable"):
        asked = case.demand[task]
        score = free @ weights + np.where(opened, 0.0, closed)
        score = np.where((free >= asked).all(axis=1), score, np.inf)
        best = int(score.argmin())
        if score[best] < np.inf:
            free[best] -= asked
            opened[best], rows[task] = True, best
    return rows


def dot_product(case: Case) -> Ints:
    """Row by row, the shape with the largest dot product of demand and room, both weighted by what
    is asked in all: the heuristic of Panigrahy et al. (2011) that vsvbp is built around.
    """
    sizes, shape_of, left = np.unique(case.demand, axis=0, return_inverse=True, return_counts=True)
    shape_of = shape_of.reshape(-1)
    weights = case.demand.sum(axis=0) / np.maximum(case.free.sum(axis=0), 1) ** 2
    tasks = [np.flatnonzero(shape_of == shape).tolist() for shape in range(len(sizes))]
    rows = np.full(len(case.demand), -1, dtype=np.int64)
    dear = case.cost / np.maximum(case.free @ np.sqrt(weights), 1e-12)
    for row in np.lexsort((dear, ~case.active)).tolist():
        room = case.free[row].copy()
        while True:
            score = np.where((sizes <= room).all(axis=1) & (left > 0), sizes @ (weights * room), -1)
            shape = int(score.argmax())
            if score[shape] < 0:
                break
            rows[tasks[shape].pop()] = row
            room -= sizes[shape]
            left[shape] -= 1
    return rows
