"""Placement's figures, each beside a numpy best fit that places one request at a time, in one run.

`run` returns rows of name, value, unit and note. On the command line: --json, --quick, --quality.
"""

import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np
from benchmarks import report
from benchmarks.packing_cases import (
    ONE_BY_ONE_SAMPLE,
    Case,
    batch,
    best_fit_one_by_one,
    cluster,
    dot_product,
    fleet,
    in_use,
    one_by_one,
    planted,
    worth,
)
from numpy.typing import NDArray

from ecs_placement.arrays import pack
from ecs_placement.batch import place
from ecs_placement.explanation import after
from ecs_placement.feasible import Constraints, Shortages
from ecs_placement.plan import Start
from ecs_placement.policy import BEST_FIT, DEFAULT_POLICY, Policy, Strategy
from ecs_placement.request import RequestId, Shape, TaskRequest
from ecs_placement.snapshot import Instance, InstanceId, Snapshot

Row = dict[str, object]


def both_clocks(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the wall, and of CPU; on a shared machine only the latter mean much."""
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - cpu


def seconds(work: Callable[[], object], repeat: int = 3) -> float:
    """The shortest of `repeat` runs."""
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def throughput(instances: int, requests: int, shapes: int) -> list[Row]:
    """Requests decided per second by `place`, and how many times that is the one-by-one rate."""
    snapshot, asked = cluster(instances), batch(requests, shapes)
    taken, spent = min(both_clocks(lambda: place(asked, snapshot)) for _ in range(3))
    rate = requests / taken
    sample = np.array([r.shape.demand for r in asked[:ONE_BY_ONE_SAMPLE]], dtype=np.int64)
    slow = len(sample) / seconds(lambda: one_by_one(snapshot.free, sample), 1)
    name = f"place {instances:,} x {requests:,}, {shapes:,} shapes"
    note = f"{requests / spent:,.0f} a CPU second; one by one (numpy): {slow:,.0f}/s"
    return [
        {"name": name, "value": round(rate), "unit": "requests/s", "note": note},
        {"name": f"{name}, ratio", "value": round(rate / slow, 1), "unit": "x", "note": ""},
    ]


CHAINS = {
    "spread(instanceId), binpack(memory)": ("spread:instanceId", "binpack:memory"),
    "spread(zone), spread(instanceId)": ("spread:attribute:zone", "spread:instanceId"),
    "binpack(memory)": ("binpack:memory",),
    "random": ("random:",),
}


def chains(instances: int, requests: int) -> list[Row]:
    """ECS's chains, tasks per CPU second, and how many times as long as best fit they take."""
    snapshot, asked = cluster(instances), batch(requests, 20)
    _, usual = min(both_clocks(lambda: place(asked, snapshot)) for _ in range(3))
    rows: list[Row] = []
    for name, steps in CHAINS.items():
        chain = tuple(Strategy(*step.split(":", 1)) for step in steps)
        policy = Policy(strategies=chain)
        spent = min(both_clocks(lambda p=policy: place(asked, snapshot, p))[1] for _ in range(3))  # type: ignore[misc]
        rows.append(
            {
                "name": f"chain {instances:,} x {requests:,}, {name}",
                "value": round(requests / spent),
                "unit": "requests/s",
                "note": f"of CPU time; {spent / usual:.1f} x as long as best fit in this run",
            }
        )
    return rows


def by_default(instances: int, requests: int, repeats: int) -> Row:
    """How long the service's default policy takes beside best fit, in turn, when most instances are
    in use and each pass sees them anew.
    """
    snapshot, asked = in_use(cluster(instances), 0.7), batch(requests, 20)
    spent: dict[str, list[float]] = {"default": [], "best fit": []}
    for _ in range(repeats + 1):
        for name, policy in (("default", DEFAULT_POLICY), ("best fit", BEST_FIT)):
            seen = snapshot.having_free(snapshot.free.copy())
            spent[name].append(both_clocks(lambda s=seen, p=policy: place(asked, s, p))[1])  # type: ignore[misc]
    usual, other = (1e3 * float(np.median(spent[name][1:])) for name in ("default", "best fit"))
    return {
        "name": f"default policy, {instances:,} x {requests:,}, as long as best fit",
        "value": round(usual / other, 2),
        "unit": "x",
        "note": f"CPU median {usual:.2f} and {other:.2f} ms",
    }


def urgent(repeats: int) -> Row:
    """One request with an attribute and a host port among 10,000 instances."""
    snapshot = cluster(10_000)
    shape = Shape(
        256, 512, ports_tcp=frozenset({80}), required_attributes=frozenset({("zone", "a")})
    )
    times = []
    for number in range(repeats):
        asked = [TaskRequest(RequestId(f"r{number}"), shape)]
        times.append(both_clocks(lambda asked=asked: place(asked, snapshot)))  # type: ignore[misc]
    wall, cpu = (1e3 * np.array(of) for of in zip(*times, strict=True))
    return {
        "name": "one constrained request among 10,000 instances, p99",
        "value": round(float(np.quantile(wall, 0.99)), 2),
        "unit": "ms",
        "note": f"median {np.median(wall):.2f} ms; "
        f"CPU p99 {np.quantile(cpu, 0.99):.2f}, median {np.median(cpu):.2f} ms",
    }


def full_queue(repeats: int) -> Row:
    """50,000 waiting with a zone each, 5,000 instances: one pass."""
    snapshot, asked = cluster(5_000), batch(50_000, 40, zoned=True)
    times = [both_clocks(lambda: place(asked, snapshot)) for _ in range(repeats)]
    wall, cpu = (np.array(of) for of in zip(*times, strict=True))
    return {
        "name": "50,000 constrained requests x 5,000 instances, one pass, p99",
        "value": round(float(np.quantile(wall, 0.99)), 3),
        "unit": "s",
        "note": f"{repeats} passes, median {np.median(wall):.3f} s; "
        f"CPU p99 {np.quantile(cpu, 0.99):.3f}, median {np.median(cpu):.3f} s",
    }


def reasons(instances: int, requests: int, shapes: int) -> Row:
    """What the tallies of all that waits cost, computed once more, beside the whole pass."""
    snapshot, asked = cluster(instances), batch(requests, shapes, zoned=True)
    start = time.process_time()
    plan = place(asked, snapshot)
    whole = time.process_time() - start
    left = after(plan, asked, snapshot)
    waiting = {
        id(request.shape): request.shape
        for request, decision in zip(asked, plan.decisions, strict=True)
        if not isinstance(decision, Start)
    }
    constraints = Constraints(left)
    for shape in waiting.values():
        constraints.eligible(shape)  # packing has made these masks
    start = time.process_time()
    short = Shortages(np.ascontiguousarray(left.free.T))
    for shape in waiting.values():
        if constraints.could(shape):
            constraints.why_waiting(shape, short.of(shape))
        else:
            constraints.why_never(shape)
    taken = time.process_time() - start
    return {
        "name": f"reasons, {instances:,} x {requests:,}, {shapes:,} shapes, share of the pass",
        "value": round(100 * taken / whole, 1),
        "unit": "%",
        "note": f"{len(waiting):,} shapes wait, {taken * 1e3:.1f} ms",
    }


def fenzo(hosts: int) -> list[Row]:
    """Fenzo's published case: 8 CPUs each; tasks of 1, 4, 6 as 20/40/40 % of cores; by 200."""
    rows = [
        Instance(InstanceId(f"h{n:05d}"), (8, 1024, 0, 0), (8, 1024, 0, 0)) for n in range(hosts)
    ]
    snapshot = Snapshot.of(rows)
    counts = [int(hosts * 8 * share / size) for size, share in ((1, 0.2), (4, 0.4), (6, 0.4))]
    counts[0] += hosts * 8 - counts[0] - 4 * counts[1] - 6 * counts[2]
    cores = np.repeat([1, 4, 6], counts)
    np.random.default_rng(3).shuffle(cores)
    shapes = {size: Shape(size, 1) for size in (1, 4, 6)}
    free, used = snapshot.free.copy(), 0
    times: list[float] = []
    spent: list[float] = []
    for first in range(0, len(cores), 200):
        asked = [
            TaskRequest(RequestId(f"t{first + n}"), shapes[size], order=first + n)
            for n, size in enumerate(cores[first : first + 200].tolist())
        ]
        now = Snapshot(snapshot.instances, snapshot.total, free)
        start, cpu = time.perf_counter(), time.process_time()
        plan = place(asked, now)
        times.append(time.perf_counter() - start)
        spent.append(time.process_time() - cpu)
        for request, decision in zip(asked, plan.decisions, strict=True):
            if isinstance(decision, Start):
                free[snapshot.row_of[decision.instance_id]] -= request.shape.demand
                used += request.shape.cpu_units
    return [
        {
            "name": f"Fenzo's case, {hosts:,} hosts, batch of 200, mean",
            "value": round(float(np.mean(times)) * 1e3, 2),
            "unit": "ms",
            "note": f"max {max(times) * 1e3:.1f} ms; CPU mean {np.mean(spent) * 1e3:.2f} ms",
        },
        {
            "name": f"Fenzo's case, {hosts:,} hosts, fill",
            "value": round(100 * used / (hosts * 8), 2),
            "unit": "%",
            "note": f"{len(cores):,} tasks; Fenzo's bar 97.2 %",
        },
    ]


def arrays(instances: int, tasks: int, shapes: int) -> list[Row]:
    """Tasks per second through `pack`, from raw arrays, and how far each gear is from the bound."""
    case = fleet(instances, tasks, shapes, 0.7)
    rows: list[Row] = []
    for gear, budget_s in (("fast", 0.0), ("thorough", None)):
        start, cpu = time.perf_counter(), time.process_time()
        placed = case.packed(budget_s)
        taken, spent = time.perf_counter() - start, time.process_time() - cpu
        name = f"pack {instances:,} x {tasks:,}, {shapes:,} shapes, {gear}"
        note = f"{case.gap(placed):+.1%} to the bound; {tasks / spent:,.0f} a CPU second"
        rows.append({"name": name, "value": round(tasks / taken), "unit": "tasks/s", "note": note})
    return rows


def gaps(scale: int = 1) -> list[Row]:
    """How far from a proven bound four ways stay on the same tasks, in the same run."""
    cases = (
        planted(200 * scale, 20),
        fleet(200 * scale, 3_000 * scale, 20, 0.7),
        fleet(200 * scale, 3_000 * scale, 400, 0.7),
        fleet(200 * scale, 3_000 * scale, 20, 1.2),
    )
    ways: dict[str, Callable[[Case], NDArray[np.int64]]] = {
        "best fit, one by one": best_fit_one_by_one,
        "dot product, row by row": dot_product,
        "fast gear": lambda case: case.packed(0.0),
        "thorough gear": lambda case: case.packed(None),
    }
    rows: list[Row] = []
    for case in cases:
        shapes = len(np.unique(case.demand, axis=0))
        for way, place_all in ways.items():
            start = time.perf_counter()
            gap = case.gap(place_all(case))
            taken = time.perf_counter() - start
            name = f"gap, {case.name}, {shapes:,} shapes, {way}"
            note = f"{taken:.2f} s, {len(case.demand) / taken:,.0f} tasks/s"
            rows.append({"name": name, "value": round(100 * gap, 2), "unit": "%", "note": note})
    return rows


def searched(instances: int, requests: int, budget_s: float) -> Row:
    """What `place` starts more, by mean share of the room, when it may search for a better plan."""
    snapshot, asked = cluster(instances), batch(requests, 40, zoned=True)
    each = worth(snapshot.free, np.array([request.shape.demand for request in asked]))
    reached, spent = [], []
    for effort_s in (0.0, budget_s):
        cpu = time.process_time()
        plan = place(asked, snapshot, budget_s=effort_s)
        spent.append(time.process_time() - cpu)
        started = [isinstance(decision, Start) for decision in plan.decisions]
        reached.append((float(each[started].sum()), sum(started)))
    (fast, few), (thorough, many) = reached
    return {
        "name": f"place {instances:,} x {requests:,}, constrained, {budget_s} s to search",
        "value": round(100 * (thorough / fast - 1), 1),
        "unit": "% more worth",
        "note": f"{few:,} to {many:,} requests; CPU {spent[0]:.2f} to {spent[1]:.2f} s",
    }


def _peak_mib(sizes: tuple[int, int, int]) -> float:
    fleet(*sizes, 0.7).packed(None)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def memory(instances: int, tasks: int, shapes: int) -> Row:
    """The most that a process of its own held while it packed, all that it imports included."""
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh) as process:
        peak_mib = process.submit(_peak_mib, (instances, tasks, shapes)).result()
    name = f"peak memory, pack {instances:,} x {tasks:,}, {shapes:,} shapes"
    return {"name": name, "value": round(peak_mib), "unit": "MiB", "note": "thorough gear"}


