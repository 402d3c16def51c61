"""Fair shares: who goes first, what quotas hold back, and what never happens."""

import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs_scheduler.sharing.fairness import (
    Cluster,
    Demand,
    FairParts,
    Used,
    Waiting,
    rank,
)
from ecs_scheduler.sharing.rules import Rules, ShareRule
from ecs_scheduler.sharing.settings import FairSharePolicy, FamilySettings, ShareSettings

TOTAL: Demand = (10_000, 10_000, 10)
ONE: Demand = (100, 100, 0)


def jobs(name: str, count: int, demand: Demand = ONE, family: str = "f") -> list[Waiting[str]]:
    return [Waiting(f"{name}{i}", demand, family) for i in range(count)]


def cluster(**used: Used) -> Cluster:
    return Cluster(TOTAL, used)


def shares_of(order: list[str]) -> str:
    return "".join(each[0] for each in order)


def test_equal_shares_take_turns() -> None:
    """However many each has; each share's own order stays."""
    ranked = rank({"a": jobs("a", 5), "b": jobs("b", 2)}, cluster(), Rules())
    assert ranked.order == ["a0", "b0", "a1", "b1", "a2", "a3", "a4"]


def test_weights_are_ratios() -> None:
    """Three to one."""
    rules = Rules({"a": ShareRule(3.0)})
    ranked = rank({"a": jobs("a", 90), "b": jobs("b", 90)}, cluster(), rules)
    assert Counter(shares_of(ranked.order[:80])) == {"a": 60, "b": 20}


def test_who_uses_less_goes_first() -> None:
    """Until both use the same."""
    used = cluster(a=Used(30, (3000, 3000, 0)))
    ranked = rank({"a": jobs("a", 60), "b": jobs("b", 60)}, used, Rules())
    assert set(shares_of(ranked.order[:30])) == {"b"}
    assert Counter(shares_of(ranked.order[30:90])) == {"a": 30, "b": 30}


def test_the_dominant_resource_is_the_measure() -> None:
    """One GPU is a tenth of all, as are ten small tasks."""
    gpu = jobs("g", 5, (1, 1, 1))
    ranked = rank({"g": gpu, "c": jobs("c", 50)}, cluster(), Rules())
    assert Counter(shares_of(ranked.order[:11])) == {"c": 10, "g": 1}


def test_what_was_used_before_counts() -> None:
    """A share that had the cluster a while ago comes after one that had nothing."""
    used = cluster(a=Used(history=0.2))
    ranked = rank({"a": jobs("a", 30), "b": jobs("b", 30)}, used, Rules())
    assert set(shares_of(ranked.order[:20])) == {"b"}


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (ShareRule(max_running=3), "share a runs 3 tasks, the most allowed"),
        (ShareRule(max_used=(350, None, None)), "share a uses 300 of the 350 CPU units it may"),
        (ShareRule(max_used=(None, 300, None)), "share a uses 300 of the 300 MiB of memory"),
    ],
)
def test_a_quota_holds_back_and_says_so(rule: ShareRule, reason: str) -> None:
    """Only its own share; the others get what is left."""
    ranked = rank({"a": jobs("a", 5), "b": jobs("b", 5)}, cluster(), Rules({"a": rule}))
    assert Counter(shares_of(ranked.order)) == {"a": 3, "b": 5}
    assert [job for job, _ in ranked.held_back] == ["a3", "a4"]
    assert ranked.held_back[0][1].startswith(reason)


def test_a_job_over_quota_does_not_block_a_smaller_one() -> None:
    """Nor does one that needs no GPU wait for a quota of GPUs."""
    rules = Rules({"a": ShareRule(max_used=(None, None, 0))})
    waiting = {"a": [Waiting("big", (1, 1, 1)), Waiting("small", (1, 1, 0))]}
    ranked = rank(waiting, cluster(), rules)
    assert ranked.order == ["small"]
    assert ranked.held_back[0][0] == "big"


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        (
            Rules({"a": ShareRule(max_used=(50, None, None))}),
            "needs 100 CPU units; share a may never use more than 50",
        ),
        (
            Rules({"a": ShareRule(max_running=2)}),
            "needs 3 tasks at once; share a may never run more than 2",
        ),
        (
            Rules(families={"f": 2}),
            "needs 3 tasks at once; family f may never run more than 2",
        ),
        (Rules({"a": ShareRule(max_running=3)}), "share a runs 1 of the 3 tasks allowed"),
    ],
)
def test_what_is_larger_than_its_quota_says_that_it_never_fits(rules: Rules, reason: str) -> None:
    """Whoever reads it need not wait for others of the share to end."""
    used = Cluster(TOTAL, {"a": Used(running=1)})
    trio = Waiting("trio", (100, 3, 0), tasks_by_family={"f": 3})
    ranked = rank({"a": [trio]}, used, rules)
    assert ranked.order == []
    assert ranked.held_back[0][1].startswith(reason)


def test_a_family_is_capped_over_all_shares() -> None:
    """What runs already counts."""
    used = Cluster(TOTAL, {}, {"f": 1})
    ranked = rank({"a": jobs("a", 3), "b": jobs("b", 3)}, used, Rules(families={"f": 3}))
    assert ranked.order == ["a0", "b0"]
    assert "family f runs 3 tasks" in ranked.held_back[0][1]


