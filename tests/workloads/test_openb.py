"""The openb importer: what becomes of pods and nodes, and what of rows that make no sense."""

from pathlib import Path

import pytest

from ecs_simulator.fleet import InstanceGroup
from ecs_simulator.workloads.batch import Run, Size, run_of, size_of
from ecs_simulator.workloads.errors import InvalidTable, UnreadableFile
from ecs_simulator.workloads.openb import ImportReport, import_openb
from ecs_simulator.workloads.tables import Imported

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "openb"
POD_HEADER = (
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,"
    "creation_time,deletion_time,scheduled_time\n"
)
NODE_HEADER = "sn,cpu_milli,memory_mib,gpu,model\n"
ONE_NODE = "node-0,96000,393216,8,G2\n"


@pytest.fixture
def tables(tmp_path: Path) -> "Tables":
    return Tables(tmp_path)


class Tables:
    """Two small tables to import."""

    def __init__(self, folder: Path) -> None:
        self.pods = folder / "pods.csv"
        self.nodes = folder / "nodes.csv"
        self.nodes.write_text(NODE_HEADER + ONE_NODE)

    def of(self, *pods: str) -> "Tables":
        self.pods.write_text(POD_HEADER + "".join(f"{pod}\n" for pod in pods))
        return self

    def imported(self) -> Imported[ImportReport]:
        return import_openb(self.pods, self.nodes)


def test_a_pod_becomes_a_job(tables: Tables) -> None:
    """1000 CPU milli are 1024 units, rounded up; the run lasts from scheduling to deletion."""
    tables.of("pod-7,3152,5600,1,1000,,LS,Running,100,190,110")
    (arrival,) = tables.imported().arrivals
    assert arrival.at_s == 100
    assert (arrival.job["id"], arrival.job["priority"]) == ("pod-7", 200)
    assert size_of(arrival.job) == Size(cpu_units=3228, memory_mib=5600, gpus=1)
    assert run_of(arrival.job) == Run(80, exit_code=0)


def test_a_failed_pod_becomes_a_job_that_fails(tables: Tables) -> None:
    """The phase Failed is an exit code of 1, and counted."""
    imported = tables.of("pod-7,1000,512,0,0,,BE,Failed,0,9,0").imported()
    assert run_of(imported.arrivals[0].job) == Run(9, exit_code=1)
    assert imported.report.failed == 1


def test_equal_nodes_become_one_group(tables: Tables) -> None:
    """Node CPU is rounded down, never up; the GPU model becomes an attribute."""
    tables.of("pod-0,1,6,0,0,,BE,Running,0,1,0")
    tables.nodes.write_text(NODE_HEADER + ONE_NODE + ONE_NODE + "node-2,8001,32768,0,\n")
    assert tables.imported().fleet == (
        InstanceGroup(
            count=2,
            instance_type="openb-96c-384g-8g",
            cpu_units=98304,
            memory_mib=393216,
            gpus=8,
            attributes={"gpu-model": "G2"},
        ),
        InstanceGroup(
            count=1, instance_type="openb-8c-32g-0g", cpu_units=8193, memory_mib=32768, gpus=0
        ),
    )


def test_a_share_of_a_gpu_becomes_a_whole_one_or_is_dropped(tables: Tables) -> None:
    """ECS has whole GPUs only; either way the pods with a share are counted."""
    tables.of("share,1000,512,1,460,,LS,Running,0,9,0", "whole,1000,512,1,1000,,LS,Running,0,9,0")
    rounded = import_openb(tables.pods, tables.nodes, gpu_shares="round-up")
    dropped = import_openb(tables.pods, tables.nodes, gpu_shares="drop")
    assert [size_of(arrival.job).gpus for arrival in rounded.arrivals] == [1, 1]
    assert [arrival.job["id"] for arrival in dropped.arrivals] == ["whole"]
    assert (rounded.report.gpu_shares, rounded.report.jobs) == (1, 2)
    assert (dropped.report.gpu_shares, dropped.report.jobs) == (1, 1)


def test_missing_times_are_filled_in_and_counted(tables: Tables) -> None:
    """Never scheduled: the run counts from creation. Never deleted: it lasts to the table's end."""
    imported = tables.of(
        "no-schedule,1000,512,0,0,,BE,Pending,10,40,",
        "no-end,1000,512,0,0,,BE,Running,20,,25",
    ).imported()
    assert [run_of(arrival.job) for arrival in imported.arrivals] == [Run(30), Run(15)]
    assert (imported.report.never_scheduled, imported.report.never_ended) == (1, 1)


