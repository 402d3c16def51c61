"""What is remembered of task definitions."""

import asyncio
from typing import Any, cast

from ecs_scheduler.ecs.task_definitions import FAMILY_KEPT_S, KNOWN_KEPT, TaskDefinitions
from ecs_scheduler.errors import JobUnusable


class Registry:
    """Knows a revision of any name, and counts who asks."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def describe_task_definition(self, name: str) -> dict[str, Any]:
        self.asked.append(name)
        containers = [{"name": "main", "image": "i", "cpu": 1, "memory": 4}]
        return {"taskDefinitionArn": name, "family": "f", "containerDefinitions": containers}


def test_of_endless_revisions_the_latest_are_remembered() -> None:
    """A revision for each job fills no memory; one that was forgotten is asked for again."""

    async def story() -> None:
        registry = Registry()
        definitions = TaskDefinitions(cast("Any", registry), lambda: 0.0)
        names = [f"arn:aws:ecs:r:1:task-definition/f:{i}" for i in range(KNOWN_KEPT + 1)]
        for name in names:
            await definitions.resolve(name)
        registry.asked.clear()
        for name in (names[0], names[-1]):
            await definitions.resolve(name)
            await definitions.essential(name)
        assert registry.asked == [names[0]]

    asyncio.run(story())


def test_a_family_that_is_gone_is_asked_for_once_not_for_each_task() -> None:
    """Thousands of its tasks may run when a scheduler takes over, which looks up what they use."""

    class Gone(Registry):
        async def describe_task_definition(self, name: str) -> dict[str, Any]:
            await super().describe_task_definition(name)
            raise JobUnusable(f"unable to describe {name}")

    async def story() -> None:
        registry, now_s = Gone(), 0.0
        definitions = TaskDefinitions(cast("Any", registry), lambda: now_s)
        for _ in range(3):
            assert isinstance(await definitions.of_task("f"), JobUnusable)
        assert registry.asked == ["f"]
        now_s += FAMILY_KEPT_S
        await definitions.of_task("f")
        assert registry.asked == ["f", "f"]

    asyncio.run(story())
