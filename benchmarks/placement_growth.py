"""How long placing takes as instances, requests and shapes grow; prints rows, or draws them.

`python -m benchmarks.placement_growth [docs/placement-growth.svg]`
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from benchmarks.drawing import COLOURS, Axes, Drawing
from benchmarks.packing_cases import batch, cluster, fleet, one_by_one

from ecs_placement.batch import place

SAMPLE = 200  # requests that are really placed one by one; the rest is reckoned from them
TYPICAL = (1_000, 10_000, 20)
GROWING = {
    "instances": [(10**power, 10_000, 20) for power in (2, 3, 4)],
    "requests": [(1_000, 10**power, 20) for power in (2, 3, 4, 5)],
    "shapes": [(1_000, 10_000, 10**power) for power in (0, 1, 2, 3, 4)],
}
Sizes = tuple[int, int, int]


def spent_s(work: Callable[[], object]) -> float:
    """CPU seconds of the shorter of two runs."""
    best = float("inf")
    for _ in range(2):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def by_one(sizes: Sizes) -> float:
    """numpy best fit, one request at a time."""
    instances, requests, shapes = sizes
    demand = np.array([r.shape.demand for r in batch(requests, shapes)[:SAMPLE]], dtype=np.int64)
    free = cluster(instances).free
    return spent_s(lambda: one_by_one(free, demand)) * requests / len(demand)


def by_place(sizes: Sizes) -> float:
    """`place`, from requests to a plan."""
    instances, requests, shapes = sizes
    asked, snapshot = batch(requests, shapes), cluster(instances)
    return spent_s(lambda: place(asked, snapshot))


def by_fast(sizes: Sizes) -> float:
    """`pack` by the fast gear, from raw arrays."""
    case = fleet(*sizes, 0.7)
    return spent_s(lambda: case.packed(0.0))


def by_thorough(sizes: Sizes) -> float:
    """`pack` by the thorough gear, with its default budget."""
    case = fleet(*sizes, 0.7)
    return spent_s(lambda: case.packed(None))


WAYS = {
    "best fit one by one (numpy)": by_one,
    "place, fast gear": by_place,
    "pack, fast gear": by_fast,
    "pack, thorough gear, default budget": by_thorough,
}
Line = list[tuple[float, float]]


def measured() -> dict[str, dict[str, Line]]:
    """By what grows and by way: its size, and CPU seconds."""
    found: dict[str, dict[str, Line]] = {}
    for position, (what, steps) in enumerate(GROWING.items()):
        found[what] = {
            way: [(sizes[position], time_of(sizes)) for sizes in steps]
            for way, time_of in WAYS.items()
        }
    return found


def picture(found: dict[str, dict[str, Line]]) -> Drawing:
    """Three panels, CPU seconds over what grows."""
    drawing = Drawing(960, 400)
    instances, requests, shapes = TYPICAL
    usual = f"{requests:,} requests of {shapes} shapes on {instances:,} instances"
    drawing.text((16, 22), f"CPU seconds for a batch: {usual}, but for what grows", size=15)
    for number, way in enumerate(WAYS):
        at = (16 + 232 * number, 42)
        drawing.line([at, (at[0] + 18, at[1])], COLOURS[number], 3)
        drawing.text((at[0] + 23, at[1] + 4), way, size=11)
    for number, (what, lines) in enumerate(found.items()):
        sizes = [x for x, _ in next(iter(lines.values()))]
        across = (round(np.log10(min(sizes))), round(np.log10(max(sizes))))
        axes = Axes(drawing, 56 + 310 * number, 66, 260, 280, across, (-4, 2))
        axes.frame(what)
        for colour, line in zip(COLOURS, lines.values(), strict=False):
            axes.series([(x, min(max(y, 1e-4), 1e2)) for x, y in line], colour)
    return drawing


def main() -> None:
    """Measure, print, and draw where a path is given."""
    found = measured()
    for what, lines in found.items():
        for way, line in lines.items():
            told = ", ".join(f"{int(size):,}: {seconds:.4f} s" for size, seconds in line)
            print(f"{what:<10} {way:<38} {told}")
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(picture(found).svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
