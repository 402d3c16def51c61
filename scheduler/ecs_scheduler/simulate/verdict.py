"""What a comparison comes to, in a sentence or two that a person can act on."""

from collections.abc import Iterator, Sequence

from ecs_scheduler.simulate.compare import Compared, Comparison, differences

NOTICED_S, NOTICED = 0.05, 0.02
"""Waits that differ by less than both are told to be the same."""


def verdict(comparison: Comparison) -> list[str]:
    """Which policy costs least, which waits least, and what one would pay for the other."""
    policies = comparison.policies
    if len(policies) == 1:
        return [_alone(policies[0])]
    cheapest = min(policies, key=lambda each: each.metrics["cost"].mean)
    quickest = min(policies, key=lambda each: each.metrics["wait_mean_s"].mean)
    said = [_best(cheapest, policies, "cost", "costs the least", dollars), _dearest(policies)]
    least, its = (each.metrics["wait_mean_s"].mean for each in (quickest, cheapest))
    if its - least < max(NOTICED_S, NOTICED * least):
        said.append(
            f"Jobs wait no longer under {cheapest.policy} than under any other: {seconds(its)} on "
            "average."
        )
        return [*said, *_unfinished(policies)]
    said.append(_best(quickest, policies, "wait_mean_s", "waits the least on average", seconds))
    if cheapest is not quickest:
        dearer = quickest.metrics["cost"].mean / max(cheapest.metrics["cost"].mean, 1e-9) - 1
        slower = cheapest.metrics["wait_mean_s"].mean - quickest.metrics["wait_mean_s"].mean
        said.append(
            f"Between them: {quickest.policy} costs {dearer:+.1%} and saves "
            f"{seconds(slower)} of mean wait a job."
        )
    return [*said, *_unfinished(policies)]


def _dearest(policies: Sequence[Compared]) -> str:
    """The loser by its name."""
    costs = [each.metrics["cost"].mean for each in policies]
    dearest = policies[costs.index(max(costs))]
    return (
        f"{dearest.policy} costs the most: {dollars(max(costs))}, "
        f"{max(costs) / max(min(costs), 1e-9) - 1:+.0%}."
    )


def _unfinished(policies: Sequence[Compared]) -> Iterator[str]:
    unfinished = [each.policy for each in policies if each.metrics["unfinished"].mean]
    if unfinished:
        yield (
            f"Not all jobs ended in the simulated time under {', '.join(unfinished)}: "
            "its figures cover only what did."
        )


def _alone(policy: Compared) -> str:
    cost, wait = policy.metrics["cost"], policy.metrics["wait_mean_s"]
    return f"{policy.policy} costs {dollars(cost.mean)}; jobs wait {seconds(wait.mean)} on average."


def _best(best: Compared, policies: Sequence[Compared], key: str, what: str, text: object) -> str:
    assert callable(text)
    others = [each for each in policies if each is not best]
    next_best = min(others, key=lambda each: each.metrics[key].mean)
    mine, theirs = best.metrics[key], next_best.metrics[key]
    sure = "" if _apart(best, next_best, key) else "; the seeds do not tell the two apart"
    return (
        f"{best.policy} {what}: {text(mine.mean)}, before {next_best.policy} with "
        f"{text(theirs.mean)}{sure}."
    )


def _apart(one: Compared, other: Compared, key: str) -> bool:
    """Whether they differ by more than chance, seed by seed: on the same course of events, which
    says more than whether their intervals overlap.
    """
    change = differences(one.runs, other.runs)[key]
    return not change.low <= 0 <= change.high


def dollars(value: float) -> str:
    """An amount of money."""
    return f"${value:,.2f}"


def seconds(value: float) -> str:
    """A duration in the unit that suits it."""
    if value < 1:
        return f"{value:.2f} s"
    if value < 120:
        return f"{value:.3g} s"
    return f"{value / 60:.3g} min" if value < 7200 else f"{value / 3600:.3g} h"
