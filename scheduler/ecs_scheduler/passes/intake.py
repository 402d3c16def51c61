"""The queue's side of a pass: admit documents, fill the window with claims, say why jobs wait,
give up on the impossible.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

import structlog

from ecs_queue.states import Claim, Failure, Note, Release
from ecs_scheduler.ecs.task_definitions import TaskDefinition
from ecs_scheduler.errors import JobUnusable, SchedulerError
from ecs_scheduler.launching.launch_signature import launch_signature
from ecs_scheduler.passes.window import NOTE_EVERY_S, Held, Window
from ecs_scheduler.sharing.fairness import FairParts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from ecs_queue.job import JobId
    from ecs_scheduler.passes.around import Around

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

ADMITTED_AT_ONCE = 500
CLAIMED_AT_ONCE = 500
CLAIMED_IN_A_PASS = 5_000
NOTED_IN_A_PASS = 500
CHECK_CLAIMS_EVERY_S = 2.0

EXPIRED_AT_ONCE = 500
EXPIRE_EVERY_S = 1.0
"""How late a deadline or the end of a bounded wait may be noticed; no launch begins in between."""

AGE_EVERY_S = 60.0
AGE_POINTS = 100
AGED_AT_ONCE = 500

FIRST_NOTE_AFTER_S = 2.0
"""Most jobs start sooner than this and never need a reason."""

SHARES_EVERY_S = 2.0
ROTATE_EVERY_S = 5.0
ROTATED_SHARE = 10
ROTATED_FOR_MS = 15_000
UNRESOLVED_DELAY_MS = 5_000
"""Wait of a job whose task definition could not be looked up just now."""


class Intake:
    """Keeps the window filled with the best jobs of the queue."""

    def __init__(
        self, around: Around, window: Window, launching: Callable[[], Collection[JobId]]
    ) -> None:
        self._around = around
        self._window = window
        self._launching = launching
        self._claims_checked_at = float("-inf")
        self._rotated_at = float("-inf")
        self._expired_at = float("-inf")
        self._shares_seen_at = float("-inf")
        self._aged_at = float("-inf")
        config = around.config
        rules = config.fair_share.rules(config.shares, config.families)
        self._fair_parts = FairParts(rules, config.window)

    async def gather(self) -> None:
        """Inbox → RUNNABLE → window."""
        around = self._around
        admission = await around.queue.admit(around.owner, count=ADMITTED_AT_ONCE)
        if admission.dead:
            around.metrics.dead_letters(admission.dead)
            log.warning("documents went to the dead letters", documents=admission.dead)
        await self._expire()
        await self._age()
        await self._check_claims()
        await self._look_up_again()
        await self._make_room_for_shares()
        await self._rotate()
        for _ in range(CLAIMED_IN_A_PASS // CLAIMED_AT_ONCE):
            count = min(self._window.room, CLAIMED_AT_ONCE)
            enough = self._fair_parts.enough(self._window.held_by_share())
            claims = await around.queue.claim(around.owner, count, enough=enough) if count else ()
            await self._take_in(claims)
            if len(claims) < CLAIMED_AT_ONCE:
                return

    async def give_up_on_unplaceable(self) -> None:
        """FAILED for jobs that no registered instance could ever have held for as long as is
        configured.
        """
        now = self._around.clock.monotonic_s()
        limit_s = self._around.config.unplaceable_after_s
        hopeless = [
            held
            for held in self._window.waiting_jobs()
            if held.rejected_since is not None and now - held.rejected_since >= limit_s
        ]
        if hopeless:
            self._window.remove(held.job_id for held in hopeless)
            await self._fail((held.claim, f"unplaceable: {held.reason}") for held in hopeless)

    async def write_notes(self) -> None:
        """Tell the queue why jobs wait, a bounded number a pass."""
        now = self._around.clock.monotonic_s()
        due = self._window.unnoted(now, NOTED_IN_A_PASS)
        if not due:
            return
        notes = [Note(held.job_id, held.claim.epoch, held.reason) for held in due]
        await self._around.queue.note(self._around.owner, notes)
        for held in due:
            held.noted_reason, held.noted_at = held.reason, now

    async def _expire(self) -> None:
        """Deadlines and bounded waits, whoever holds the jobs."""
        now = self._around.clock.monotonic_s()
        if now - self._expired_at < EXPIRE_EVERY_S:
            return
        if await self._around.queue.expire(most=EXPIRED_AT_ONCE) < EXPIRED_AT_ONCE:
            self._expired_at = now

    async def _age(self) -> None:
        """Priority for waiting, to those in the queue and to those here."""
        config, clock = self._around.config, self._around.clock
        if not config.age_after_s or clock.monotonic_s() - self._aged_at < AGE_EVERY_S:
            return
        self._aged_at = clock.monotonic_s()
        step_ms, now_ms = round(config.age_after_s * 1000), clock.now_ms()
        due = self._window.waiting_since(now_ms - step_ms)[:AGED_AT_ONCE]
        await self._around.queue.steering.age(
            [held.job_id for held in due], step_ms=step_ms, points=AGE_POINTS
        )

    async def _check_claims(self) -> None:
        """Jobs that were cancelled while they waited here are no longer among our claims; and what
        a failed call of Redis made us lose track of goes back to the queue.
        """
        around, now = self._around, self._around.clock.monotonic_s()
        if now - self._claims_checked_at < CHECK_CLAIMS_EVERY_S:
            return
        self._claims_checked_at = now
        launching = frozenset(self._launching())
        held = await around.queue.held(around.owner)
        self._window.keep_only(held)
        lost = held - self._window.ids - launching
        await around.queue.put_back(around.owner, sorted(lost))

    async def _look_up_again(self) -> None:
        """Jobs whose task definition was deregistered while they waited here go back, to be claimed
        with another revision of the family.
        """
        gone = frozenset(self._around.definitions.gone)
        if not gone:
            return
        spare = self._window.of_definitions(gone)
        self._window.remove(held.job_id for held in spare)
        releases = [Release(held.job_id, held.claim.epoch, held.reason) for held in spare]
        await self._around.queue.release(self._around.owner, releases)
        self._around.definitions.gone -= gone  # a launch may have found another one meanwhile

    async def _make_room_for_shares(self) -> None:
        """No share fills the window so that others are not even seen."""
        around, now = self._around, self._around.clock.monotonic_s()
        if now - self._shares_seen_at < SHARES_EVERY_S:
            return
        self._shares_seen_at = now
        self._fair_parts.know(await around.queue.shares())
        spare = self._window.beyond(self._fair_parts.parts())
        self._window.remove(held.job_id for held in spare)
        releases = [Release(held.job_id, held.claim.epoch, held.reason) for held in spare]
        await around.queue.release(around.owner, releases)

    async def _rotate(self) -> None:
        """A full window gives part of its longest lanes back, so that no shape keeps the others
        out.
        """
        now = self._around.clock.monotonic_s()
        if self._window.room or now - self._rotated_at < ROTATE_EVERY_S:
            return
        self._rotated_at = now
        spare = self._window.surplus(max(1, len(self._window) // ROTATED_SHARE))
        self._window.remove(held.job_id for held in spare)
        releases = [
            Release(held.job_id, held.claim.epoch, held.reason, ROTATED_FOR_MS) for held in spare
        ]
        await self._around.queue.release(self._around.owner, releases)

    async def _take_in(self, claims: Sequence[Claim]) -> None:
        by_definition: defaultdict[str, list[Claim]] = defaultdict(list)
        for claim in claims:
            by_definition[claim.job.task_definition].append(claim)
        results = await asyncio.gather(
            *(self._around.definitions.resolve(name) for name in by_definition),
            return_exceptions=True,
        )
        for members, definition in zip(by_definition.values(), results, strict=True):
            if isinstance(definition, TaskDefinition):
                await self._add(members, definition)
            elif isinstance(definition, JobUnusable):
                await self._fail((claim, str(definition)) for claim in members)
            elif isinstance(definition, SchedulerError):
                await self._release(members, str(definition))
            else:
                raise definition

    async def _add(self, claims: Iterable[Claim], definition: TaskDefinition) -> None:
        unusable: list[tuple[Claim, str]] = []
        now = self._around.clock.monotonic_s()
        for claim in claims:
            try:
                shape = self._around.definitions.shape(definition, claim.job)
                signature = launch_signature(claim.job, definition.arn, definition.containers)
            except JobUnusable as error:
                unusable.append((claim, str(error)))
                continue
            except Exception as error:  # a bug of ours that one document brings out
                log.exception("job cannot be understood", job=claim.job.id)
                unusable.append((claim, f"internal error, please report it: {error!r}"))
                continue
            held = Held(claim, definition, shape, signature)
            held.noted_at = now - NOTE_EVERY_S + FIRST_NOTE_AFTER_S
            self._window.add(held)
        if unusable:
            await self._fail(unusable)

    async def _fail(self, failures: Iterable[tuple[Claim, str]]) -> None:
        failed = [Failure(claim.job.id, claim.epoch, reason) for claim, reason in failures]
        for each in failed:
            log.warning("job failed before any launch", job=each.job_id, reason=each.reason)
        await self._around.queue.fail(self._around.owner, failed)

    async def _release(self, claims: Iterable[Claim], reason: str) -> None:
        releases = [
            Release(claim.job.id, claim.epoch, reason, UNRESOLVED_DELAY_MS) for claim in claims
        ]
        await self._around.queue.release(self._around.owner, releases)
