"""The report of a search: the front, the chosen policy, the references, and what each part does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape

from ecs_scheduler.simulate.charts import Axes, Point, points
from ecs_scheduler.simulate.compare import Compared, Interval
from ecs_scheduler.simulate.report import keys, number, page
from ecs_scheduler.simulate_tuning.choosing import Figures, Part
from ecs_scheduler.simulate_tuning.space import Choice

COLUMNS = (
    ("instance_hours", "instance-hours"),
    ("cost", "cost, $"),
    ("wait_median_s", "wait, median s"),
    ("wait_mean_s", "wait, mean s"),
    ("wait_p95_s", "wait, 95 % s"),
    ("cpu_packed", "CPU in use, open %"),
)
MOST_SHOWN = 15


@dataclass(frozen=True)
class Found:
    """Everything the report shows."""

    workload: str
    judged: str
    command: str
    tried: int
    front: Sequence[tuple[Choice, Figures]]
    chosen: Compared
    references: Sequence[Compared]
    parts: Sequence[Part]
    text: str


def verdict(found: Found) -> list[str]:
    """Whether the search beat ECS's own strategies, in sentences."""
    own = [each for each in found.references if each.policy.startswith("ecs:")]
    best = min(own, key=lambda each: each.metrics["instance_hours"].mean)
    hours, theirs = (each.metrics["instance_hours"].mean for each in (found.chosen, best))
    wait = found.chosen.metrics["wait_median_s"].mean
    quickest = min(own, key=lambda each: each.metrics["wait_median_s"].mean)
    bound = quickest.metrics["wait_median_s"].mean
    said = [
        f"The chosen policy needs {hours:,.1f} instance-hours, {hours / theirs - 1:+.1%} against "
        f"{best.policy}, the most frugal of ECS's own.",
        f"Its median wait is {wait:.2f} s; the shortest among ECS's own is {bound:.2f} s "
        f"({quickest.policy}).",
    ]
    if hours >= theirs or wait > bound:
        said.append("It does not beat all of them in both: more trials, or another objective, may.")
    return said


def html(found: Found) -> str:
    """One page that needs no network."""
    return page("Policy tuned", _body(found))


def _body(found: Found) -> Iterator[str]:
    yield "<h1>Policy tuned</h1>"
    yield f'<p class="soft">{found.tried} policies tried; {escape(found.workload)};'
    yield f"<br>{escape(found.judged)}: every figure but the front's is of these.</p>"
    yield '<div class="verdict">'
    yield from (f"<p>{escape(sentence)}</p>" for sentence in verdict(found))
    yield "</div><h2>The policy</h2>"
    yield f"<pre>{escape(found.text)}</pre>"
    yield "<h2>Against the references</h2>"
    rows = [
        (each.policy, {k: v.mean for k, v in each.metrics.items()})
        for each in (found.chosen, *found.references)
    ]
    yield from _table(rows)
    yield "<h2>What each part contributes</h2>"
    yield (
        '<p class="soft">The chosen policy without one of its parts, on the same seeds: what is '
        "lost, with 95 % bootstrap intervals. An interval across 0 means that the part may be "
        "chance.</p>"
    )
    yield from _parts(found.parts)
    yield "<h2>Nothing better in every respect</h2>"
    yield '<p class="soft">The Pareto front of everything tried, in grey.</p>'
    yield keys(["chosen", *(each.policy for each in found.references)])
    yield '<div class="grid"><figure>'
    yield points(list(_points(found)), Axes("cost, $", "mean wait, s"))
    yield "</figure></div>"
    shown = found.front[:MOST_SHOWN]
    yield from _table([(_described(choice), dict(figures)) for choice, figures in shown])
    yield f'<p class="soft">Made by <code>{escape(found.command)}</code></p>'


def _points(found: Found) -> Iterator[Point]:
    yield _point("chosen", {k: v.mean for k, v in found.chosen.metrics.items()})
    for each in found.references:
        yield _point(each.policy, {k: v.mean for k, v in each.metrics.items()})
    for choice, figures in found.front:
        yield replace(_point(_described(choice), figures), muted=True)


def _point(name: str, figures: Figures) -> Point:
    x, y = figures["cost"], figures["wait_mean_s"]
    return Point(name, x, y, (x, x), (y, y))


def _described(choice: Choice) -> str:
    terms = [f"{name} {value:g}" for name, value in choice.terms.items() if value >= 0.05]
    objective = f"open for {choice.opens_for}" if choice.objective == "open" else "fill"
    gear = [choice.gear] if choice.gear_counts else []
    knows = ["prices"] if choice.heeds_prices else []
    return f"{', '.join([objective, *gear, *knows])}: " + (", ".join(terms) or "best_fit")


def _table(rows: Sequence[tuple[str, Figures]]) -> Iterator[str]:
    head = "".join(f"<th>{title}</th>" for _, title in COLUMNS)
    yield f'<div class="scroll"><table><thead><tr><th></th>{head}</tr></thead><tbody>'
    for name, figures in rows:
        cells = "".join(f"<td>{number(figures[key])}</td>" for key, _ in COLUMNS)
        yield f"<tr><td>{escape(name)}</td>{cells}</tr>"
    yield "</tbody></table></div>"


def _parts(parts: Sequence[Part]) -> Iterator[str]:
    yield '<div class="scroll"><table><thead><tr><th>without</th><th>instance-hours</th>'
    yield "<th>cost, $</th><th>mean wait, s</th></tr></thead><tbody>"
    for part in parts:
        cells = "".join(map(_change, (part.instance_hours, part.cost, part.wait_mean_s)))
        yield f"<tr><td>{escape(part.name)}</td>{cells}</tr>"
    yield "</tbody></table></div>"


def _change(value: Interval) -> str:
    low, high = signed(value.low), signed(value.high)
    return f"<td>{signed(value.mean)}<small>{low} – {high}</small></td>"


def signed(value: float) -> str:
    """Three digits that count, never as a power of ten."""
    text = f"{value:+.3g}"
    return f"{float(text):+,.0f}" if "e+" in text else text
