"""Draws jobs that depend on one another in layers: as lines of text, or as SVG. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from ecs_queue import graph

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ecs_queue.job import Dependency, Job, JobId
    from ecs_queue.states import JobState

WIDTH, HEIGHT, ACROSS, DOWN, MARGIN = 180, 34, 70, 16, 20
"""Pixels: a box, the room between layers, the room between boxes, the edge of the picture."""

SHOWN_CHARACTERS = 22
COLOURS = {
    "PENDING": "#e8e8e8",
    "RUNNABLE": "#fff3bf",
    "STARTING": "#d0ebff",
    "RUNNING": "#a5d8ff",
    "SUCCEEDED": "#b2f2bb",
    "FAILED": "#ffc9c9",
    "CANCELLED": "#dee2e6",
}
STROKES = {"afterok": "", "afterany": "6 3", "afternotok": "2 3", "N_TO_N": ""}


@dataclass(frozen=True, slots=True)
class Drawing:
    """Jobs in layers, each behind the layers it depends on; states where they are known."""

    jobs: Mapping[JobId, Job]
    layers: Sequence[Sequence[JobId]]
    states: Mapping[JobId, JobState]

    @classmethod
    def of(cls, jobs: Sequence[Job], states: Mapping[JobId, JobState]) -> Drawing:
        """Lay the jobs out.

        Raises:
            InvalidGraph: they wait for one another.
        """
        ordered = graph.ordered(jobs)
        return cls({job.id: job for job in ordered}, graph.layers(graph.of_jobs(jobs)), states)

    def as_json(self) -> list[list[dict[str, Any]]]:
        """Each layer as a list of jobs."""
        return [
            [
                {
                    "id": job_id,
                    "state": self.states.get(job_id),
                    "depends_on": [each.model_dump() for each in self.jobs[job_id].depends_on],
                }
                for job_id in layer
            ]
            for layer in self.layers
        ]

    def state(self, job_id: JobId) -> str:
        """The state as a word, empty if there is none."""
        return self.states[job_id].value if job_id in self.states else ""


def as_text(drawing: Drawing) -> Iterator[str]:
    """A line a job: its layer, id, state, and what it depends on."""
    ids = max((len(job_id) for job_id in drawing.jobs), default=0)
    states = max((len(drawing.state(job_id)) for job_id in drawing.jobs), default=0)
    for number, layer in enumerate(drawing.layers, start=1):
        for job_id in layer:
            on = ", ".join(_named(each) for each in drawing.jobs[job_id].depends_on if each.job)
            words = [f"{number:>3}", job_id.ljust(ids)]
            words += [drawing.state(job_id).ljust(states)] if states else []
            yield "  ".join([*words, f"<- {on}" if on else ""]).rstrip()


def as_svg(drawing: Drawing) -> str:
    """The layers from left to right. Lines are solid for afterok, dashed for afterany, dotted for
    afternotok.
    """
    corners = {
        job_id: (MARGIN + x * (WIDTH + ACROSS), MARGIN + y * (HEIGHT + DOWN))
        for x, layer in enumerate(drawing.layers)
        for y, job_id in enumerate(layer)
    }
    tallest = max(map(len, drawing.layers), default=0)
    width = 2 * MARGIN + len(drawing.layers) * (WIDTH + ACROSS) - ACROSS
    height = 2 * MARGIN + tallest * (HEIGHT + DOWN) - DOWN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        *(line for job in drawing.jobs.values() for line in _lines(job, corners)),
        *(_box(drawing, job_id, corner) for job_id, corner in corners.items()),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _lines(job: Job, corners: Mapping[JobId, tuple[int, int]]) -> Iterator[str]:
    to_x, to_y = corners[job.id]
    for each in job.depends_on:
        if each.job in corners:
            from_x, from_y = corners[each.job]
            start, end = (from_x + WIDTH, from_y + HEIGHT // 2), (to_x, to_y + HEIGHT // 2)
            bend = (start[0] + end[0]) // 2
            yield (
                f'<path d="M{start[0]},{start[1]} C{bend},{start[1]} {bend},{end[1]} '
                f'{end[0]},{end[1]}" fill="none" stroke="#868e96" '
                f'stroke-dasharray="{STROKES[each.type]}"/>'
            )


def _box(drawing: Drawing, job_id: JobId, corner: tuple[int, int]) -> str:
    x, y = corner
    state = drawing.state(job_id)
    short = job_id if len(job_id) <= SHOWN_CHARACTERS else "…" + job_id[1 - SHOWN_CHARACTERS :]
    colour = COLOURS.get(state, "#ffffff")
    return (
        f'<g><title>{escape(job_id)} {state}</title><rect x="{x}" y="{y}" width="{WIDTH}" '
        f'height="{HEIGHT}" rx="5" fill="{colour}" stroke="#495057"/>'
        f'<text x="{x + 8}" y="{y + HEIGHT // 2 + 4}">{escape(short)}</text></g>'
    )


def _named(each: Dependency) -> str:
    return each.job if each.type == "afterok" else f"{each.job} ({each.type})"
