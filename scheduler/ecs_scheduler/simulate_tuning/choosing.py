"""Which of the tried choices to take, and what each part of it contributes. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ecs_scheduler.simulate.compare import Compared, Interval, differences
from ecs_scheduler.simulate_tuning.space import Choice

Figures = Mapping[str, float]
Least = Literal["instance_hours", "cost"]


@dataclass(frozen=True)
class Part:
    """What the chosen policy loses without one of its parts: positive is worse."""

    name: str
    cost: Interval
    instance_hours: Interval
    wait_mean_s: Interval


def front(tried: Sequence[tuple[Choice, Figures]]) -> list[tuple[Choice, Figures]]:
    """The choices that no other beats in cost, wait and CPU use at once; cheapest first."""
    points = [(each[1]["cost"], each[1]["wait_mean_s"], -each[1]["cpu_packed"]) for each in tried]
    best = [
        (point, row)
        for row, point in enumerate(points)
        if not any(
            other != point and all(a <= b for a, b in zip(other, point, strict=True))
            for other in points
        )
    ]
    unique = dict(reversed(best))
    return [tried[row] for _, row in sorted(unique.items())]


def chosen(
    tried: Sequence[tuple[Choice, Figures]],
    references: Sequence[Compared],
    least: Least = "instance_hours",
) -> tuple[Choice, Figures]:
    """The fewest instance-hours (or the least cost) among those that are no worse in the other, and
    whose median wait is no longer, than under the best of the references in each; without regard
    to the other where there is none, and the shortest median wait where there is none of those.
    """
    other = "cost" if least == "instance_hours" else "instance_hours"
    wait, most = (
        min(each.metrics[key].mean for each in references) for key in ("wait_median_s", other)
    )
    patient = [each for each in tried if each[1]["wait_median_s"] <= wait]
    frugal = [each for each in patient if each[1][other] <= most]
    if patient:
        return min(frugal or patient, key=lambda each: each[1][least])
    return min(tried, key=lambda each: (each[1]["wait_median_s"], each[1][least]))


def contributions(whole: Compared, without: Sequence[Compared]) -> list[Part]:
    """What each part contributes, on the same seeds; the most expensive loss first."""
    parts = []
    for each in without:
        change = differences(whole.runs, each.runs)
        parts.append(
            Part(each.policy, change["cost"], change["instance_hours"], change["wait_mean_s"])
        )
    return sorted(parts, key=lambda part: -part.instance_hours.mean)
