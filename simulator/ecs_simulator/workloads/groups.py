"""Fleets as generators and importers make and write them; `ecs_simulator.fleet` reads them."""

import json
from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path

from ecs_simulator.fleet import Fleet, InstanceGroup

_DEFAULTS = InstanceGroup()


def write_fleet(groups: Iterable[InstanceGroup], path: Path) -> None:
    """Write a fleet file: one JSON object a line, without the fields that keep their default."""
    with path.open("w", encoding="utf-8") as file:
        for group in groups:
            document = {"count": group.count, "instance_type": group.instance_type}
            for field in fields(InstanceGroup):
                value = getattr(group, field.name)
                if value != getattr(_DEFAULTS, field.name):
                    document[field.name] = value
            file.write(json.dumps(document, separators=(",", ":")) + "\n")


def scaled_fleet(machines: Fleet, instances: int) -> Fleet:
    """So many instances in the proportions of `machines`, whose counts are weights.

    The first groups come first where there are fewer instances than groups, and no group vanishes
    otherwise: the jobs that need its machines could never run.
    """
    machines = machines[:instances]
    weights = sum(group.count for group in machines)
    exact = [group.count * instances / weights for group in machines]
    counts = [max(int(share), 1) for share in exact]
    while sum(counts) > instances:
        shrinkable = [row for row, count in enumerate(counts) if count > 1]
        counts[max(shrinkable, key=lambda row: counts[row] - exact[row])] -= 1
    while sum(counts) < instances:
        counts[max(range(len(counts)), key=lambda row: exact[row] - counts[row])] += 1
    return tuple(replace(group, count=count) for group, count in zip(machines, counts, strict=True))
