"""A few SVG elements by hand, enough for the pictures in docs/: text, rectangles, lines, axes."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

INK, PALE, GRID = "#1f2933", "#e4e7eb", "#cbd2d9"
COLOURS = ("#2563a8", "#d97706", "#15803d", "#b4235a", "#6b4fa0")


@dataclass
class Drawing:
    """An SVG of `width` x `height` pixels that grows by its methods; the origin is top left."""

    width: int
    height: int
    parts: list[str] = field(default_factory=list)

    def text(
        self, at: tuple[float, float], text: str, *, size: int = 12, anchor: str = "start"
    ) -> None:
        """A line of text; `anchor` is start, middle or end."""
        x, y = at
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
            f'fill="{INK}">{escape(text)}</text>'
        )

    def box(self, at: tuple[float, float], size: tuple[float, float], colour: str) -> None:
        """A filled rectangle; nothing where it has no area."""
        if min(size) > 0.005:
            self.parts.append(
                f'<rect x="{at[0]:.2f}" y="{at[1]:.2f}" width="{size[0]:.2f}" '
                f'height="{size[1]:.2f}" fill="{colour}"/>'
            )

    def line(self, points: Iterable[tuple[float, float]], colour: str, width: float = 1.0) -> None:
        """A line through points."""
        through = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(
            f'<polyline points="{through}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
        )

    def dot(self, at: tuple[float, float], colour: str) -> None:
        """A measured point."""
        self.parts.append(f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="2.6" fill="{colour}"/>')

    def svg(self) -> str:
        """The document."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}" font-family="Helvetica, Arial, sans-serif">'
        )
        ground = f'<rect width="{self.width}" height="{self.height}" fill="#ffffff"/>'
        return "\n".join([head, ground, *self.parts, "</svg>", ""])


@dataclass(frozen=True)
class Axes:
    """Two logarithmic axes within a rectangle of a drawing; ranges are whole powers of ten."""

    drawing: Drawing
    left: float
    top: float
    width: float
    height: float
    x: tuple[int, int]
    y: tuple[int, int]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a value lies."""
        along = (math.log10(x) - self.x[0]) / (self.x[1] - self.x[0])
        up = (math.log10(y) - self.y[0]) / (self.y[1] - self.y[0])
        return self.left + along * self.width, self.top + (1 - up) * self.height

    def frame(self, title: str) -> None:
        """Grid lines at the powers of ten, their labels, and what x is."""
        bottom = self.top + self.height
        for power in range(self.x[0], self.x[1] + 1):
            x, _ = self.at(10.0**power, 10.0 ** self.y[0])
            self.drawing.line([(x, self.top), (x, bottom)], GRID)
            self.drawing.text((x, bottom + 15), shown(10.0**power), size=11, anchor="middle")
        for power in range(self.y[0], self.y[1] + 1):
            _, y = self.at(10.0 ** self.x[0], 10.0**power)
            self.drawing.line([(self.left, y), (self.left + self.width, y)], GRID)
            self.drawing.text((self.left - 6, y + 4), shown(10.0**power), size=11, anchor="end")
        self.drawing.text((self.left + self.width / 2, bottom + 34), title, anchor="middle")

    def series(self, points: Sequence[tuple[float, float]], colour: str) -> None:
        """One measured line."""
        places = [self.at(x, y) for x, y in points]
        self.drawing.line(places, colour, 2)
        for place in places:
            self.drawing.dot(place, colour)


def shown(value: float) -> str:
    """10 to 10,000,000 as 10, 1 k, 10 M; less than 1 as it is."""
    for unit, letter in ((1e6, " M"), (1e3, " k")):
        if value >= unit:
            return f"{value / unit:g}{letter}"
    return f"{value:g}"
