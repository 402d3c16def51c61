"""What each policy costs, as bars with its waits beside them: a picture that also stands alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from ecs_scheduler.simulate.charts import WIDTH, colour

LABELS, FIGURES, COLUMN = 140.0, 250.0, 82.0
HEADS = ("instance-hours", "median wait", "95 % within")
ROW, HEAD, FOOT = 30.0, 24.0, 8.0
ROUND_FROM = 100.0
STYLE = (
    "text{font:12px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#1c2430}"
    ".soft{fill:#5c6878;font-size:11px}.title{font-size:14px;font-weight:600}"
)


@dataclass(frozen=True, slots=True)
class Bar:
    """One policy: what 1,000 jobs cost with the interval of it, and the texts under HEADS."""

    name: str
    cost: float
    low: float
    high: float
    texts: tuple[str, str, str]


def bars(rows: Sequence[Bar]) -> str:
    """One `<svg>` whose text takes the page's colours."""
    height = HEAD + ROW * len(rows) + FOOT
    inside = "".join(_rows(rows))
    return f'<svg viewBox="0 0 {WIDTH:g} {height:.0f}" role="img">{inside}</svg>'


def picture(rows: Sequence[Bar], title: str) -> str:
    """The same as a file of its own, on white, with a title."""
    height = HEAD + ROW * len(rows) + FOOT + 34
    inside = "".join(_rows(rows))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + 24:g} {height:.0f}" '
        f'width="{WIDTH + 24:g}" height="{height:.0f}" role="img">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>"
        f'<rect width="100%" height="100%" rx="8" fill="#fff"/>'
        f'<text class="title" x="14" y="24">{escape(title)}</text>'
        f'<g transform="translate(12 34)">{inside}</g></svg>\n'
    )


def _rows(rows: Sequence[Bar]) -> Iterator[str]:
    most = max(1e-9, *(row.high for row in rows))
    start, end = LABELS, WIDTH - FIGURES - 44
    scale = (end - start) / most
    yield f'<text class="soft" x="{start:g}" y="13">cost of 1,000 jobs, $</text>'
    edges = [WIDTH - 4 - COLUMN * place for place in (2, 1, 0)]
    for x, head in zip(edges, HEADS, strict=True):
        yield f'<text class="soft" x="{x:g}" y="13" text-anchor="end">{head}</text>'
    for number, row in enumerate(rows):
        top = HEAD + ROW * number
        middle, base = top + 9, top + 13
        width = max(row.cost * scale, 1.0)
        yield f'<text x="{LABELS - 8:g}" y="{base:g}" text-anchor="end">{escape(row.name)}</text>'
        yield (
            f'<rect x="{start:g}" y="{top:g}" width="{width:.1f}" height="18" rx="3" '
            f'fill="{colour(number)}"/>'
        )
        if row.high > row.low:
            low, high = start + row.low * scale, start + row.high * scale
            yield (
                f'<path d="M{low:.1f} {middle:g}H{high:.1f}M{low:.1f} {middle - 4:g}v8'
                f'M{high:.1f} {middle - 4:g}v8" stroke="#5c6878" fill="none"/>'
            )
        reach = start + max(row.cost, row.high) * scale + 6
        cost = f"{row.cost:,.0f}" if row.cost >= ROUND_FROM else f"{row.cost:,.2f}"
        yield f'<text x="{reach:.1f}" y="{base:g}">{cost}</text>'
        for x, text in zip(edges, row.texts, strict=True):
            yield f'<text x="{x:g}" y="{base:g}" text-anchor="end">{escape(text)}</text>'
