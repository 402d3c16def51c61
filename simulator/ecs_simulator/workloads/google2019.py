"""Google's cluster trace of 2019 ("cluster-usage traces v3"): task instances become jobs, machines
become instance groups.

The tables are exports of BigQuery's `instance_events`, `collection_events` and `machine_events`, as
JSON lines or CSV, with the columns of google/cluster-data, clusterdata_trace_format_v3.proto.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ecs_simulator.fleet import Fleet, InstanceGroup
from ecs_simulator.workloads.arrivals import Arrival, in_order
from ecs_simulator.workloads.batch import LEAST_MEMORY_MIB, Run, Size, job_document
from ecs_simulator.workloads.errors import BadRow, InvalidTable
from ecs_simulator.workloads.tables import BadCell, Cells, Columns, Imported, read_rows

EVENTS = (
    "SUBMIT", "QUEUE", "ENABLE", "SCHEDULE", "EVICT", "FAIL", "FINISH", "KILL", "LOST",
    "UPDATE_PENDING", "UPDATE_RUNNING",
)  # fmt: skip
"""EventType by its number."""
MACHINE_EVENTS = ("EVENT_TYPE_UNKNOWN", "ADD", "REMOVE", "UPDATE")
ENDS = ("EVICT", "FAIL", "FINISH", "KILL", "LOST")
COLLECTION_TYPES = ("JOB", "ALLOC_SET")

AFTER_THE_TRACE_US = 2**63 - 1
"""The time of what happened after the trace's end."""

INSTANCE_COLUMNS = Columns(
    ("time", "type", "collection_id", "instance_index"),
    ("collection_type", "priority", "alloc_collection_id", "resource_request_cpus"),
)
COLLECTION_COLUMNS = Columns(("time", "type", "collection_id"))
MACHINE_COLUMNS = Columns(("time", "machine_id", "type"))

_SHARE_LETTERS = str.maketrans("/+=", "_-.")


@dataclass(frozen=True, slots=True)
class MachineSize:
    """What the trace's 1.0 stands for: the largest machine's CPU units and MiB."""

    cpu_units: int
    memory_mib: int


@dataclass(frozen=True, slots=True)
class Tables:
    """Where the tables are; collections tell users, machines tell the fleet."""

    instance_events: Path
    collection_events: Path | None = None
    machine_events: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleReport:
    """What was read and what was decided on the way; all but `machines` count task instances.

    `alloc_instances` only reserve room for others and were left out, as were those that
    `never_ran` or are `without_request`. `in_allocs` ran inside such a reservation: they count by
    themselves. Of one that was `evicted` the last run counts. `killed` ones exit with 0: nobody
    knows how they would have ended.
    """

    jobs: int
    machines: int
    alloc_instances: int
    never_ran: int
    without_request: int
    in_allocs: int
    evicted: int
    failed: int
    killed: int
    never_ended: int
    constrained: int
    dependent: int
    fit_nowhere: int
    bad_rows: tuple[BadRow, ...]

    def headline(self) -> str:
        """What became of the whole."""
        on = f" on {self.machines} instances" if self.machines else ""
        return f"{self.jobs} task instances became jobs{on}"

    def facts(self) -> Iterator[tuple[int, str]]:
        """How many were treated how; those with 0 did not happen."""
        yield self.alloc_instances, "alloc instances only reserve room and were left out"
        yield self.never_ran, "never ran and were left out"
        yield self.without_request, "never said what they need and were left out"
        yield self.in_allocs, "ran inside an alloc set: they count by themselves"
        yield self.evicted, "were evicted: their last run counts"
        yield self.failed, "failed in the trace: their jobs exit with 1"
        yield self.killed, "were killed: their jobs end then, and exit with 0"
        yield self.never_ended, "have no end: they run to the end of the trace"
        yield self.constrained, "have machine constraints, which are not honoured"
        yield self.dependent, "start after other collections, which is not honoured"
        yield self.fit_nowhere, "are larger than every instance and can never be placed"


@dataclass(frozen=True, slots=True)
class _Event:
    time_us: int
    kind: str
    collection: int
    index: int
    is_alloc: bool
    in_alloc: bool
    priority: int
    request: tuple[float, float] | None
    constrained: bool


@dataclass(frozen=True, slots=True)
class _Collection:
    number: int
    user: str
    alone_on_a_machine: bool
    dependent: bool


