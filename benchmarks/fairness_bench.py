"""Fair shares: how long it takes to rank what waits, beside what runs."""

import time
from statistics import median

from benchmarks.report import Row, main

from ecs_scheduler.sharing.fairness import Cluster, Demand, Used, Waiting, rank
from ecs_scheduler.sharing.rules import Rules, ShareRule

SHARES, RUNNING = 100, 10_000
ONE: Demand = (256, 512, 0)
TOTAL: Demand = (4_000_000, 16_000_000, 64)
REPEATS = 5


def ranked_in_ms(waiting: int, rules: Rules) -> float:
    """Median time of one ranking."""
    each, running = waiting // SHARES, RUNNING // SHARES
    jobs = {f"s{i}": [Waiting(n, ONE, f"f{n % 7}") for n in range(each)] for i in range(SHARES)}
    amount = (ONE[0] * running, ONE[1] * running, 0)
    used = {name: Used(running, amount, 0.01) for name in jobs}
    cluster = Cluster(TOTAL, used, {"f1": running})
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        ranked = rank(jobs, cluster, rules)
        times.append(time.perf_counter() - began)
        assert len(ranked.order) + len(ranked.held_back) == each * SHARES
    return median(times) * 1000


def run(quick: bool = False) -> list[Row]:
    """Rank a backlog, with weights only and with every kind of bound."""
    waiting = 5_000 if quick else 50_000
    weighted = Rules({f"s{i}": ShareRule(1 + i % 5) for i in range(SHARES)})
    bounded = Rules({f"s{i}": ShareRule(1, max_running=500) for i in range(SHARES)})
    coupled = Rules(families={"f1": 1_000}, reservation=0.25)
    note = f"beside {RUNNING:,} running, {SHARES} shares; bound: 100 ms"
    kinds = (
        ("weights", weighted),
        ("quotas of each share", bounded),
        ("family caps and a reservation", coupled),
    )
    return [
        Row(
            name=f"rank {waiting:,} waiting jobs, {what}",
            value=ranked_in_ms(waiting, rules),
            unit="ms",
            note=note,
        )
        for what, rules in kinds
    ]


if __name__ == "__main__":
    main(run)
