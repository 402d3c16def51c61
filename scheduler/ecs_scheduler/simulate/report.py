"""The report: one HTML file that needs no network, and the same as JSON."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from ecs_scheduler.simulate.bars import Bar, bars, picture
from ecs_scheduler.simulate.charts import Axes, Line, Point, colour, heat, lines, points
from ecs_scheduler.simulate.compare import METRICS, Compared, Comparison, Interval, Metric
from ecs_scheduler.simulate.measures import QUANTILES, Measures
from ecs_scheduler.simulate.prices import Prices
from ecs_scheduler.simulate.record import Floats
from ecs_scheduler.simulate.verdict import NOTICED, seconds, verdict
from ecs_simulator.fleet import Fleet

TELLING_SEEDS = 3
"""With fewer, an interval says little, and nothing is called better or worse."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the report says of how it came about; `fleet` and `prices` are those of the run."""

    workload: str
    command: str
    idle_s: float
    fleet: Fleet = ()
    prices: Prices = field(default_factory=Prices)
    outline: bool = False
    title: str = ""


def html(comparison: Comparison, told: Told) -> str:
    """The whole page."""
    return page("Placement policies compared", _body(comparison, told))


def page(title: str, body: Iterable[str]) -> str:
    """A whole page with its style, and nothing from elsewhere."""
    template = files("ecs_scheduler.simulate").joinpath("page.html").read_text("utf-8")
    return template.format(title=title, body="\n".join(body))


def _body(comparison: Comparison, told: Told) -> Iterator[str]:
    seeds = len(comparison.seeds)
    yield "<h1>Placement policies compared</h1>"
    yield f'<p class="soft">{escape(told.workload)}; {_counted(seeds, "seed")}.</p>'
    yield '<div class="verdict">'
    yield from (f"<p>{escape(sentence)}</p>" for sentence in verdict(comparison))
    yield "</div>"
    if len(comparison.policies) > 1:
        yield f'<div class="narrow">{bars(_bars(comparison))}</div>'
    yield "<h2>Figures</h2>"
    if seeds >= TELLING_SEEDS:
        yield (
            '<p class="soft">Means over the seeds, with 95 % bootstrap intervals below. Green and '
            "red: better or worse than the first policy by more than chance explains.</p>"
        )
    yield from _table(comparison)
    yield from _gains(comparison)
    yield "<h2>Over time</h2>"
    yield keys([each.policy for each in comparison.policies])
    yield '<div class="grid">'
    yield from _time_charts(comparison)
    yield "</div><h2>Instances</h2>"
    yield (
        '<p class="soft">Each row is an instance (or neighbours, averaged) in the order of the '
        "fleet; the darker, the more of its scarcest resource is in use. First seed.</p>"
        '<div class="grid">'
    )
    for number, policy in enumerate(comparison.policies):
        run = policy.runs[0]
        yield _figure(
            f"{_key(number)}{escape(policy.policy)}", heat(run.heat.tolist(), run.makespan_s), ""
        )
    yield "</div><h2>How to read this</h2>"
    yield from _notes(told)


def _table(comparison: Comparison) -> Iterator[str]:
    yield '<div class="scroll"><table><thead><tr><th></th>'
    for number, policy in enumerate(comparison.policies):
        yield f"<th>{_key(number)}{escape(policy.policy)}</th>"
    yield "</tr></thead><tbody>"
    for metric in METRICS:
        if _tells(metric, comparison):
            unit = f" ({metric.unit})" if metric.unit else ""
            yield f"<tr><td>{escape(metric.title + unit)}</td>"
            yield from (_cell(metric, policy) for policy in comparison.policies)
            yield "</tr>"
    yield "</tbody></table></div>"


def _tells(metric: Metric, comparison: Comparison) -> bool:
    """Whether every policy has it and anyone's is not 0."""
    found = [policy.metrics.get(metric.key) for policy in comparison.policies]
    return all(found) and any(each is not None and each.mean != 0 for each in found)


def _bars(comparison: Comparison) -> list[Bar]:
    """Every policy's row of the picture."""
    rows = []
    for each in comparison.policies:
        cost = each.metrics["cost_per_1000"]
        median, late = (seconds(each.metrics[key].mean) for key in ("wait_median_s", "wait_p95_s"))
        texts = number(each.metrics["instance_hours"].mean), median, late
        rows.append(Bar(each.policy, cost.mean, cost.low, cost.high, texts))
    return rows