@dataclass(slots=True)
class _Story:
    """What happened to one task instance, in the order of time."""

    first: _Event
    submitted_us: int
    started_us: int | None = None
    ended_us: int | None = None
    end: str = ""
    request: tuple[float, float] | None = None
    evicted: bool = False
    constrained: bool = False

    def tell(self, event: _Event) -> None:
        self.constrained |= event.constrained
        if event.request is not None and self.ended_us is None:
            self.request = event.request
        if event.time_us >= AFTER_THE_TRACE_US:
            return
        if event.kind == "SCHEDULE":
            self.started_us, self.ended_us, self.end = event.time_us, None, ""
        elif event.kind in ENDS and self.started_us is not None and self.ended_us is None:
            self.ended_us, self.end = event.time_us, event.kind
            self.evicted |= event.kind == "EVICT"


@dataclass(slots=True)
class _Counts:
    counts: Counter[str] = field(default_factory=Counter)

    def note(self, name: str, happened: bool) -> bool:
        self.counts[name] += happened
        return happened


def import_google2019(
    tables: Tables, machine: MachineSize, *, skip_bad_rows: bool = False
) -> Imported[GoogleReport]:
    """Read the tables. Requests are normalised: `machine` says what 1.0 is, and is rounded up.

    A task instance arrives at its first SUBMIT and runs from its last SCHEDULE to what ended it.
    Users become shares, at most one instance a machine becomes `distinctInstance`. Raises
    UnreadableFile, or InvalidTable for bad rows unless they are skipped.
    """
    bad_rows: list[BadRow] = []
    events = list(read_rows(tables.instance_events, INSTANCE_COLUMNS, _event, bad_rows))
    collections: dict[int, _Collection] = {}
    if tables.collection_events is not None:
        rows = read_rows(tables.collection_events, COLLECTION_COLUMNS, _collection, bad_rows)
        collections = {one.number: one for one in rows}
    fleet: Fleet = ()
    if tables.machine_events is not None:
        fleet = _fleet(tables.machine_events, machine, bad_rows)
    if bad_rows and not skip_bad_rows:
        raise InvalidTable.of_rows(bad_rows)
    if not events:
        raise InvalidTable(f"{tables.instance_events}: no events in it")
    counts = _Counts()
    end_us = max((one.time_us for one in events if one.time_us < AFTER_THE_TRACE_US), default=0)
    kept = [one for one in _stories(events) if _ran(one, counts)]
    if not kept:
        raise InvalidTable(f"{tables.instance_events}: no task instance of it ever ran")
    origin_us = min(one.submitted_us for one in kept)
    arrivals = []
    for story in kept:
        size = _size(story, machine)
        counts.note("fit_nowhere", not _fits(size, fleet, machine))
        collection = collections.get(story.first.collection)
        counts.note("dependent", collection is not None and collection.dependent)
        at_s = round((story.submitted_us - origin_us) / 1e6, 3)
        arrivals.append(Arrival(at_s, _job(story, size, end_us, collection)))
    report = _report(counts, len(kept), fleet, bad_rows)
    return Imported(in_order(arrivals), fleet, report)


def _stories(events: Sequence[_Event]) -> list[_Story]:
    """By task instance, in the order of their first events; exports are in no order at all."""
    stories: dict[tuple[int, int], _Story] = {}
    for event in sorted(events, key=lambda one: (one.time_us, EVENTS.index(one.kind))):
        name = (event.collection, event.index)
        if name not in stories:
            stories[name] = _Story(event, event.time_us)
        stories[name].tell(event)
    return list(stories.values())


def _ran(story: _Story, counts: _Counts) -> bool:
    """Whether the instance becomes a job."""
    if counts.note("alloc_instances", story.first.is_alloc):
        return False
    if counts.note("never_ran", story.started_us is None):
        return False
    if counts.note("without_request", story.request is None):
        return False
    counts.note("in_allocs", story.first.in_alloc)
    counts.note("evicted", story.evicted)
    counts.note("failed", story.end == "FAIL")
    counts.note("killed", story.end == "KILL")
    counts.note("never_ended", story.ended_us is None)
    counts.note("constrained", story.constrained)
    return True


def _size(story: _Story, machine: MachineSize) -> Size:
    cpus, memory = story.request or (0.0, 0.0)
    memory_mib = max(LEAST_MEMORY_MIB, _rounded_up(memory * machine.memory_mib))
    return Size(_rounded_up(cpus * machine.cpu_units), memory_mib)