def test_what_cannot_be_honoured_is_counted(tables: Tables) -> None:
    """Wanted GPU models and pods that are larger than every node show in the report."""
    report = tables.of(
        "picky,1000,512,1,1000,V100M16|V100M32,LS,Running,0,9,0",
        "huge,96001,512,0,0,,BE,Running,0,9,0",
    ).imported()
    assert (report.report.with_gpu_spec, report.report.fit_nowhere) == (1, 1)


BAD_PODS = {
    "x,1000,512,0,0,,BE": "pod_phase: the row ends before this column",
    "x,-1,512,0,0,,BE,Running,0,9,0": "cpu_milli: expected a whole number, 0 or more; it is '-1'",
    "x,1e3,512,0,0,,BE,Running,0,9,0": "cpu_milli: expected a whole number, 0 or more; it is '1e3'",
    "x,1,²,0,0,,BE,Running,0,9,0": "memory_mib: expected a whole number, 0 or more; it is '²'",
    "x,1,2,0,0,,Best,Running,0,9,0": "qos: expected one of LS, Guaranteed, Burstable, BE",
    "x,1,2,0,0,,BE,Running,5,9,4": "scheduled_time: lies before creation_time",
    "x,1,2,0,0,,BE,Running,5,4,": "deletion_time: lies before the pod's start",
    "x,1,2,0,0,,BE,Running,,4,": "creation_time: expected a whole number, 0 or more; it is ''",
    "a b,1,2,0,0,,BE,Running,5,9,": "name: cannot be a job's id: 'a b'",
}


@pytest.mark.parametrize(
    ("row", "problem"), BAD_PODS.items(), ids=[*map(str, range(len(BAD_PODS)))]
)
def test_a_bad_row_is_refused_with_line_and_field(tables: Tables, row: str, problem: str) -> None:
    """The message names file, line and field; with skip_bad_rows the rest is imported."""
    good = "good,1000,512,0,0,,BE,Running,0,9,0"
    tables.of(good, row)
    with pytest.raises(InvalidTable) as refused:
        tables.imported()
    assert f"{tables.pods}:3: {problem}" in str(refused.value)
    imported = import_openb(tables.pods, tables.nodes, skip_bad_rows=True)
    assert [arrival.job["id"] for arrival in imported.arrivals] == ["good"]
    assert [bad.line for bad in imported.report.bad_rows] == [3]


def test_bad_nodes_are_refused_too(tables: Tables) -> None:
    """A node without memory is no container instance."""
    tables.of()
    tables.nodes.write_text(NODE_HEADER + "node-0,1000,0,0,\n")
    with pytest.raises(InvalidTable, match=r"nodes.csv:2: memory_mib: too small"):
        tables.imported()


def test_many_bad_rows_are_shown_in_part(tables: Tables) -> None:
    """A wrong file does not fill the screen."""
    tables.of(*["bad"] * 25)
    with pytest.raises(InvalidTable, match=r"25 bad rows") as refused:
        tables.imported()
    assert str(refused.value).count("\n") == 11
    assert str(refused.value).endswith("... and 15 more")


def test_a_table_without_a_column_is_refused(tables: Tables) -> None:
    """The two files given the wrong way round are noticed at their header."""
    tables.of()
    with pytest.raises(InvalidTable, match=r"nodes.csv:1: the header lacks name"):
        import_openb(tables.nodes, tables.pods)


def test_a_file_that_is_not_there_is_named(tables: Tables) -> None:
    """The message holds the path."""
    with pytest.raises(UnreadableFile, match=r"pods.csv"):
        tables.imported()


@pytest.mark.skipif(not SHARED.is_dir(), reason="the openb tables are not beside the repository")
def test_the_published_trace() -> None:
    """All of it is imported, and every pod fits some node."""
    imported = import_openb(
        SHARED / "openb_pod_list_default.csv", SHARED / "openb_node_list_all_node.csv"
    )
    report = imported.report
    assert (report.pods, report.nodes, report.jobs) == (8152, 1523, 8152)
    assert (report.gpu_shares, report.never_scheduled, report.failed) == (3078, 897, 1870)
    assert (report.fit_nowhere, report.bad_rows) == (0, ())
    assert sum(group.count for group in imported.fleet) == 1523
    assert len({arrival.job["id"] for arrival in imported.arrivals}) == 8152
