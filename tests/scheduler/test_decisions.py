"""The decision log: read back exactly, decided again bit for bit, bounded, and never in the way."""

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecs_placement.plan import NOTHING_RESERVED, Start
from ecs_placement.policy import Policy, SkewLimit, Strategy, Term
from ecs_placement.request import RequestId, Shape, TaskRequest
from ecs_placement.several import place_parts
from ecs_placement.snapshot import Facts, Instance, InstanceId, Snapshot
from ecs_scheduler.decisions.coding import Asked
from ecs_scheduler.decisions.log import SUFFIX, DecisionLog, find, log_files, read_file
from ecs_scheduler.decisions.replaying import replay
from ecs_scheduler.errors import DecisionLogUnreadable
from ecs_scheduler.policies.reading import book_of

POLICIES = (
    Policy(),
    Policy(strategies=(Strategy("random"),), seed=7),
    Policy(
        terms=(Term("best_fit", 0.3), Term("spread", 1.0, "attribute:zone")),
        limits=(SkewLimit("attribute:zone", 2),),
        objective="open",
    ),
)


def instance(number: int, cpu: int, memory: int = 9, **members: object) -> Instance:
    room = (cpu, memory, 0, 3)
    zone = {"zone": "ab"[number % 2]}
    return Instance(InstanceId(f"i-{number}"), room, room, attributes=zone, **members)  # type: ignore[arg-type]


def asked(count: int, policy: Policy = POLICIES[0], **shape: object) -> tuple[Asked, ...]:
    one = Shape(1, 1, group="g", **shape)  # type: ignore[arg-type]
    requests = tuple(TaskRequest(RequestId(f"t{n}"), one, order=n) for n in range(count))
    return (Asked("default@0", requests, policy),)


def written(log: DecisionLog, snapshot: Snapshot, what: tuple[Asked, ...], at_ms: int = 0) -> str:
    plan = place_parts([each.part for each in what], snapshot)
    return log.record(snapshot, what, NOTHING_RESERVED, plan, at_ms)


fleets = st.lists(
    st.builds(
        lambda n, cpu, warm, tasks, trouble: instance(
            n, cpu, facts=Facts(None, None, 0.1 + trouble, tasks, {"g": 1}, warm, trouble)
        ),
        st.integers(0, 5),
        st.integers(0, 9),
        st.frozensets(st.sampled_from(["a", "b"])),
        st.integers(0, 2),
        st.floats(0, 1),
    ),
    max_size=5,
    unique_by=lambda each: each.id,
)


@settings(max_examples=50)
@given(st.lists(st.tuples(fleets, st.integers(1, 8), st.sampled_from(POLICIES)), max_size=4))
def test_every_decision_is_replayed_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory,
    passes: list[tuple[list[Instance], int, Policy]],
) -> None:
    """Whatever came, went and changed between them; chance and preferences included."""
    directory = tmp_path_factory.mktemp("log")
    log = DecisionLog(directory, "scheduler-x", 2**20)
    expected = {}
    for rows, count, policy in passes:
        snapshot, what = Snapshot.of(rows), asked(count, policy, ports_tcp=frozenset({80}))
        expected[written(log, snapshot, what)] = (snapshot.instances, what)
    log.close()
    assert len(expected) == len(passes)
    for decision_id, (instances, what) in expected.items():
        decision = find(directory, decision_id)
        assert (decision.snapshot.instances, decision.asked) == (instances, what)
        assert replay(decision).exact


def test_a_changed_decision_is_not_taken_for_the_same(tmp_path: Path) -> None:
    """What cannot fail proves nothing: one score changed in its last bit is another plan."""
    log = DecisionLog(tmp_path, "s", 2**20)
    decision = find(tmp_path, written(log, Snapshot.of([instance(1, 3)]), asked(1)))
    start = decision.plan.decisions[0]
    assert isinstance(start, Start)
    touched = replace(start, score=start.score + 2**-53)
    assert not replay(replace(decision, plan=replace(decision.plan, decisions=(touched,)))).exact


def test_only_what_changed_is_written_and_nothing_twice(tmp_path: Path) -> None:
    """Five hundred instances cost once; the same question again is not a new decision."""
    log = DecisionLog(tmp_path, "s", 2**30)
    first = Snapshot.of([instance(n, 9) for n in range(500)])
    one = written(log, first, asked(3))
    assert written(log, first, asked(3)) == one
    begun = log_files(tmp_path)[0].stat().st_size
    second = first.updated([replace(first.instances[7], free=(1, 1, 0, 3))])
    other = written(log, second, asked(3))
    assert other != one
    assert log_files(tmp_path)[0].stat().st_size - begun < 500
    assert find(tmp_path, other).snapshot.instances == second.instances
    assert log.written == 2