def _rounded_up(amount: float) -> int:
    # The trace's figures are 32-bit floats: a little more than a whole number is that number.
    return int(-(-round(amount, 3) // 1))


def _fits(size: Size, fleet: Fleet, machine: MachineSize) -> bool:
    rooms = [(group.cpu_units or 0, group.memory_mib or 0) for group in fleet]
    return any(
        size.cpu_units <= cpu and size.memory_mib <= memory
        for cpu, memory in rooms or [(machine.cpu_units, machine.memory_mib)]
    )


def _job(
    story: _Story, size: Size, end_us: int, collection: _Collection | None
) -> dict[str, object]:
    first = story.first
    started_us = story.started_us or 0
    ended_us = end_us if story.ended_us is None else story.ended_us
    run = Run(max(0, ended_us - started_us) / 1e6, exit_code=int(story.end == "FAIL"))
    fields: dict[str, object] = {"priority": first.priority}
    if collection is not None and collection.user:
        fields["share"] = collection.user.translate(_SHARE_LETTERS)
    if collection is not None and collection.alone_on_a_machine:
        fields["group"] = f"collection:{first.collection}"
        fields["placement_constraints"] = [{"type": "distinctInstance"}]
    return job_document(f"{first.collection}-{first.index}", size, run, **fields)


def _report(counts: _Counts, jobs: int, fleet: Fleet, bad_rows: list[BadRow]) -> GoogleReport:
    number: Mapping[str, int] = counts.counts
    return GoogleReport(
        jobs=jobs,
        machines=sum(group.count for group in fleet),
        alloc_instances=number["alloc_instances"],
        never_ran=number["never_ran"],
        without_request=number["without_request"],
        in_allocs=number["in_allocs"],
        evicted=number["evicted"],
        failed=number["failed"],
        killed=number["killed"],
        never_ended=number["never_ended"],
        constrained=number["constrained"],
        dependent=number["dependent"],
        fit_nowhere=number["fit_nowhere"],
        bad_rows=tuple(bad_rows),
    )


# Rows --------------------------------------------------------------------------------------------


def _event(cells: Cells) -> _Event:
    cpus, memory = cells.text("resource_request_cpus"), cells.text("resource_request_memory")
    request = None
    if cpus or memory:
        request = (
            cells.number("resource_request_cpus") if cpus else 0.0,
            cells.number("resource_request_memory") if memory else 0.0,
        )
    priority = cells.count_or("priority", 0)
    if priority > 1000:
        raise BadCell("priority", f"expected 1000 at most; it is {priority}")
    kind = _named(cells, "collection_type", COLLECTION_TYPES, "JOB")
    return _Event(
        time_us=cells.count("time"),
        kind=_named(cells, "type", EVENTS, ""),
        collection=cells.count("collection_id"),
        index=cells.count("instance_index"),
        is_alloc=kind == "ALLOC_SET",
        in_alloc=cells.text("alloc_collection_id") not in ("", "0"),
        priority=priority,
        request=request,
        constrained=cells.text("constraint") not in ("", "[]"),
    )


def _collection(cells: Cells) -> _Collection:
    return _Collection(
        number=cells.count("collection_id"),
        user=cells.text("user")[:255],
        alone_on_a_machine=cells.text("max_per_machine") == "1",
        dependent=cells.text("start_after_collection_ids") not in ("", "[]"),
    )


def _named(cells: Cells, column: str, names: Sequence[str], default: str) -> str:
    """An enumeration's value, which exports write as its number or its name."""
    value = cells.text(column)
    if not value and default:
        return default
    if value.isascii() and value.isdigit() and int(value) < len(names):
        return names[int(value)]
    if value.upper() in names:
        return value.upper()
    raise BadCell(column, f"expected 0 to {len(names) - 1} or {', '.join(names)}; it is {value!r}")


def _fleet(path: Path, size: MachineSize, bad_rows: list[BadRow]) -> Fleet:
    """The machines that are there at the end of the table, with their latest capacity."""

    def parse(cells: Cells) -> tuple[int, str, int, tuple[int, int] | None]:
        kind = _named(cells, "type", MACHINE_EVENTS, "")
        capacity = None
        if cells.text("capacity_cpus") or cells.text("capacity_memory"):
            cpus, memory = cells.number("capacity_cpus"), cells.number("capacity_memory")
            capacity = (int(cpus * size.cpu_units), int(memory * size.memory_mib))
            if min(capacity) < LEAST_MEMORY_MIB:
                raise BadCell("capacity", "too small for a container instance")
        return cells.count("time"), kind, cells.count("machine_id"), capacity

    present: dict[int, tuple[int, int]] = {}
    rows = read_rows(path, MACHINE_COLUMNS, parse, bad_rows)
    for _, kind, machine, capacity in sorted(rows, key=lambda row: row[0]):
        if kind == "REMOVE":
            present.pop(machine, None)
        elif capacity is not None:
            present[machine] = capacity
    return tuple(
        InstanceGroup(
            count=count,
            instance_type=f"google-{cpu // 1024}c-{memory // 1024}g",
            cpu_units=cpu,
            memory_mib=memory,
        )
        for (cpu, memory), count in sorted(Counter(present.values()).items(), reverse=True)
    )
