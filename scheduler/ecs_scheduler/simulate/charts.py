"""Charts as SVG text, without a library: lines over time, distributions, heat maps, points.

Every function takes plain values and returns one `<svg>` element that scales to its container;
colours follow the page through `currentColor`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640.0, 280.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 14.0, 12.0, 38.0
COLOURS = (
    "#2f6fd6", "#d9731a", "#2a9958", "#a855c7", "#c8394b", "#8a6d3b", "#1297a6", "#7d8a00",
)  # fmt: skip

MUTED = "#9aa4b2"
LOW_SHARE = 0.4
"""Where no share is above this, an axis up to 100 % would show nothing."""

TIME_STEPS_S = (1, 2, 5, 10, 20, 60, 120, 300, 600, 1200, 3600, 7200, 10_800, 21_600, 43_200)
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Line:
    """One curve; `xs` and `ys` are of equal length."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]


@dataclass(frozen=True, slots=True)
class Point:
    """One mark, with the extent of its uncertainty in both directions; `muted` ones are grey and
    behind the others.
    """

    name: str
    x: float
    y: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    muted: bool = False


@dataclass(frozen=True, slots=True)
class Axes:
    """Titles of the axes; `log_x` for a logarithmic horizontal axis; `percent_y` shows the vertical
    one as a share, up to 100 % or a little above what there is; `least_y` is the least that the
    vertical axis reaches.
    """

    x: str
    y: str
    log_x: bool = False
    percent_y: bool = False
    least_y: float = 1e-9


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        low, high, value = (
            (math.log10(self.low), math.log10(self.high), math.log10(max(value, self.low)))
            if self.log
            else (self.low, self.high, value)
        )
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            return [10.0**power for power in powers if self.low <= 10.0**power <= self.high]
        return nice_ticks(self.low, self.high)


def nice_ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Round values in [low, high], about so many, steps of 1, 2 or 5 times a power of ten."""
    exact = (high - low) / about
    power = 10.0 ** math.floor(math.log10(exact))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= exact * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def time_ticks(longest_s: float, about: int = 7) -> list[float]:
    """Round times from 0 on, about so many: whole seconds, minutes, hours or days."""
    steps = [step for step in TIME_STEPS_S if longest_s / step <= about]
    step = steps[0] if steps else max(1, math.ceil(longest_s / about / DAY_S)) * DAY_S
    return [float(step * number) for number in range(int(longest_s // step) + 1)]


def lines(curves: Sequence[Line], axes: Axes) -> str:
    """Curves over a common axis, coloured in order."""
    xs = [x for curve in curves for x in curve.xs]
    ys = [y for curve in curves for y in curve.ys]
    x_scale, y_scale = _x_scale(xs, axes), _y_scale(ys, axes)
    body = [*_frame(axes, x_scale, y_scale)]
    for number, curve in enumerate(curves):
        pairs = zip(curve.xs, curve.ys, strict=True)
        path = " ".join(f"{x_scale.at(x):.1f},{y_scale.at(y):.1f}" for x, y in pairs)
        body.append(
            f'<polyline points="{path}" fill="none" stroke="{colour(number)}" stroke-width="1.8" '
            f'stroke-linejoin="round"><title>{escape(curve.name)}</title></polyline>'
        )
    return _svg(body, HEIGHT)


def points(marks: Sequence[Point], axes: Axes) -> str:
    """Marks with error bars; the page's key tells which is which."""
    xs = [value for mark in marks for value in (mark.x, *mark.x_range)]
    ys = [value for mark in marks for value in (mark.y, *mark.y_range)]
    x_scale, y_scale = (
        _spread_scale(xs, LEFT, WIDTH - RIGHT),
        _spread_scale(ys, HEIGHT - BOTTOM, TOP),
    )
    body = [*_frame(axes, x_scale, y_scale)]
    for number, mark in sorted(enumerate(marks), key=lambda each: not each[1].muted):
        x, y = x_scale.at(mark.x), y_scale.at(mark.y)
        stroke = MUTED if mark.muted else colour(number)
        left, right = (x_scale.at(value) for value in mark.x_range)
        low, high = (y_scale.at(value) for value in mark.y_range)
        body += [
            f'<path d="M{left:.1f} {y:.1f}H{right:.1f}M{x:.1f} {low:.1f}V{high:.1f}" '
            f'stroke="{stroke}" opacity=".5"/>',
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{stroke}">'
            f"<title>{escape(mark.name)}</title></circle>",
        ]
    return _svg(body, HEIGHT)