def test_the_log_never_grows_beyond_its_size(tmp_path: Path) -> None:
    """Sixty kilobytes at most, the oldest decisions gone and the newest there."""
    log = DecisionLog(tmp_path, "s", 60_000)
    for number in range(300):
        rows = [instance(n, 1 + (n * number * 7919) % 97) for n in range(40)]
        last = written(log, Snapshot.of(rows), asked(20), at_ms=number * 1000)
    log.close()
    assert sum(path.stat().st_size for path in log_files(tmp_path)) < 1.2 * 60_000
    assert len(log_files(tmp_path)) > 4
    assert replay(find(tmp_path, last)).exact
    with pytest.raises(DecisionLogUnreadable, match="its oldest file is"):
        find(tmp_path, "19700101T000000000-s.1")


def test_what_a_crash_cut_off_costs_its_last_line_only(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path, "s", 2**20)
    for count in (1, 2, 3):
        written(log, Snapshot.of([instance(1, 9)]), asked(count))
    (path,) = log_files(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert [len(each.plan.decisions) for each in read_file(path)] == [1, 2]


def test_a_log_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a directory")
    log = DecisionLog(tmp_path / "taken", "s", 2**20)
    assert written(log, Snapshot.of([instance(1, 9)]), asked(1)) == ""
    assert log.failed == 1


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"{}\n"), gzip.compress(b"x\n")])
def test_a_file_that_is_no_log_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / f"x{SUFFIX}"
    path.write_bytes(content)
    with pytest.raises(DecisionLogUnreadable, match=str(path)):
        list(read_file(path))


def test_another_policy_shows_what_it_would_do(tmp_path: Path) -> None:
    """Best fit fills i-1; spreading takes one on each. Filters are exchanged, too."""
    log = DecisionLog(tmp_path, "s", 2**20)
    snapshot = Snapshot.of([instance(1, 2), instance(2, 9)])
    filtered = "attribute:zone == b"
    what = asked(2, member_of=(filtered,))
    what = (replace(what[0], filters=(filtered,)),)
    decision = find(tmp_path, written(log, snapshot, what))
    other = book_of('[policies.default]\nchain = ["spread(instanceId)"]', "p")
    found = replay(decision, other).difference
    assert (found.started, found.started_after, found.opened, found.opened_after) == (2, 2, 1, 2)
    assert [(each.before, each.after) for each in found.moved] == [("i-1", "i-2")]


def garbled(tmp_path: Path, old: bytes, new: bytes) -> None:
    """Replay a decision whose line was tampered with."""
    log = DecisionLog(tmp_path, "s", 2**20)
    decision_id = written(log, Snapshot.of([instance(1, 9)]), asked(3))
    log.close()
    (path,) = log_files(tmp_path)
    line = gzip.decompress(path.read_bytes())
    assert old in line
    path.write_bytes(gzip.compress(line.replace(old, new, 1)))
    replay(find(tmp_path, decision_id))


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (b'"order":"SSS"', b'"order":"SSX"', ":1: is no decision: plan: order 'SSX'"),
        (b'"order":"SSS"', b'"order":"S"', ":1: is no decision: plan: order 'S' does not name"),
        (b'"instance_id":"i-1"', b'"instance_id":"i-9"', "instance 'i-9' is not in the snapshot"),
        (b'"at_ms":0', b'"at_ms":"noon"', ":1: is no decision: at_ms: "),
        (b'"free":[9,9,0,3]', b'"free":[9,9]', ":1: is no decision: changed.0.free.2: "),
        (
            b'"cpu_units":1',
            b'"cpu_unit":1',
            ":1: is no decision: asked.0.requests.0.shape.cpu_unit: ",
        ),
        (b'"group":"g"', b'"gruop":"g"', "'gruop' is unknown, expected one of "),
        (b'"asked":[{', b'"asked":[{"budgets":1,', "did you mean budget_s?"),
        (b'"zone":"b"', b'"zone":["b"]', ":1: is no decision: changed.0.attributes.zone"),
        (b'"cpu_units":1', b'"cpu_units":-1', "is garbled: request 't0': CPU = -1 is negative"),
        (b'"id":"t1"', b'"id":"t0"', "is garbled: requests: id 't0' is given more than once"),
    ],
)
def test_a_garbled_decision_is_told_by_line_and_field(
    tmp_path: Path, old: bytes, new: bytes, complaint: str
) -> None:
    with pytest.raises(DecisionLogUnreadable) as caught:
        garbled(tmp_path, old, new)
    assert complaint in str(caught.value)


def test_a_decision_that_is_not_there_is_told_by_those_that_are(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path, "s", 2**20)
    stem = written(log, Snapshot.of([instance(1, 9)]), asked(1)).rpartition(".")[0]
    log.close()
    with pytest.raises(DecisionLogUnreadable, match=rf"of which the last is {stem}\.1"):
        find(tmp_path, f"{stem}.7")
    with pytest.raises(DecisionLogUnreadable, match="is not in"):
        find(tmp_path, f"../{tmp_path.name}/{stem}.1")
    with pytest.raises(DecisionLogUnreadable, match="there is no directory"):
        find(tmp_path / "none", f"{stem}.1")
