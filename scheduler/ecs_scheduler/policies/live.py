"""The policies in force: read at the start, read again on SIGHUP, and kept when the new ones are
wrong.
"""

from collections.abc import Callable
from pathlib import Path

import structlog

from ecs_queue.stored import AnyJob
from ecs_scheduler.config import Config
from ecs_scheduler.errors import InvalidPolicyFile
from ecs_scheduler.passes.status import PolicyStatus
from ecs_scheduler.policies.book import Chosen, PolicyBook, of_settings
from ecs_scheduler.policies.reading import read_book
from ecs_scheduler.policies.trial import Trial
from ecs_scheduler.policies.trying import Trying

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class LivePolicies:
    """The book that decides; it changes as a whole or not at all."""

    def __init__(self, book: PolicyBook, queue: str, path: Path | None = None) -> None:
        self.book = book
        self.error = ""
        self.trying = Trying()
        self.reloads = {"ok": 0, "error": 0}
        self._queue = queue
        self._path = path
        self._followed: PolicyBook | None = None
        self._known: dict[tuple[str | None, str], Chosen] = {}

    @classmethod
    def of(cls, config: Config) -> "LivePolicies":
        """As the settings say; raises InvalidPolicyFile."""
        if config.policy_file is None:
            return cls(of_settings(config.policy.to_policy()), config.queue)
        path = Path(config.policy_file)
        return cls(read_book(path), config.queue, path)

    def reload(self) -> None:
        """Read the file again; whatever is wrong with it, the policies in force stay."""
        if self._path is None:
            log.warning("no policy file to read again; the setting policy_file names one")
            return
        try:
            book = read_book(self._path)
        except InvalidPolicyFile as error:
            self.error = str(error)
            self.reloads["error"] += 1
            log.error("policy file not taken over", error=self.error, kept=self.book.version)
            return
        before, self.book, self.error = self.book, book, ""
        self.reloads["ok"] += 1
        self._known.clear()
        log.info("policies read", version=book.version, before=before.version)

    def status(self) -> PolicyStatus:
        """What is in force, for metrics and readiness."""
        labels = tuple(each.label for each in self.book.policies)
        trial = self.trying.status()
        return PolicyStatus(self.book.version, labels, self.error, trial, dict(self.reloads))

    def follow(self) -> Trial | None:
        """The trial of the policies in force; a new version of these begins it anew."""
        if self._followed is not self.book:  # a version is worked out once
            self.trying.follow(self.book.trial, self.book.version)
            self._followed = self.book
        return self.book.trial

    def choose(self, job: AnyJob) -> Chosen:
        """The policy of a job: the candidate where the roll-out of a trial takes it."""
        trial, chosen = self.follow(), self._usual(job)
        if trial is None or not self.trying.takes(job.id, chosen.policy.name):
            return chosen
        return Chosen(self.book.named(trial.candidate), chosen.why_not)

    def choosing(self) -> Callable[[AnyJob], Chosen]:
        """`choose` for many jobs at one moment, as fast as it goes."""
        return self._usual if self.follow() is None else self.choose

    def _usual(self, job: AnyJob) -> Chosen:
        key = (job.policy, job.share)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self.book.choose(job, self._queue)
            if known.why_not:
                log.warning("another policy than asked for", job=job.id, why=known.why_not)
        return known
