"""Weighted scores, term by term: what each wants, and what it is told when it is none."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from ecs_placement.batch import place
from ecs_placement.check import check
from ecs_placement.errors import PlacementError
from ecs_placement.plan import Plan, Start, Wait
from ecs_placement.policy import Policy, Prices, SkewLimit, Strategy, Term
from ecs_placement.ranking import TermValue, ranking
from ecs_placement.request import Gang, GangId, Shape, TaskRequest
from ecs_placement.snapshot import Facts, Instance, Snapshot

ZONE = "attribute:zone"


def starts(plan: Plan) -> Counter[str]:
    return Counter(d.instance_id for d in plan.decisions if isinstance(d, Start))


def test_consolidation_fills_what_is_in_use_and_open_cost_the_cheapest(
    instance: Callable[..., Instance], task: Callable[..., TaskRequest]
) -> None:
    """i-1 is half full: two tasks go there, the third opens i-2, which costs half as much."""
    rows = [
        instance("i-0", attributes={"type": "dear"}),
        instance("i-1", free=(2048, 8192, 0, 3), attributes={"type": "dear"}),
        instance("i-2", attributes={"type": "cheap"}),
    ]
    prices = Prices("type", (("dear", 2.0), ("cheap", 1.0)))
    terms = (Term("consolidate"), Term("open_cost"))
    policy = Policy(terms=terms, prices=prices)
    plan = place([task(f"t{n}") for n in range(3)], Snapshot.of(rows), policy)
    assert starts(plan) == {"i-1": 2, "i-2": 1}


def test_open_comes_before_every_preference(
    instance: Callable[..., Instance], task: Callable[..., TaskRequest]
) -> None:
    """The empty i-0 is preferred, but i-1 is in use and fits two more."""
    rows = [
        instance("i-0", attributes={"zone": "a"}),
        instance("i-1", free=(2048, 8192, 0, 3), facts=Facts(trouble=1.0)),
    ]
    terms = (Term("prefer", 9.0, "attribute:zone == a"), Term("avoid"))
    requests = [task(f"t{n}") for n in range(3)]
    policy = Policy(terms=terms, objective="open")
    assert starts(place(requests, Snapshot.of(rows), policy)) == {"i-1": 2, "i-0": 1}
    assert starts(place(requests, Snapshot.of(rows), Policy(terms=terms))) == {"i-0": 3}


def test_what_a_batch_has_opened_is_in_use_until_it_is_given_back(
    instance: Callable[..., Instance], task: Callable[..., TaskRequest]
) -> None:
    """The tiny task alone would open the cheap i-1; a gang that fails leaves i-0 empty again."""
    rows = [
        instance("i-0", (8192, 16384, 0, 3), attributes={"type": "dear"}),
        instance("i-1", (1024, 2048, 0, 3), attributes={"type": "cheap"}),
    ]
    prices = Prices("type", (("dear", 8.0), ("cheap", 1.0)))
    policy = Policy(objective="open", opens_for=1, prices=prices)
    tiny = task("tiny", cpu_units=256, memory_mib=256)
    alone = place([tiny], Snapshot.of(rows), policy)
    assert starts(alone) == {"i-1": 1}
    large = [task(f"g{n}", cpu_units=6144) for n in range(2)]
    opened = place([tiny, large[0]], Snapshot.of(rows), policy)
    assert starts(opened) == {"i-0": 2}
    gang = [replace(each, gang=Gang(GangId("g"), 2)) for each in large]
    assert starts(place([tiny, *gang], Snapshot.of(rows), policy)) == {"i-1": 1}


def test_an_instance_that_comes_back_larger_is_opened_for_what_it_holds_now(
    instance: Callable[..., Instance], task: Callable[..., TaskRequest]
) -> None:
    """What is kept of the fleet from pass to pass never outlives a change of a total."""
    small = (1024, 2048, 0, 3)
    rows = [instance(f"i-{n}", small, attributes={"type": "one"}) for n in range(2)]
    rows.append(instance("i-2", attributes={"type": "dear"}))
    prices = Prices("type", (("one", 1.0), ("dear", 9.0)))
    policy = Policy(objective="open", prices=prices)
    before = Snapshot.of(rows)
    assert starts(place([task("t")], before, policy)) == {"i-0": 1}
    grown = instance("i-1", (2048, 4096, 0, 3), attributes={"type": "one"})
    assert starts(place([task("t")], before.updated([grown]), policy)) == {"i-1": 1}


def test_what_differs_by_rounding_alone_goes_by_id(
    instance: Callable[..., Instance], task: Callable[..., TaskRequest]
) -> None:
    """0.2 + 0.4 is more than 0.5 + 0.1 in floating point, but i-0 has as much room as i-1."""
    rows = [
        instance("i-0", (10, 10, 0, 0), free=(2, 4, 0, 0)),
        instance("i-1", (10, 10, 0, 0), free=(5, 1, 0, 0)),
    ]
    policy = Policy(weights=(1.0, 1.0, 1.0, 1.0), objective="open")
    small = task("small", cpu_units=1, memory_mib=0)
    assert starts(place([small], Snapshot.of(rows), policy)) == {"i-0": 1}


def test_keep_room_spares_the_instance_that_the_largest_could_still_use(
    instance: Callable[..., Instance], task: Callable[..., TaskRequest]
) -> None:
    """Best fit would break i-0, where the large one (of lower priority) fits; i-1 is lost to it."""
    rows = [instance("i-0", free=(2048, 4096, 0, 3)), instance("i-1", free=(4096, 2048, 0, 3))]
    small = task("small", priority=1, cpu_units=512, memory_mib=512)
    requests = [small, task("large", cpu_units=2048, memory_mib=4096)]
    kept = place(requests, Snapshot.of(rows), Policy(terms=(Term("keep_room"),)))
    assert starts(kept) == {"i-0": 1, "i-1": 1}
    broken = place(requests, Snapshot.of(rows), Policy(terms=(Term("best_fit"),)))
    assert starts(broken) == {"i-0": 1}


def test_keep_room_leaves_a_row_before_its_last_place_is_broken(
    instance: Callable[..., Instance], task: Callable[..., TaskRequest]
) -> None:
    """The large one takes 3072 of 4096 units: each of three rows gives one task of 1024, the fourth
    task breaks i-0, and what is lost there is used up before i-1 is touched again.
    """
    rows = [instance(f"i-{n}", (4096, 4096, 0, 3)) for n in range(3)]
    small = [task(f"t{n}", priority=1, cpu_units=1024, memory_mib=1024) for n in range(6)]
    requests = [*small, task("large", cpu_units=3072, memory_mib=3072)]
    plan = place(requests, Snapshot.of(rows), Policy(terms=(Term("keep_room"),)))
    assert starts(Plan(plan.decisions[:6])) == {"i-0": 4, "i-1": 1, "i-2": 1}


def test_warm_good_and_gpu_free_instances_come_first(
    instance: Callable[..., Instance], task: Callable[..., TaskRequest]
) -> None:
    """Each term alone picks the one instance that it likes."""
    rows = [
        instance("i-0", (4096, 16384, 4, 3), facts=Facts(trouble=0.5)),
        instance("i-1", (4096, 16384, 4, 3), facts=Facts(warm=frozenset({"etl"}), trouble=0.9)),
        instance("i-2", (4096, 16384, 4, 3), free=(4096, 16384, 0, 3), facts=Facts(trouble=0.6)),
        instance("i-3", (4096, 16384, 4, 3), attributes={"zone": "b"}, facts=Facts(trouble=0.2)),
    ]
    wanted = {
        Term("warm"): "i-1",
        Term("leave_gpus"): "i-2",
        Term("avoid"): "i-3",
        Term("prefer", 1.0, "attribute:zone == b"): "i-3",
    }
    for term, best in wanted.items():
        plan = place([task("t", image="etl")], Snapshot.of(rows), Policy(terms=(term,)))
        assert starts(plan) == {best: 1}, term


def test_a_skew_limit_makes_tasks_wait_and_says_so(
    instance: Callable[..., Instance], task: Callable[..., TaskRequest]
) -> None:
    """Zone b is full with one task: a may have two more than b's one, then the rest waits."""
    rows = [
        instance("i-0", attributes={"zone": "a"}),
        instance("i-1", (1024, 4096, 0, 3), attributes={"zone": "b"}),
        instance("i-2"),
    ]
    requests = [task(f"t{n}", group="g") for n in range(5)]
    policy = Policy(limits=(SkewLimit(ZONE, 2),))
    plan = place(requests, Snapshot.of(rows), policy)
    assert starts(plan) == {"i-0": 3, "i-1": 1}
    waiting = [d for d in plan.decisions if isinstance(d, Wait)]
    assert [(t.reason.value, t.instances) for t in waiting[0].reasons] == [
        ("RESOURCE:CPU", 1),
        ("SKEW", 2),
    ]
    assert check(plan, requests, Snapshot.of(rows), policy) == ()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Term("consolidat"), "did you mean consolidate"),
        (lambda: Term("best_fit", -1.0), "best_fit: weight = -1.0 must be a finite number"),
        (lambda: Term("best_fit", float("nan")), "must be a finite number"),
        (lambda: Term("best_fit", "much"), "weight = 'much' must be a number"),  # type: ignore[arg-type]
        (lambda: Term("spread", 1.0, "instanceid"), "did you mean instanceId"),
        (lambda: Term("prefer", 1.0, "atribute:zone == a"), "query, column 1"),
        (lambda: Term("prefer"), "must be an expression"),
        (lambda: Term("warm", 1.0, "x"), "takes no field"),
        (lambda: SkewLimit("zone"), "attribute:NAME"),
        (lambda: SkewLimit(ZONE, 0), "most = 0 must be an integer, 1 or more"),
        (lambda: Policy(objective="opn"), "did you mean open"),  # type: ignore[arg-type]
        (lambda: Policy(terms=(Term("warm"), Term("warm"))), "warm is given more than once"),
        (lambda: Policy(terms=(Term("warm", 0.0),)), "at least one weight"),
        (lambda: Prices(of=(("m5", -1.0),)), "prices: m5 = -1.0 must be"),
    ],
)
def test_unknown_terms_objectives_and_weights_are_told(build: object, message: str) -> None:
    with pytest.raises(PlacementError, match=message):
        build()  # type: ignore[operator]