def quality() -> list[Row]:
    """Mean score by family on the instances beside the repository, where they are; else nothing."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "packing" / "instances"
    scores: dict[tuple[str, str], list[float]] = {}
    for path in sorted(folder.glob("*.npz")):
        case = np.load(path)
        if str(case["objective"]) != "churn":
            for gear, budget_s in (("fast", 0.0), ("thorough", None)):
                scores.setdefault((path.name[0], gear), []).append(_score(case, budget_s))
    return [
        {
            "name": f"quality, family {family}, {gear} gear",
            "value": round(float(np.mean(found)), 4),
            "unit": "of bound",
            "note": f"{len(found)} instances, lowest {min(found):.4f}",
        }
        for (family, gear), found in scores.items()
    ]


def _score(case: Mapping[str, NDArray[np.float64]], budget_s: float | None) -> float:
    free, demand, active = case["free"], case["demand"], case["active"].astype(bool)
    opening = str(case["objective"]) == "open"
    placed = pack(
        free,
        demand,
        active=active,
        capacity=case["cap"],
        cost=case["cost"],
        objective="open" if opening else "fit",
        budget_s=budget_s,
    )
    if opening:
        opened = np.unique(placed[placed >= 0])
        cost = float(case["cost"][opened[~active[opened]]].sum())
        return 0.0 if (placed < 0).any() else float(case["bound"]) / max(cost, 1e-12)
    total = np.maximum(free.sum(axis=0), 1e-9)
    used = demand.sum(axis=0) > 0
    worth = (demand[:, used] / total[used]).mean(axis=1)
    return float(worth[placed >= 0].sum() / float(case["bound"]))


def run(quick: bool = False) -> list[Row]:
    """All figures; `quick` shrinks the sizes to a smoke test of a few seconds."""
    if quick:
        rows = throughput(200, 2_000, 20) + arrays(100, 1_000, 20)
        rows += [searched(50, 500, 0.02), memory(100, 1_000, 20), reasons(100, 2_000, 20)]
        rows += [*chains(200, 500), by_default(200, 100, 5)]
        return [*rows, urgent(5), *fenzo(200)]
    rows = throughput(1_000, 10_000, 20) + throughput(10_000, 100_000, 20)
    rows += throughput(10_000, 100_000, 1_000) + throughput(1_000, 10_000, 10_000)
    rows += arrays(10_000, 100_000, 20) + arrays(10_000, 100_000, 1_000)
    rows += [searched(1_000, 8_000, 0.1), searched(5_000, 50_000, 0.1)]
    rows += chains(5_000, 5_000) + chains(5_000, 50_000)
    rows += [by_default(n, m, 100) for n in (1_000, 10_000) for m in (1, 100)]
    rows += [by_default(10_000, 20_000, 5)]
    rows += [memory(10_000, 100_000, 20), memory(10_000, 100_000, 1_000)]
    rows += [reasons(5_000, 50_000, 40), reasons(5_000, 50_000, 1_000)]
    return [*rows, *gaps(), urgent(200), full_queue(20), *fenzo(10_000)]


def main() -> None:
    """Print the table, or with --json one JSON document; --quality scores the shared instances."""
    rows = quality() if "--quality" in sys.argv else run(quick="--quick" in sys.argv)
    if "--json" in sys.argv:
        print(json.dumps(rows))
        return
    report.show(cast("list[report.Row]", rows))


if __name__ == "__main__":
    main()