def drawn(comparison: Comparison, told: Told) -> str:
    """The picture of costs and waits as a file of its own."""
    return picture(_bars(comparison), told.title or told.workload)


def _cell(metric: Metric, policy: Compared) -> str:
    value = policy.metrics[metric.key]
    kind = judged(metric, policy)
    spread = (
        f"<small>{number(value.low)} – {number(value.high)}</small>" if len(policy.runs) > 1 else ""
    )
    return f'<td class="{kind}">{number(value.mean)}{spread}</td>'


def judged(metric: Metric, policy: Compared) -> str:
    """`good`, `bad`, or empty where the difference to the first policy may be chance."""
    if policy.against is None or len(policy.runs) < TELLING_SEEDS:
        return ""
    difference = policy.against.difference.get(metric.key)
    if difference is None or difference.low <= 0 <= difference.high:
        return ""
    if abs(difference.mean) < NOTICED * abs(policy.metrics[metric.key].mean):
        return ""
    less = difference.high < 0
    return "good" if less == (metric.better == "less") else "bad"


def number(value: float) -> str:
    """A figure with the digits that mean something."""
    if math.isnan(value):
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _gains(comparison: Comparison) -> Iterator[str]:
    first = comparison.policies[0].policy
    compared = [each for each in comparison.policies if each.against is not None]
    if not compared:
        return
    yield f"<h2>Who gains, who loses, against {escape(first)}</h2>"
    yield (
        '<p class="soft">Jobs whose wait changed by more than a second and a tenth; below them the '
        "shares and shapes whose mean wait grew the most.</p>"
    )
    yield '<div class="scroll"><table><thead><tr><th>policy</th><th>jobs better</th>'
    yield '<th>jobs worse</th><th>much the same</th><th class="text">loses the most</th></tr>'
    yield "</thead><tbody>"
    for policy in compared:
        against = policy.against
        assert against is not None
        losers = "<br>".join(
            escape(
                f"{each.kind} {each.name} ({each.jobs:,} jobs): "
                f"{number(each.before_s)} s → {number(each.after_s)} s"
            )
            for each in against.losers[:4]
        )
        yield (
            f"<tr><td>{escape(policy.policy)}</td><td>{against.better:,}</td>"
            f"<td>{against.worse:,}</td><td>{against.same:,}</td>"
            f'<td class="text">{losers or "nobody"}</td></tr>'
        )
    yield "</tbody></table></div>"


def _time_charts(comparison: Comparison) -> Iterator[str]:
    policies = comparison.policies
    for resource in ("CPU", "memory", "GPU"):
        if all(resource in policy.runs[0].used for policy in policies):
            curves = [_line(policy, policy.runs[0].used[resource]) for policy in policies]
            axes = Axes("time", f"{resource} reserved", percent_y=True)
            yield _figure(
                f"{resource} in use, of all instances", lines(curves, axes), "First seed."
            )
    opened = [_line(policy, policy.runs[0].open_instances) for policy in policies]
    yield _figure("Open instances", lines(opened, Axes("time", "instances")), "First seed.")
    waiting = [_line(policy, policy.runs[0].waiting_jobs) for policy in policies]
    axes = Axes("time", "jobs", least_y=1.0)
    yield _figure("Jobs waiting", lines(waiting, axes), "First seed.")
    curves = [
        Line(policy.policy, [max(x, 0.1) for x in mean_curve(policy.runs)], QUANTILES.tolist())
        for policy in policies
    ]
    yield _figure(
        "Waiting time: share of jobs launched within",
        lines(curves, Axes("seconds", "share of jobs", log_x=True, percent_y=True)),
        "All seeds; further left is better.",
    )
    marks = [
        Point(
            policy.policy,
            policy.metrics["cost"].mean,
            policy.metrics["wait_mean_s"].mean,
            _range(policy.metrics["cost"]),
            _range(policy.metrics["wait_mean_s"]),
        )
        for policy in policies
    ]
    yield _figure(
        "Cost against wait",
        points(marks, Axes("cost, $", "mean wait, s")),
        "Nearer to the lower left corner is better; bars are the intervals.",
    )


def _line(policy: Compared, values: Any) -> Line:
    return Line(policy.policy, policy.runs[0].times_s.tolist(), values.tolist())