def test_a_ranking_shows_the_runner_up_and_every_term(
    instance: Callable[..., Instance],
) -> None:
    """i-1 is half used: 0.5 of 1, and it leaves less; its one task of trouble costs it a fifth."""
    rows = [
        instance("i-0"),
        instance("i-1", free=(2048, 8192, 0, 3), facts=Facts(trouble=0.2)),
    ]
    policy = Policy((1.0, 1.0, 0.0, 0.0), terms=(Term("consolidate", 2.0), Term("avoid")))
    best, second = ranking(Shape(1024, 2048), Snapshot.of(rows), policy)
    assert [(t.name, t.weight, round(t.value, 9)) for t in best.terms] == [
        ("consolidate", 2.0, 0.5),
        ("avoid", 1.0, 0.8),
    ]
    assert (best.instance_id, round(best.score, 9), best.opens) == ("i-1", 0.6, False)
    assert (second.instance_id, round(second.score, 9), second.opens) == (
        "i-0",
        round(1 / 3, 9),
        True,
    )
    chain = Policy(strategies=(Strategy("binpack", "memory"),))
    best, _ = ranking(Shape(1024, 2048), Snapshot.of(rows), chain)
    assert (best.instance_id, best.terms) == ("i-1", (TermValue("binpack(memory)", 1.0, 8192.0),))