def heat(rows: Sequence[Sequence[float]], seconds: float) -> str:
    """Shares from 0 to 1 as colours: a row per (group of) instance, columns over time."""
    height = 12.0 + min(max(3.0, 240.0 / len(rows)), 14.0) * len(rows)
    tall = (height - 12.0) / len(rows)
    wide = (WIDTH - LEFT - RIGHT) / len(rows[0])
    paths: list[list[str]] = [[] for _ in HEAT]
    for number, row in enumerate(rows):
        for first, last, level in _runs([min(9, int(share * 10)) for share in row]):
            if level or row[first] > 0:
                corner = f"M{LEFT + first * wide:.1f} {TOP + number * tall:.1f}"
                across = f"{(last - first) * wide + 0.2:.1f}"
                paths[level].append(f"{corner}h{across}v{tall:.2f}h-{across}z")
    body = [
        f'<path d="{"".join(path)}" fill="{HEAT[level]}"/>'
        for level, path in enumerate(paths)
        if path
    ]
    scale = _Scale(0.0, max(seconds, 1.0), LEFT, WIDTH - RIGHT)
    base = TOP + tall * len(rows)
    body.append(
        f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{base - TOP:.1f}" '
        'fill="none" stroke="currentColor" opacity=".25"/>'
    )
    body.insert(  # white in the dark too: what is idle must not look the fullest
        0,
        f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{base - TOP:.1f}" '
        'fill="#fff"/>',
    )
    body += [
        f'<text x="{scale.at(tick):.1f}" y="{base + 15:.1f}" text-anchor="middle">'
        f"{time_text(tick, seconds)}</text>"
        for tick in time_ticks(scale.high)
    ]
    body.append(f'<text x="{LEFT - 8}" y="{TOP + 10}" text-anchor="end">first</text>')
    body.append(f'<text x="{LEFT - 8}" y="{base:.1f}" text-anchor="end">last</text>')
    return _svg(body, base + 22)


HEAT = (
    "#e3ecfa", "#cddff7", "#b3cdf2", "#97b9ec", "#7aa4e4", "#5d8edb", "#4477cc", "#2f60b5",
    "#214b98", "#153776",
)  # fmt: skip


def colour(number: int) -> str:
    """The colour of the policy of that number."""
    return COLOURS[number % len(COLOURS)]


def time_text(seconds: float, longest: float) -> str:
    """A time on an axis whose longest is `longest`, in the unit that suits it."""
    if longest < 300:
        return f"{seconds:g} s"
    if longest < 3 * 3600:
        return f"{seconds / 60:.3g} min"
    return f"{seconds / 3600:.3g} h" if longest < 4 * 86_400 else f"{seconds / 86_400:.3g} d"


def _runs(levels: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Stretches of equal neighbours: first, one past the last, level."""
    first = 0
    for column in range(1, len(levels) + 1):
        if column == len(levels) or levels[column] != levels[first]:
            yield first, column, levels[first]
            first = column


def _x_scale(xs: Sequence[float], axes: Axes) -> _Scale:
    if axes.log_x:
        return _Scale(0.1, max(10.0, *xs) * 1.05, LEFT, WIDTH - RIGHT, log=True)
    return _Scale(min(0.0, *xs), max(*xs, 1e-9), LEFT, WIDTH - RIGHT)


def _y_scale(ys: Sequence[float], axes: Axes) -> _Scale:
    most = max(ys)
    if axes.percent_y:
        high = 1.0 if most > LOW_SHARE else max(most * 1.1, 0.01)
    else:
        high = max(most * 1.05, axes.least_y)
    return _Scale(0.0, high, HEIGHT - BOTTOM, TOP)


def _spread_scale(values: Sequence[float], start: float, end: float) -> _Scale:
    """From a little below the least to a little above the most, so that near marks stay apart."""
    low, high = min(values), max(values)
    margin = (high - low) * 0.15 or abs(high) * 0.1 or 1.0
    return _Scale(max(0.0, low - margin), high + margin, start, end)


def _frame(axes: Axes, x_scale: _Scale, y_scale: _Scale) -> Iterator[str]:
    base = HEIGHT - BOTTOM
    for tick in y_scale.ticks():
        y = y_scale.at(tick)
        label = f"{tick * 100:.3g} %" if axes.percent_y else f"{tick:,.6g}"
        yield f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="currentColor" opacity=".12"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    ticks = time_ticks(x_scale.high) if axes.x == "time" else x_scale.ticks()
    for tick in ticks:
        x = x_scale.at(tick)
        label = time_text(tick, x_scale.high) if axes.x == "time" else f"{tick:,.6g}"
        yield f'<path d="M{x:.1f} {TOP}V{base}" stroke="currentColor" opacity=".06"/>'
        yield f'<text x="{x:.1f}" y="{base + 15}" text-anchor="middle">{label}</text>'
    yield (
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle" '
        f'class="axis">{escape(axes.x)}</text>'
    )
    yield (
        f'<text transform="translate(12 {(TOP + base) / 2}) rotate(-90)" text-anchor="middle" '
        f'class="axis">{escape(axes.y)}</text>'
    )


def _svg(body: Sequence[str], height: float) -> str:
    inside = "".join(body)
    return f'<svg viewBox="0 0 {WIDTH:g} {height:.0f}" role="img">{inside}</svg>'
