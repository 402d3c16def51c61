"""The plain table: CSV or JSON lines of one's own, and what is said of rows that make no sense."""

import gzip
import json
from pathlib import Path

import pytest

from ecs_queue.document import parse_job
from ecs_simulator.workloads.batch import Run, Size, run_of, size_of
from ecs_simulator.workloads.errors import InvalidTable, UnreadableFile
from ecs_simulator.workloads.plain import PlainReport, import_plain
from ecs_simulator.workloads.tables import Imported

HEADER = "id,at_s,run_s,cpu_units,memory_mib,gpus,exit_code,priority,share,gang,array_size\n"


def imported(folder: Path, *rows: str, skip: bool = False) -> Imported[PlainReport]:
    """The import of a CSV table with these rows."""
    file = folder / "jobs.csv"
    file.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return import_plain(file, skip_bad_rows=skip)


def test_a_row_becomes_a_job(tmp_path: Path) -> None:
    """Everything that a row says is in the document, which the queue takes."""
    (arrival,) = imported(tmp_path, "film-7,2.5,30,2048,4096,1,3,100,studio,,").arrivals
    assert arrival.at_s == 2.5
    assert size_of(arrival.job) == Size(2048, 4096, 1)
    assert run_of(arrival.job) == Run(30, exit_code=3)
    job = parse_job(json.dumps(arrival.job))
    assert (job.id, job.priority, job.share) == ("film-7", 100, "studio")


def test_four_columns_are_enough(tmp_path: Path) -> None:
    """Jobs without an id are numbered in the order of their rows, and arrive in that of time."""
    file = tmp_path / "jobs.csv"
    file.write_text("at_s,run_s,cpu_units,memory_mib\n9,1,128,64\n3,1,128,64\n")
    arrivals = import_plain(file).arrivals
    assert [(one.at_s, one.job["id"]) for one in arrivals] == [
        (3.0, "job-000001"),
        (9.0, "job-000000"),
    ]


def test_rows_of_one_gang_start_together(tmp_path: Path) -> None:
    """The gang's size is the number of its rows; arrays say theirs."""
    whole = imported(
        tmp_path,
        "a,0,9,1024,64,,,,,train,",
        "b,0,9,1024,64,,,,,train,",
        "c,0,9,1024,64,,,,,,50",
    )
    a, b, c = (parse_job(json.dumps(one.job)) for one in whole.arrivals)
    assert a.gang is not None
    assert a.gang == b.gang
    assert (a.gang.id, a.gang.size) == ("train", 2)
    assert c.array_size == 50
    assert [number for number, _ in whole.report.facts()] == [1, 1]


@pytest.mark.parametrize("zipped", [False, True])
def test_json_lines_say_the_same(tmp_path: Path, zipped: bool) -> None:
    """The names are those of the CSV columns; what is null is absent; gzip makes no difference."""
    line = {"at_s": 1, "run_s": 2.5, "cpu_units": 256, "memory_mib": 512, "gpus": None}
    text = json.dumps(line) + "\n\n" + json.dumps({**line, "id": "named"}) + "\n"
    file = tmp_path / ("jobs.jsonl.gz" if zipped else "jobs.jsonl")
    file.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    first, second = import_plain(file).arrivals
    assert run_of(first.job) == Run(2.5)
    assert second.job["id"] == "named"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("x,now,1,1,64,,,,,,", "at_s: expected a number, 0 or more; it is 'now'"),
        ("x,0,-1,1,64,,,,,,", "run_s: expected a number, 0 or more; it is '-1'"),
        ("x,0,1,1.5,64,,,,,,", "cpu_units: expected a whole number, 0 or more; it is '1.5'"),
        (f"x,0,1,{2**31},64,,,,,,", "cpu_units: expected 2147483647 at most; it is 2147483648"),
        (f"x,0,1,{'9' * 5000},64,,,,,,", "cpu_units: expected 2147483647 at most; it is 999"),
        ("x,0,1e300,1,64,,,,,,", "run_s: expected 2147483647 at most; it is 1e300"),
        ("x,0,1,1,5,,,,,,", "memory_mib: a container takes 6 MiB at least"),
        ("x,0,1,1,64,,256,,,,", "exit_code: expected 255 at most; it is 256"),
        ("x,0,1,1,64,,,1001,,,", "priority: expected 1000 at most; it is 1001"),
        ("x y,0,1,1,64,,,,,,", "id: expected"),
        ("x,0,1,1,64,,,,a/b,,", "share: expected"),
        ("x,0,1,1,64,,,,,,1", "array_size: an array has 2 children at least"),
        (f"{'x' * 121},0,1,1,64,,,,,,2", "id: an array's has 120 characters at most"),
        ("x,0,1,1,64,,,,,g,2", "gang: an array is no member of a gang"),
        ("x,0,1,1,64,,,,,g,", "gang: 'g' has 1 members; a gang has 2 to 1000"),
        ("good,0,1,1,64,,,,,,", "id: 'good' is the job of line 2"),
        ("x,0,1", "cpu_units: the row ends before this column"),
        ("x,0,1,1,64,,,,,,,,", "the row: has more cells than the header"),
    ],
)
def test_a_bad_row_is_refused_or_skipped_with_its_reason(
    tmp_path: Path, row: str, problem: str
) -> None:
    """File, line, column and what is wrong; without it the import goes on, and says so."""
    good = "good,0,1,1,64,,,,,,"
    with pytest.raises(InvalidTable) as caught:
        imported(tmp_path, good, row)
    assert f"{tmp_path}/jobs.csv:3: {problem}" in str(caught.value)
    skipped = imported(tmp_path, good, row, skip=True)
    assert [arrival.job["id"] for arrival in skipped.arrivals] == ["good"]
    assert [bad.line for bad in skipped.report.bad_rows] == [3]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"at_s,run_s,cpu_units\n", "t.csv:1: the header lacks memory_mib"),
        ("t.csv", b"", "t.csv:1: the header lacks at_s, run_s"),
        ("t.csv", b"at_s,run_s,cpu_units,memory_mib,gpu\n", "unknown column 'gpu'; known are at_s"),
        ("t.csv", b"at_s,run_s,cpu_units,memory_mib\n", "t.csv: no jobs in it"),
        ("t.jsonl", b"{\n", "t.jsonl:1: the row: is not JSON"),
        ("t.jsonl", b"[1]\n", "t.jsonl:1: the row: is not a JSON object"),
        ("t.jsonl", b'{"at": 1}\n', "t.jsonl:1: the first row has an unknown column 'at'"),
        ("t.jsonl", b'{"at_s": 1}\n', "t.jsonl:1: cpu_units: expected a whole number"),
    ],
)
def test_a_table_that_is_none_is_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    """A misspelt column is not taken for one that is absent."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidTable) as caught:
        import_plain(tmp_path / name)
    assert message in str(caught.value)


@pytest.mark.parametrize("content", [b"no gzip at all", gzip.compress(b"at_s," * 999)[:20]])
def test_broken_gzip_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    """Neither what is no gzip nor half of one is a traceback."""
    file = tmp_path / "t.csv.gz"
    file.write_bytes(content)
    with pytest.raises(UnreadableFile, match=r"t\.csv\.gz: "):
        import_plain(file)
