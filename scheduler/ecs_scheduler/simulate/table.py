"""The comparison as a table for a terminal."""

from rich.table import Table
from rich.text import Text

from ecs_scheduler.simulate.compare import METRICS, Comparison
from ecs_scheduler.simulate.report import judged, number

_STYLES = {"good": "green", "bad": "red", "": ""}


def table(comparison: Comparison) -> Table:
    """A row per metric, a column per policy; intervals where there are several seeds."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    shown.add_column("")
    for policy in comparison.policies:
        shown.add_column(policy.policy, justify="right", overflow="fold")
    for metric in METRICS:
        if not all(metric.key in policy.metrics for policy in comparison.policies):
            continue
        cells = [Text(f"{metric.title} {metric.unit}".strip())]
        for policy in comparison.policies:
            value = policy.metrics[metric.key]
            half = (value.high - value.low) / 2
            text = number(value.mean) + (f" ±{number(half)}" if len(policy.runs) > 1 else "")
            cells.append(Text(text, style=_STYLES[judged(metric, policy)]))
        shown.add_row(*cells)
    for name in ("better", "worse"):
        row = [Text(f"jobs {name} than with the first")]
        for policy in comparison.policies:
            against = policy.against
            row.append(Text("" if against is None else f"{getattr(against, name):,}"))
        if len(comparison.policies) > 1:
            shown.add_row(*row)
    return shown
