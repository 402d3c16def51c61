"""Fleets: instance types, groups, and files that name the line and the field when they are
wrong."""

from pathlib import Path

import pytest

from ecs_simulator import FleetError, InstanceGroup, load_fleet
from ecs_simulator.fleet import instance_types

ENI_TABLE = Path(__file__).parents[3] / "shared" / "data" / "eni-task-limits.csv"


def test_sizes_of_well_known_types() -> None:
    """CPU units, MiB as registered, GPUs and awsvpc tasks with and without trunking."""
    known = instance_types()
    m5, g5, c6g = known["m5.xlarge"], known["g5.12xlarge"], known["c6g.large"]
    assert (m5.cpu_units, m5.memory_mib, m5.awsvpc_tasks) == (4096, 15970, 3)
    assert m5.awsvpc_tasks_trunking == 20
    assert (g5.cpu_units, g5.gpus) == (49152, 4)
    assert (c6g.architecture, g5.architecture, m5.architecture) == ("arm64", "x86_64", "x86_64")
    assert known["m4.large"].memory_mib == 7985  # the developer guide's example


def test_network_interface_limits_are_those_of_the_reference_table() -> None:
    """Every row of the published table, where the reference data is at hand."""
    if not ENI_TABLE.exists():
        pytest.skip("reference data is not at hand")
    rows = [line.split(",") for line in ENI_TABLE.read_text().splitlines()[1:]]
    known = instance_types()
    wrong = [
        name
        for name, plain, trunked in rows
        if (known[name].awsvpc_tasks, known[name].awsvpc_tasks_trunking)
        != (int(plain), int(trunked))
    ]
    assert wrong == []
    assert len(rows) > 400


def test_overrides_of_a_group() -> None:
    """Explicit sizes beat the type's; an unknown type with sizes takes two awsvpc tasks."""
    sized = InstanceGroup(instance_type="x9.huge", cpu_units=100, memory_mib=200, gpus=3).sized()
    assert (sized.cpu_units, sized.memory_mib, sized.gpus, sized.awsvpc_tasks) == (100, 200, 3, 2)
    assert InstanceGroup(enis=7).sized().awsvpc_tasks == 7
    assert InstanceGroup(memory_mib=1000).sized().cpu_units == 4096


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ({"count": 0}, "count: 0 is less than 1"),
        ({"instance_type": "x9.huge"}, "not in the table; give cpu_units and memory_mib"),
        ({"memory_mib": 5}, "memory_mib: 5 is less than 6"),
        ({"cpu_units": 2**31}, "cpu_units: 2147483648 is more than 2147483647"),
        ({"gpus": -1}, "gpus: -1 is less than 0"),
    ],
)
def test_groups_that_make_no_sense(group: dict[str, int], words: str) -> None:
    """The field is named."""
    with pytest.raises(FleetError, match=words):
        InstanceGroup(**group)  # type: ignore[arg-type]


def test_files_as_json_lines_and_toml(tmp_path: Path) -> None:
    """Both give the same fleet."""
    lines = tmp_path / "fleet.jsonl"
    lines.write_text(
        '{"count": 3, "instance_type": "c5.large"}\n\n'
        '{"cpu_units": 96000, "memory_mib": 262144, "gpus": 2, "attributes": {"rack": "7"}}\n'
    )
    tables = tmp_path / "fleet.toml"
    tables.write_text(
        '[[instances]]\ncount = 3\ninstance_type = "c5.large"\n'
        "[[instances]]\ncpu_units = 96000\nmemory_mib = 262144\ngpus = 2\n"
        '[instances.attributes]\nrack = "7"\n'
    )
    assert load_fleet(lines) == load_fleet(tables)
    assert sum(group.count for group in load_fleet(lines)) == 4


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("f.jsonl", '{"count": 1}\n{"count": 1', "f.jsonl:2: not JSON"),
        ("f.jsonl", '\n{"cuont": 1}', "f.jsonl:2: cuont: unknown field"),
        ("f.jsonl", '{"count": "1"}', "f.jsonl:1: count: expected int, got '1'"),
        ("f.jsonl", '{"count": true}', "f.jsonl:1: count: expected int, got True"),
        ("f.jsonl", f'{{"count": {"9" * 5000}}}', "f.jsonl:1: not JSON: Exceeds the limit"),
        ("f.toml", f"[[instances]]\ncount = {'9' * 5000}", "f.toml: not TOML: Exceeds the limit"),
        ("f.jsonl", "[" * 100_000, "f.jsonl:1: not JSON: maximum recursion"),
        ("f.toml", f"a = {'[' * 100_000}", "f.toml: not TOML: maximum recursion"),
        ("f.jsonl", "[1]", "f.jsonl:1: expected an object, got list"),
        ("f.jsonl", '{"count": 0}', "f.jsonl:1: count: 0 is less than 1"),
        ("f.jsonl", '{"attributes": {"a": 1}}', "f.jsonl:1: attributes.a: expected str, got 1"),
        ("f.jsonl", "", "f.jsonl: no instances in it"),
        ("f.toml", "count = 1", "f.toml:1: count: unknown table; known are inst"),
        ("f.toml", "", "f.toml: no instances in it; expected tables"),
        ("f.toml", "[[instances]]\n\n[[instance]]\ncount = 9", "f.toml:3: instance: unknown table"),
        ("f.toml", "[[instances]\n", "f.toml: not TOML"),
        ("f.toml", "instances = 1", r"f.toml: instances: expected tables \[\[instances\]\]"),
        ("f.toml", "[[instances]]\ncount = -2", "f.toml:2: count: -2 is less than 1"),
        (
            "f.toml",
            "# two\n[[instances]]\n\n[[instances]]\ngpus = 1\ngpu = 1",
            "f.toml:6: gpu: unkn",
        ),
        ("f.toml", "[[instances]]\n[instances.attributes]\na = 1", "f.toml:2: attributes.a: exp"),
        ("f.toml", "instances = [{count = 1}, {cuont = 1}]", "f.toml:1: cuont: unknown field"),
        ("f.toml", '[[instances]]\n\ninstance_type = "x9.huge"', "f.toml:3: instance_type: 'x9"),
    ],
)
def test_wrong_files_name_line_and_field(tmp_path: Path, name: str, text: str, words: str) -> None:
    """A person can find what is wrong, and where."""
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(FleetError, match=words):
        load_fleet(file)


def test_missing_file(tmp_path: Path) -> None:
    """Says that it cannot be read, and why."""
    with pytest.raises(FleetError, match="cannot be read"):
        load_fleet(tmp_path / "nowhere.toml")
