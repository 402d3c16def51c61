"""Why ECS refuses is news: about an instance and a task definition, or about a bad instance."""

from ecs_queue.states import InstanceArn
from ecs_scheduler.cluster.blame import HALF_LIFE_S, Blame

INSTANCES = [InstanceArn(f"i/{n:02d}") for n in range(10)]


def test_one_failure_is_bad_luck_and_three_are_too_much() -> None:
    """An instance is avoided from the third failure on."""
    blame = Blame()
    for _ in range(2):
        blame.add(INSTANCES[0], 0.0)
    assert blame.too_much(INSTANCES, 0.0) == {}
    blame.add(INSTANCES[0], 1.0)
    assert list(blame.too_much(INSTANCES, 1.0)) == [INSTANCES[0]]


def test_blame_fades() -> None:
    """After one half-life three failures are worth one and a half: the instance is back."""
    blame = Blame()
    for _ in range(3):
        blame.add(INSTANCES[0], 0.0)
    assert blame.too_much(INSTANCES, HALF_LIFE_S) == {}


def test_a_fault_that_is_everywhere_never_empties_the_cluster() -> None:
    """All ten fail all the time; the two worst are avoided, the others go on."""
    blame = Blame()
    for number, arn in enumerate(INSTANCES):
        for _ in range(5 + number):
            blame.add(arn, 0.0)
    assert set(blame.too_much(INSTANCES, 0.0)) == set(INSTANCES[-2:])
    assert blame.too_much(INSTANCES[:4], 0.0) == {}


def test_instances_that_are_gone_don_t_count() -> None:
    """What was forgotten, or is not asked about, is not avoided."""
    blame = Blame()
    for _ in range(9):
        blame.add(INSTANCES[0], 0.0)
        blame.add(INSTANCES[1], 0.0)
    blame.forget(INSTANCES[0])
    assert list(blame.too_much(INSTANCES, 0.0)) == [INSTANCES[1]]
    assert blame.too_much(INSTANCES[2:], 0.0) == {}


def test_tasks_that_hang_count_as_long_as_they_hang() -> None:
    """Three tasks that don't start are as bad as three that failed; once through, all is well."""
    blame = Blame()
    blame.linger({INSTANCES[0]: 3.0, INSTANCES[1]: 1.0})
    assert blame.too_much(INSTANCES, 0.0) == {INSTANCES[0]: 3.0}
    blame.add(INSTANCES[1], 0.0)
    blame.add(INSTANCES[1], 0.0)
    assert set(blame.too_much(INSTANCES, 0.0)) == {INSTANCES[0], INSTANCES[1]}
    blame.linger({})
    assert blame.too_much(INSTANCES, 0.0) == {}
