"""`ecs-scheduler dead`: documents of the inbox that are no jobs; list, show, replay, drop."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from ecs_queue.errors import InvalidJob
from ecs_queue.letters import DeadLetter, NoSuchLetter, Replay, Replayed
from ecs_queue.submissions import Conflict, Duplicate
from ecs_scheduler.cli.connection import DEFAULT_QUEUE, QueueFlags
from ecs_scheduler.cli.failures import FAILED, OK, Failed, InvalidInput
from ecs_scheduler.cli.output import one_line, print_json, print_lines, report, time_shown
from ecs_scheduler.web.presentation import dead_letter_as_json

SHOWN_CHARACTERS = 200

dead = App(
    name="dead",
    help="Dead letters: documents of the inbox that are no jobs, and why. Lists them by itself.",
    default_parameter=Parameter(negative=()),
)

Limit = Annotated[int, Parameter(name=["--limit", "-n"], validator=Number(gte=1, lte=10_000))]


@dead.default
@dead.command(name="list")
async def list_letters(*, limit: Limit = 20, queue: QueueFlags = DEFAULT_QUEUE) -> int:
    """List dead letters, newest first: documents of the inbox that are not jobs, and why.

    Args:
        limit: Most documents to list.
        queue: The queue.
    """
    async with queue.connected() as client:
        letters = await client.dead_letters(limit=limit)
        kept = await client.dead_letters_kept()
    if queue.output == "json":
        print_json([dead_letter_as_json(letter) for letter in letters])
        return OK
    for letter in letters:
        print_lines(_described(letter, _cut(letter.document)))
    report(f"in all: {kept:,}" if letters else "no dead letters")
    return OK


@dead.command
async def show(letter: str, /, *, queue: QueueFlags = DEFAULT_QUEUE) -> int:
    """Show one dead letter, with the whole document as it came.

    Args:
        letter: Id of the letter, as `dead list` shows it.
        queue: The queue.
    """
    async with queue.connected() as client:
        found = await client.dead_letter(letter)
    if found is None:
        raise Failed(_unknown(letter))
    if queue.output == "json":
        print_json(dead_letter_as_json(found))
    else:
        print_lines(_described(found, found.document))
    return OK


@dead.command
async def replay(
    *letters: str,
    edit: Path | None = None,
    document: str | None = None,
    queue: QueueFlags = DEFAULT_QUEUE,
) -> int:
    """Send dead letters to the inbox again, one of them corrected if you like.

    A letter that is still no job stays where it is. Replaying twice has the effect of once.

    Args:
        letters: Ids of the letters, as `dead list` shows them.
        edit: File with the corrected document of a single letter.
        document: The corrected document itself, as JSON.
        queue: The queue.
    """
    if not letters:
        raise InvalidInput("dead replay: name at least one letter")
    corrected = _correction(edit, document)
    if corrected is not None and len(letters) > 1:
        raise InvalidInput("dead replay: a corrected document is for one letter")
    outcomes: list[tuple[str, str, bool]] = []
    async with queue.connected() as client:
        for each in letters:
            try:
                outcomes.append((each, *_shown(await client.replay(each, corrected))))
            except InvalidJob as error:
                outcomes.append((each, f"still no job: {error}", False))
    return _report(outcomes, queue)


@dead.command
async def drop(*letters: str, queue: QueueFlags = DEFAULT_QUEUE) -> int:
    """Delete dead letters for good.

    Args:
        letters: Ids of the letters, as `dead list` shows them.
        queue: The queue.
    """
    if not letters:
        raise InvalidInput("dead drop: name at least one letter")
    async with queue.connected() as client:
        gone = await client.drop_dead_letters(letters)
    outcomes = [
        (letter, "dropped" if was_there else _unknown(letter), was_there)
        for letter, was_there in zip(letters, gone, strict=True)
    ]
    return _report(outcomes, queue)


def _correction(edit: Path | None, document: str | None) -> bytes | str | None:
    if edit is None:
        return document
    if document is not None:
        raise InvalidInput("--edit: give either a file or --document, not both")
    try:
        return edit.read_bytes()
    except OSError as error:
        raise InvalidInput(f"--edit: cannot read {edit}: {error.strerror}") from error


def _shown(answer: Replay) -> tuple[str, bool]:
    match answer:
        case Replayed(job_id):
            return f"replayed as job {job_id}", True
        case Duplicate(job_id):
            return f"the queue has this very job, as {job_id}; the letter is gone", True
        case Conflict(job_id):
            return f"another job was submitted as {job_id!r}; give the document another id", False
        case NoSuchLetter(entry_id):
            return _unknown(entry_id), False


def _report(outcomes: list[tuple[str, str, bool]], queue: QueueFlags) -> int:
    if queue.output == "json":
        print_json([{"letter": letter, "outcome": text} for letter, text, _ in outcomes])
    else:
        print_lines(f"{letter}: {one_line(text)}" for letter, text, _ in outcomes)
    return OK if all(fine for _, _, fine in outcomes) else FAILED


def _described(letter: DeadLetter, document: str) -> tuple[str, ...]:
    return (
        f"{time_shown(letter.at_ms)}  {letter.entry_id}",
        f"    reason:   {one_line(letter.reason)}",
        f"    document: {one_line(document)}",
    )


def _cut(document: str) -> str:
    return document if len(document) <= SHOWN_CHARACTERS else document[: SHOWN_CHARACTERS - 1] + "…"


def _unknown(letter: str) -> str:
    return f"no dead letter {letter!r} in this queue"
