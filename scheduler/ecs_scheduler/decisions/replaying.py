"""Decides again what was decided before: by the same policies, or by others."""

from dataclasses import dataclass, replace

from ecs_placement.difference import Difference, difference
from ecs_placement.errors import PlacementError
from ecs_placement.plan import Plan
from ecs_placement.request import TaskRequest
from ecs_placement.several import place_parts
from ecs_scheduler.decisions.coding import Asked, Decision, plan_as_json
from ecs_scheduler.errors import DecisionLogUnreadable
from ecs_scheduler.policies.book import NamedPolicy, PolicyBook


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay came to. `exact`: the plan is the recorded one to the last bit."""

    plan: Plan
    exact: bool
    difference: Difference
    policies: tuple[str, ...]


def replay(decision: Decision, book: PolicyBook | None = None) -> Replayed:
    """Decide anew; with a book by its policies of the same names, or else by its default.

    Raises DecisionLogUnreadable for what nobody can have decided.
    """
    asked = decision.asked
    if book is not None:
        asked = tuple(_under(each, book) for each in decision.asked)
    try:
        plan = place_parts([each.part for each in asked], decision.snapshot, decision.reserving)
    except PlacementError as error:
        raise DecisionLogUnreadable(f"decision {decision.id}: is garbled: {error}") from error
    requests = [request for each in decision.asked for request in each.requests]
    return Replayed(
        plan=plan,
        exact=plan_as_json(plan) == plan_as_json(decision.plan),
        difference=difference(decision.plan, plan, requests, decision.snapshot),
        policies=tuple(each.policy for each in asked),
    )


def _under(asked: Asked, book: PolicyBook) -> Asked:
    policy = book.get(asked.policy.partition("@")[0]) or book.named(book.default)
    requests = tuple(within(policy, request, asked.filters) for request in asked.requests)
    return Asked(policy.label, requests, policy.placement, policy.filters, asked.budget_s)


def within(policy: NamedPolicy, request: TaskRequest, before: tuple[str, ...]) -> TaskRequest:
    """The request in the filters of this policy, and no longer in those from before."""
    if before == policy.filters:
        return request
    shape = request.shape
    own = shape.member_of[: len(shape.member_of) - len(before)]
    return replace(request, shape=replace(shape, member_of=(*own, *policy.filters)))
