"""Candidate policies that were rolled back, by the version of the policies that they were tried
with: whoever schedules next must not try them again.
"""

from ecs_queue.script import Command, line, text


def roll_back(version: str, why: str) -> Command[str]:
    """Remember it; the reason that stands, which is the first one given."""
    return Command("roll_back", (version, line(why)), text)


def rolled_back(version: str) -> Command[str | None]:
    """Why the candidate of these policies was rolled back; None if it was not."""

    def parse(reply: bytes | None) -> str | None:
        return None if reply is None else text(reply)

    return Command("rolled_back", (version,), parse)
