"""Jobs that depend on one another, as a graph: its order, its cycles, its longest way. No I/O.

An edge leads from a job to one that depends on it. The algorithms are networkx's.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeAlias

import networkx as nx

from ecs_queue.errors import InvalidGraph
from ecs_queue.job import Job, JobId
from ecs_queue.states import Accepted, Duplicate, JobState

Graph: TypeAlias = "nx.DiGraph[JobId]"

MOST_PRIORITY = 1000
SHOWN = 20


def of_jobs(jobs: Iterable[Job]) -> Graph:
    """The graph of these jobs; what they depend on outside of them is left out.

    Raises:
        InvalidGraph: two different jobs have the same id.
    """
    by_id: dict[JobId, Job] = {}
    for job in jobs:
        if by_id.setdefault(job.id, job) != job:
            raise InvalidGraph(f"two different jobs have the id {job.id}")
    graph: Graph = nx.DiGraph()
    graph.add_nodes_from(by_id)
    graph.add_edges_from(
        (each.job, job.id) for job in by_id.values() for each in job.depends_on if each.job in by_id
    )
    return graph


def ordered(jobs: Sequence[Job], boost: int = 0) -> list[Job]:
    """Each job behind those it depends on, otherwise in the given order.

    `boost` is added to the priority of the jobs on the longest way through the graph.

    Raises:
        InvalidGraph: there is a cycle, which the message prints.
    """
    graph = of_jobs(jobs)
    by_id = {job.id: job for job in jobs}
    number = {job_id: i for i, job_id in enumerate(by_id)}
    try:
        order = list(nx.lexicographical_topological_sort(graph, key=number.__getitem__))
    except nx.NetworkXUnfeasible:
        raise InvalidGraph(
            f"the jobs wait for one another, each for the next: {cycle_shown(graph)}"
        ) from None
    urgent = frozenset(nx.dag_longest_path(graph)) if boost else frozenset()
    return [_raised(by_id[i], boost) if i in urgent else by_id[i] for i in order]


def cycle_shown(graph: Graph) -> str:
    """One cycle as people read it: a -> b -> a, where a waits for b."""
    edges = nx.find_cycle(graph.reverse(copy=False))
    return " -> ".join([*(edge[0] for edge in edges), edges[-1][1]])


def outside(jobs: Sequence[Job]) -> list[JobId]:
    """What the jobs depend on and is not among them."""
    inside = {job.id for job in jobs}
    wanted = dict.fromkeys(each.job for job in jobs for each in job.depends_on if each.job)
    return [job_id for job_id in wanted if job_id not in inside]


def require_known(wanted: Sequence[JobId], states: Mapping[JobId, JobState]) -> None:
    """Refuse dependencies that nobody knows.

    Raises:
        InvalidGraph: they are neither among the jobs nor in the queue.
    """
    missing = [job_id for job_id in wanted if job_id not in states]
    if missing:
        raise InvalidGraph(
            f"depends_on: neither among these jobs nor in the queue: {_listed(missing)}"
        )


def taken(jobs: Sequence[Job], answers: str) -> InvalidGraph:
    """What to raise where other jobs hold some of the ids; `answers` are those of `stage`."""
    ids = [job.id for job, answer in zip(jobs, answers, strict=True) if answer == "C"]
    return InvalidGraph(
        f"other jobs were submitted under these ids before: {_listed(ids)}; nothing was submitted"
    )


def submissions(
    jobs: Sequence[Job], order: Sequence[Job], answers: str
) -> tuple[Accepted | Duplicate, ...]:
    """What became of each job, in the order in which they were given."""
    letters = {job.id: answer for job, answer in zip(order, answers, strict=True)}
    return tuple(Duplicate(job.id) if letters[job.id] == "D" else Accepted(job.id) for job in jobs)


def layers(graph: Graph) -> list[list[JobId]]:
    """The jobs in generations: each depends on earlier ones only."""
    return [sorted(generation) for generation in nx.topological_generations(graph)]


def _raised(job: Job, boost: int) -> Job:
    priority = min(MOST_PRIORITY, job.priority + boost)
    return job.model_copy(update={"priority": priority})


def _listed(ids: Collection[JobId]) -> str:
    shown = ", ".join(list(ids)[:SHOWN])
    return shown if len(ids) <= SHOWN else f"{shown} and {len(ids) - SHOWN} more"
