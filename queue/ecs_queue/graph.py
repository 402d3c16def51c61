"""Jobs that depend on one another, as a graph: its order, its cycles, its longest way. No I/O.

An edge leads from a job to one that depends on it. The algorithms are networkx's.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeAlias

import networkx as nx

from ecs_queue.errors import InvalidGraph
from ecs_queue.job import Job, JobId
from ecs_queue.states import JobState
from ecs_queue.submissions import Accepted, Duplicate, Unequal

Graph: TypeAlias = "nx.DiGraph[JobId]"

MOST_PRIORITY = 1000
SHOWN = 20


def of_jobs(jobs: Iterable[Job]) -> Graph:
    """The graph of these jobs; what they depend on outside of them is left out.

    Raises:
        InvalidGraph: two different jobs have the same id.
    """
    by_id, problems = _by_id(jobs)
    if problems:
        raise InvalidGraph("; ".join(problems))
    return _edges(by_id)


def ordered(jobs: Sequence[Job], boost: int = 0) -> list[Job]:
    """Each job behind those it depends on, otherwise in the given order.

    `boost` is added to the priority of the jobs on the longest way through the graph.

    Raises:
        InvalidGraph: with everything that can be seen in the jobs alone: the cycles, each printed,
            two jobs of one id, also where one is the child of an array, arrays of different sizes
            that go child by child.
        ValueError: a boost that is no priority.
    """
    if not 0 <= boost <= MOST_PRIORITY:
        raise ValueError(f"boost {boost}: a priority from 0 to {MOST_PRIORITY}")
    by_id, problems = _by_id(jobs)
    problems += children(by_id) + unequal(by_id.values(), by_id)
    graph = _edges(by_id)
    number = {job_id: i for i, job_id in enumerate(by_id)}
    order: list[JobId] = []
    try:
        order += nx.lexicographical_topological_sort(graph, key=number.__getitem__)
    except nx.NetworkXUnfeasible:
        problems += cycles(graph)
    if problems:
        raise InvalidGraph("; ".join(problems))
    urgent = frozenset(nx.dag_longest_path(graph)) if boost else frozenset()
    return [_raised(by_id[i], boost) if i in urgent else by_id[i] for i in order]


def cycles(graph: Graph) -> list[str]:
    """A complaint for each knot of jobs that wait for one another, with one way round."""
    knots = [knot for knot in nx.strongly_connected_components(graph) if len(knot) > 1]
    knots += [{job_id} for job_id in nx.nodes_with_selfloops(graph)]
    shown = sorted(cycle_shown(graph.subgraph(knot)) for knot in knots)
    return [f"the jobs wait for one another, each for the next: {way}" for way in shown]


def cycle_shown(graph: Graph) -> str:
    """One cycle as people read it: a -> b -> a, where a waits for b; of a long one both ends."""
    edges = nx.find_cycle(graph.reverse(copy=False))
    way = [*(str(edge[0]) for edge in edges), str(edges[-1][1])]
    if len(way) > 2 * SHOWN:
        way[SHOWN:-SHOWN] = [f"({len(way) - 2 * SHOWN} more)"]
    return " -> ".join(way)


def outside(jobs: Sequence[Job]) -> list[JobId]:
    """What the jobs depend on and is not among them."""
    inside = {job.id: job for job in jobs}
    wanted = dict.fromkeys(each.job for job in jobs for each in job.depends_on if each.job)
    return [job_id for job_id in wanted if _among(job_id, inside) is None]


def unknown(wanted: Sequence[JobId], states: Mapping[JobId, JobState]) -> list[str]:
    """A complaint about dependencies that are neither among the jobs nor in the queue, if any."""
    missing = [job_id for job_id in wanted if job_id not in states]
    if not missing:
        return []
    return [f"depends_on: neither among these jobs nor in the queue: {_listed(missing)}"]


def unequal(jobs: Iterable[Job], leaders: Mapping[JobId, Job]) -> list[str]:
    """Complaints about arrays that are to follow one of these, which has other children or none."""
    problems = []
    for job in jobs:
        leader = leaders.get(job.follows) if job.follows is not None else None
        if leader is None:
            continue
        has = 0 if leader.array_index is not None else leader.array_size or 0
        wants = job.array_size or 0
        if has != wants:
            problems.append(f"{job.id}: {Unequal(job.id, leader.id, has, wants)}")
    return problems


def children(by_id: Mapping[JobId, Job]) -> list[str]:
    """A complaint where some of the jobs have ids that the children of others will have."""
    ids = [job_id for job_id in by_id if _array_of(job_id, by_id) is not None]
    return [f"these are ids of children of arrays among these jobs: {_listed(ids)}"] if ids else []


def taken(jobs: Sequence[Job], answers: str) -> list[str]:
    """A complaint where other jobs hold some of the ids; `answers` are those of `stage`."""
    ids = [job.id for job, answer in zip(jobs, answers, strict=True) if answer == "C"]
    return [f"other jobs were submitted under these ids before: {_listed(ids)}"] if ids else []


def submissions(
    jobs: Sequence[Job], order: Sequence[Job], answers: str
) -> tuple[Accepted | Duplicate, ...]:
    """What became of each job, in the order in which they were given."""
    letters = {job.id: answer for job, answer in zip(order, answers, strict=True)}
    return tuple(Duplicate(job.id) if letters[job.id] == "D" else Accepted(job.id) for job in jobs)


def layers(graph: Graph) -> list[list[JobId]]:
    """The jobs in generations: each depends on earlier ones only."""
    return [sorted(generation) for generation in nx.topological_generations(graph)]


def _by_id(jobs: Iterable[Job]) -> tuple[dict[JobId, Job], list[str]]:
    """The first job of each id, and complaints about others of the same."""
    by_id: dict[JobId, Job] = {}
    twice: dict[JobId, None] = {}
    for job in jobs:
        first = by_id.setdefault(job.id, job)
        if first is not job and first != job:
            twice[job.id] = None
    return by_id, [f"two different jobs have the id {job_id}" for job_id in twice]


def _edges(by_id: Mapping[JobId, Job]) -> Graph:
    graph: Graph = nx.DiGraph()
    graph.add_nodes_from(by_id)
    wanted = (
        (_among(each.job, by_id), job.id) for job in by_id.values() for each in job.depends_on
    )
    graph.add_edges_from((on, job_id) for on, job_id in wanted if on is not None)
    return graph


def _among(job_id: JobId, by_id: Mapping[JobId, Job]) -> JobId | None:
    """The job of this id; of an array's child, which is submitted with it, the array."""
    return job_id if job_id in by_id else _array_of(job_id, by_id)


def _array_of(job_id: JobId, by_id: Mapping[JobId, Job]) -> JobId | None:
    """The one among these that will have a child of this id."""
    array = by_id.get(JobId(job_id.rpartition(":")[0]))
    return array.id if array is not None and array.has_child(job_id) else None


def _raised(job: Job, boost: int) -> Job:
    priority = min(MOST_PRIORITY, job.priority + boost)
    return job.model_copy(update={"priority": priority})


def _listed(ids: Collection[JobId]) -> str:
    shown = ", ".join(list(ids)[:SHOWN])
    return shown if len(ids) <= SHOWN else f"{shown} and {len(ids) - SHOWN} more"
