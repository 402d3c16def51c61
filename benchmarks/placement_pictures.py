"""Draws docs/placement-batch.svg: one batch packed in ten ways; prints the page's table of them.

`python -m benchmarks.placement_pictures docs/placement-batch.svg`
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.drawing import COLOURS, INK, PALE, Drawing
from benchmarks.packing_cases import Floats, Ints

from ecs_placement.arrays import as_problem, pack
from ecs_placement.batch import place
from ecs_placement.plan import Start
from ecs_placement.policy import DEFAULT_POLICY, Policy, Strategy
from ecs_placement.request import RequestId, Shape, TaskRequest
from ecs_placement.snapshot import Instance, InstanceId, Snapshot
from ecs_placement.volume import classify, volume_plan

# As ECS registers them, and US dollars an hour, on demand in us-east-1.
TYPES = {
    "m5.xlarge": ((4096, 15585), 0.192),
    "m5.2xlarge": ((8192, 31652), 0.384),
    "c5.4xlarge": ((16384, 30943), 0.68),
    "r5.2xlarge": ((8192, 63456), 0.504),
}
EACH, TASKS = 40, 600
ZONES = "abc"
DRAWN = (
    "spread(zone)",
    "binpack(memory)",
    "binpack(cpu)",
    "place, fast gear (best fit)",
    "place, the service's default, fast gear",
    "place, the service's default, thorough gear",
)


@dataclass(frozen=True)
class Batch:
    """The tasks and the fleet; every instance is idle and costs its price once it is used."""

    total: Ints
    price: Floats
    demand: Ints
    bound: float

    @classmethod
    def drawn(cls) -> "Batch":
        """12 shapes of 256 to 2048 CPU units, 256 to 8192 MiB; the bound is the volume plan's."""
        chance = np.random.default_rng(11)
        total = np.repeat([room for room, _ in TYPES.values()], EACH, axis=0).astype(np.int64)
        price = np.repeat([price for _, price in TYPES.values()], EACH)
        sizes = np.column_stack(
            [chance.integers(1, 9, 12) * 256, 2 ** chance.integers(0, 6, 12) * 256]
        )
        demand = sizes[chance.integers(0, 12, TASKS)].astype(np.int64)
        closed = np.zeros(len(total), dtype=np.bool_)
        problem, _ = as_problem(
            total, demand, {"active": closed, "cost": price, "objective": "open"}
        )
        plan = volume_plan(
            problem, problem.free, problem.counts, classify(problem, problem.free, closed, 1)
        )
        return cls(total, price, demand, plan.value * float(price.max()))

    def used(self, rows: Ints) -> Floats:
        """Share of CPU and of memory in use on each instance, [n, 2]."""
        assert (rows >= 0).all()
        used = np.zeros(self.total.shape)
        np.add.at(used, rows, self.demand)
        return used / self.total

    def packed(self, budget_s: float | None) -> Ints:
        """By arrays, knowing the prices."""
        closed = np.zeros(len(self.total), dtype=np.bool_)
        return pack(
            self.total,
            self.demand,
            active=closed,
            cost=self.price,
            objective="open",
            budget_s=budget_s,
        )

    def placed(self, policy: Policy, budget_s: float = 0.0) -> Ints:
        """By `place`, which knows prices only from the policy."""
        instances = [
            Instance(
                InstanceId(f"i-{row:03d}"),
                (cpu, memory, 0, 3),
                (cpu, memory, 0, 3),
                attributes={
                    "zone": ZONES[row % len(ZONES)],
                    "ecs.instance-type": list(TYPES)[row // EACH],
                },
            )
            for row, (cpu, memory) in enumerate(self.total.tolist())
        ]
        requests = [
            TaskRequest(RequestId(f"t{n:03d}"), Shape(cpu, memory), order=n)
            for n, (cpu, memory) in enumerate(self.demand.tolist())
        ]
        snapshot = Snapshot.of(instances)
        plan = place(requests, snapshot, policy, budget_s=budget_s)
        rows = [
            snapshot.row_of[each.instance_id] if isinstance(each, Start) else -1
            for each in plan.decisions
        ]
        return np.array(rows, dtype=np.int64)


def chain(*strategies: Strategy) -> Policy:
    """ECS's strategies, one after the other."""
    return Policy(strategies=strategies)


ZONE, MEMORY, CPU = (
    Strategy("spread", "attribute:zone"),
    Strategy("binpack", "memory"),
    Strategy("binpack", "cpu"),
)
WAYS: dict[str, Callable[[Batch], Ints]] = {
    "random": lambda batch: batch.placed(chain(Strategy("random"))),
    "spread(zone)": lambda batch: batch.placed(chain(ZONE)),
    "spread(zone), binpack(memory)": lambda batch: batch.placed(chain(ZONE, MEMORY)),
    "binpack(memory)": lambda batch: batch.placed(chain(MEMORY)),
    "binpack(cpu)": lambda batch: batch.placed(chain(CPU)),
    "place, fast gear (best fit)": lambda batch: batch.placed(Policy()),
    "place, the service's default, fast gear": lambda batch: batch.placed(DEFAULT_POLICY),
    "place, the service's default, thorough gear": lambda batch: batch.placed(DEFAULT_POLICY, 0.5),
    "pack, fast gear": lambda batch: batch.packed(0.0),
    "pack, thorough gear": lambda batch: batch.packed(None),
}


def row(name: str, batch: Batch, used: Floats) -> str:
    """One line of the page's table."""
    opened = used.any(axis=1)
    cost = float(batch.price[opened].sum())
    cpu, memory = (used * batch.total)[opened].sum(axis=0) / batch.total[opened].sum(axis=0)
    return (
        f"| {name} | {int(opened.sum())} | {cost:.2f} | {cost / batch.bound - 1:+.1%} "
        f"| {cpu:.0%} | {memory:.0%} |"
    )


def picture(batch: Batch, found: dict[str, Floats]) -> Drawing:
    """A strip for each way: an instance is as wide as its price, CPU goes up, memory down."""
    strip, left, across = 118, 16, 868.0
    most = max(float(batch.price[used.any(axis=1)].sum()) for used in found.values())
    drawing = Drawing(900, 64 + strip * len(found) + 10)
    drawing.text((left, 22), f"{TASKS} tasks on idle instances, packed six ways", size=15)
    drawing.text((left, 42), "Each column is an instance that is paid for, as wide as its price:")
    for at, name, colour in ((395, "CPU in use", COLOURS[0]), (495, "memory in use", COLOURS[1])):
        drawing.box((at, 32), (12, 12), colour)
        drawing.text((at + 17, 42), name)
    drawing.box((615, 32), (12, 12), PALE)
    drawing.text((632, 42), "paid for and not used")
    for number, (name, used) in enumerate(found.items()):
        top = 64.0 + strip * number
        opened = np.flatnonzero(used.any(axis=1))
        kind = batch.price[opened]
        opened = opened[np.lexsort((-used[opened].sum(axis=1), kind))]
        cost = float(batch.price[opened].sum())
        over = cost / batch.bound - 1
        label = f"{name}: {opened.size} instances, {cost:.2f} $ an hour, {over:+.1%} to the bound"
        drawing.text((left, top + 12), label)
        x, middle, half = float(left), top + 62, 42.0
        for instance in opened.tolist():
            wide = float(batch.price[instance]) / most * across
            cpu, memory = used[instance].tolist()
            drawing.box((x, middle - half), (wide - 0.7, half * 2), PALE)
            drawing.box((x, middle - half * cpu), (wide - 0.7, half * cpu), COLOURS[0])
            drawing.box((x, middle), (wide - 0.7, half * memory), COLOURS[1])
            x += wide
        end = left + batch.bound / most * across
        drawing.line([(end, middle - half - 4), (end, middle + half + 4)], INK, 1.5)
    drawing.text((end + 5, middle + half + 4), "proven bound", size=11)
    return drawing


def main() -> None:
    """Pack, print the table, and write the picture to the path given."""
    batch = Batch.drawn()
    used = {name: batch.used(way(batch)) for name, way in WAYS.items()}
    print(f"bound {batch.bound:.2f}")
    for name, shares in used.items():
        print(row(name, batch, shares))
    drawing = picture(batch, {name: used[name] for name in DRAWN})
    Path(sys.argv[1]).write_text(drawing.svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
