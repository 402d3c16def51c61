"""`ecs-scheduler decisions` and `replay`: what the decision log keeps, decided once more."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from ecs_placement.plan import Start, Wait
from ecs_scheduler.cli.failures import FAILED, OK, InvalidInput
from ecs_scheduler.cli.output import Output, print_json, print_lines, print_table, time_shown
from ecs_scheduler.decisions.log import find, log_files, read_file
from ecs_scheduler.decisions.replaying import Replayed, replay
from ecs_scheduler.policies.reading import read_book

SHOWN_MOVES = 20

Directory = Annotated[Path, Parameter(name="--log", env_var="ECS_SCHEDULER_DECISION_LOG")]
Limit = Annotated[int, Parameter(name=["--limit", "-n"], validator=Number(gte=1, lte=100_000))]


async def decisions(
    *, log: Directory = Path("decisions"), limit: Limit = 20, output: Output = "text"
) -> int:
    """List the latest decisions of the log, newest first.

    Args:
        log: Directory of the decision log.
        limit: Most decisions to list.
        output: For people or for programs.
    """
    if not log.is_dir():
        raise InvalidInput(f"--log: there is no directory {log}")
    found: list[dict[str, Any]] = []
    for path in reversed(log_files(log)):
        of_file = []
        for each in read_file(path):
            kinds = [type(decision) for decision in each.plan.decisions]
            started, waiting = kinds.count(Start), kinds.count(Wait)
            of_file.append(
                {
                    "decision": each.id,
                    "at": time_shown(each.at_ms),
                    "start": started,
                    "wait": waiting,
                    "reject": len(kinds) - started - waiting,
                    "policies": [asked.policy for asked in each.asked],
                }
            )
        found += reversed(of_file)
        if len(found) >= limit:
            break
    if output == "json":
        print_json(found[:limit])
    else:
        rows = [
            [", ".join(told) if isinstance(told, list) else str(told) for told in each.values()]
            for each in found[:limit]
        ]
        print_table(("decision", "at", "start", "wait", "reject", "policies"), rows)
    return OK


async def replay_decision(
    decision: str, /, *, log: Directory = Path("decisions"), policy: Path | None = None
) -> int:
    """Decide again from what is recorded, and say whether the same comes out, bit for bit.

    Exit code 1 when it does not. With --policy, decide under other policies, and show what they
    would have done otherwise.

    Args:
        decision: Its id, as `decisions` lists it and as each placement's reason names it.
        log: Directory of the decision log.
        policy: TOML file of other policies: those of the same names apply, else its default.
    """
    recorded = find(log, decision)
    if policy is not None:
        print_lines(_differences(replay(recorded, read_book(policy))))
        return OK
    again = replay(recorded)
    names = ", ".join(again.policies)
    if again.exact:
        started = again.difference.started
        print_lines([f"{decision}: the same plan, bit for bit ({started} starts, by {names})"])
        return OK
    print_lines([f"{decision}: another plan than recorded, by {names}", *_differences(again)])
    return FAILED


def _differences(again: Replayed) -> list[str]:
    found = again.difference
    moved = [
        f"    {each.request_id}: {_short(each.before)} -> {_short(each.after)}"
        for each in found.moved[:SHOWN_MOVES]
    ]
    more = len(found.moved) - len(moved)
    return [
        f"by {', '.join(again.policies)}:",
        f"  of {found.requests} requests {found.started} started, {found.started_after} would",
        f"  empty instances opened: {found.opened}, would be {found.opened_after}",
        f"  placed otherwise: {len(found.moved)}",
        *moved,
        *([f"    and {more} more"] if more else []),
    ]


def _short(instance: str | None) -> str:
    return "waits" if instance is None else instance.rpartition("/")[2]