def test_a_reservation_is_for_shares_that_run_nothing() -> None:
    """Half is kept while one share is active; the newcomer may use it."""
    used = cluster(a=Used(50, (5000, 5000, 0)))
    ranked = rank({"a": jobs("a", 5), "b": jobs("b", 5)}, used, Rules(reservation=0.5))
    assert shares_of(ranked.order) == "bbbbb"
    assert "reserved for shares that run nothing" in ranked.held_back[0][1]


def test_the_policy_of_batch_is_taken_as_it_is() -> None:
    """Its weight factors are the other way round, and names may end in a star."""
    policy = FairSharePolicy.model_validate(
        {
            "shareDecaySeconds": 3600,
            "computeReservation": 50,
            "shareDistribution": [
                {"shareIdentifier": "prod*", "weightFactor": 0.125},
                {"shareIdentifier": "dev", "weightFactor": 2},
            ],
        }
    )
    own = {"prodX": ShareSettings(weight=3, max_running=1)}
    rules = policy.rules(own, {"f": FamilySettings(max_running=4)})
    names = ("prod1", "prodX", "dev", "other")
    assert [rules.of(name).weight for name in names] == [8, 3, 0.5, 1]
    assert (rules.reservation, rules.families) == (0.5, {"f": 4})


demands = st.tuples(st.integers(1, 500), st.integers(1, 500), st.integers(0, 2))
waiting_shares = st.dictionaries(
    st.sampled_from("abcd"), st.lists(demands, max_size=30), max_size=4
)
rules_of_all = st.dictionaries(
    st.sampled_from("abcd"),
    st.builds(
        ShareRule,
        weight=st.floats(0.1, 10),
        max_running=st.none() | st.integers(0, 20),
        max_used=st.tuples(
            st.none() | st.integers(0, 5000), st.none(), st.none() | st.integers(0, 3)
        ),
    ),
)


@given(waiting_shares, rules_of_all)
def test_no_job_is_lost_and_no_quota_is_ever_exceeded(
    waiting: dict[str, list[Demand]], shares: dict[str, ShareRule]
) -> None:
    """Each job comes back once, ranked or held back; the ranked ones stay within every bound."""
    given_jobs = {
        name: [Waiting((name, i), demand) for i, demand in enumerate(members)]
        for name, members in waiting.items()
    }
    ranked = rank(given_jobs, cluster(), Rules(shares))
    both = ranked.order + [job for job, _ in ranked.held_back]
    assert sorted(both) == sorted(job.job for members in given_jobs.values() for job in members)
    for name, rule in shares.items():
        mine = [waiting[name][i] for share, i in ranked.order if share == name]
        assert rule.max_running is None or len(mine) <= rule.max_running
        for dimension, bound in enumerate(rule.max_used):
            assert bound is None or sum(each[dimension] for each in mine) <= bound


@given(waiting_shares, st.dictionaries(st.sampled_from("abcd"), st.floats(0.1, 10)))
def test_no_share_is_ever_served_before_one_that_has_less(
    waiting: dict[str, list[Demand]], weights: dict[str, float]
) -> None:
    """At each step the next job's share has the least for its weight of all that still wait."""
    given_jobs = {
        name: [Waiting(name, demand) for demand in members] for name, members in waiting.items()
    }
    rules = Rules({name: ShareRule(weight) for name, weight in weights.items()})
    left = {name: list(members) for name, members in waiting.items()}
    has = dict.fromkeys(left, (0, 0, 0))

    def level(name: str) -> float:
        parts = (amount / total for amount, total in zip(has[name], TOTAL, strict=True))
        return max(parts) / weights.get(name, 1.0)

    for name in rank(given_jobs, cluster(), rules).order:
        least = min(level(each) for each, members in left.items() if members)
        assert level(name) <= least + 1e-9
        more = left[name].pop(0)
        has[name] = tuple(a + b for a, b in zip(has[name], more, strict=True))  # type: ignore[assignment]


def test_fifty_thousand_jobs_are_ranked_quickly() -> None:
    """Far below a second on any machine; the benchmark holds the figure itself."""
    waiting = {f"s{i}": jobs(f"s{i}-", 500) for i in range(100)}
    used = Cluster(TOTAL, {f"s{i}": Used(100, (100, 100, 0)) for i in range(100)})
    began = time.perf_counter()
    ranked = rank(waiting, used, Rules())
    assert len(ranked.order) == 50_000
    assert time.perf_counter() - began < 2


def test_the_window_is_divided_by_weight() -> None:
    """So that each share is seen; one share alone has all of it."""
    parts = FairParts(Rules({"a": ShareRule(3.0)}), 100)
    parts.know(frozenset({"a"}))
    assert (parts.parts(), parts.enough({"a": 100})) == ({}, [])
    parts.know(frozenset({"a", "b"}))
    assert parts.parts() == {"a": 75, "b": 25}
    assert parts.enough({"a": 75, "b": 24}) == ["a"]