def mean_curve(runs: Sequence[Measures]) -> list[float]:
    """The waiting-time curve averaged over the seeds, quantile by quantile."""
    means: list[float] = np.mean([run.waiting.curve for run in runs], axis=0).tolist()
    return means


def _range(value: Interval) -> tuple[float, float]:
    return value.low, value.high


def _figure(title: str, svg: str, caption: str) -> str:
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure><h3>{title}</h3>{svg}{below}</figure>"


def _key(number: int) -> str:
    return f'<span class="key" style="background:{colour(number)}"></span>'


def keys(names: Sequence[str]) -> str:
    """Which colour is which name."""
    named = "".join(
        f'<span class="name">{_key(number)}{escape(name)}</span>'
        for number, name in enumerate(names)
    )
    return f'<p class="keys">{named}</p>'


def _counted(many: int, what: str) -> str:
    return f"{many} {what}" if many == 1 else f"{many} {what}s"


WHOLE = (
    "The production service ran in virtual time against a simulated ECS with AWS's published "
    "request rates; nothing was approximated but the cluster itself."
)
OUTLINE = (
    "In outline: the production placement decided at each look at the queue, on a cluster that it "
    "knows at once; the service, its API rates and Redis were left out."
)


def _notes(told: Told) -> Iterator[str]:
    notes = (
        OUTLINE if told.outline else WHOLE,
        f"An instance is paid for from its first launch until it has been empty for "
        f"{told.idle_s:g} s, and again when it is used again, as if a scaler gave it back then. "
        "The fleet is the most there can be.",
        "Stranded: while jobs waited, the part of the free CPU and memory that was on instances "
        "where none of the waiting shapes fitted.",
        "Prices are on-demand list prices, or your own table: they rank policies and do not "
        "predict a bill.",
    )
    yield from (f"<p>{escape(note)}</p>" for note in notes)
    yield f'<p class="soft">Made by <code>{escape(told.command)}</code></p>'


def as_json(comparison: Comparison, told: Told) -> str:
    """Everything the page shows, for programs."""
    document = {
        "version": 1,
        "workload": told.workload,
        "command": told.command,
        "seeds": list(comparison.seeds),
        "idle_s": told.idle_s,
        "fleet": [
            {"count": group.count, "instance_type": group.instance_type} for group in told.fleet
        ],
        "price_per_hour": told.prices.table(told.fleet),
        "verdict": verdict(comparison),
        "outline": told.outline,
        "policies": [_policy(policy) for policy in comparison.policies],
    }
    return json.dumps(document, separators=(",", ":"), allow_nan=False, default=float)


def _policy(policy: Compared) -> Mapping[str, Any]:
    return {
        "policy": policy.policy,
        "metrics": {key: _interval(value) for key, value in policy.metrics.items()},
        "waiting_quantiles_s": [_or_null(round(value, 3)) for value in mean_curve(policy.runs)],
        "runs": [
            {
                "seed": run.seed,
                "succeeded": run.succeeded,
                "failed": run.failed,
                "unfinished": run.unfinished,
                "throttled": run.throttled,
                "instance_hours": round(run.instance_hours, 4),
                "cost": round(run.cost, 4),
                "wait_median_s": _or_null(round(run.waiting.median_s, 4)),
                "times_s": _rounded(run.times_s),
                "used": {name: _rounded(values) for name, values in run.used.items()},
                "open_instances": _rounded(run.open_instances),
                "waiting_jobs": _rounded(run.waiting_jobs),
            }
            for run in policy.runs
        ],
        "against_first": None
        if policy.against is None
        else {
            "better": policy.against.better,
            "worse": policy.against.worse,
            "same": policy.against.same,
            "losers": [
                {
                    "kind": each.kind,
                    "name": each.name,
                    "jobs": each.jobs,
                    "before_s": _or_null(each.before_s),
                    "after_s": _or_null(each.after_s),
                }
                for each in policy.against.losers
            ],
            "difference": {
                key: _interval(value) for key, value in policy.against.difference.items()
            },
        },
    }


def _rounded(values: Floats) -> list[float]:
    """Four digits are more than a chart shows."""
    return [float(f"{value:.4g}") for value in values.tolist()]


def _interval(value: Interval) -> Mapping[str, float | None]:
    return {
        "mean": _or_null(value.mean),
        "low": _or_null(value.low),
        "high": _or_null(value.high),
    }


def _or_null(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None
