"""The service's Prometheus metrics: counters for what happens, gauges taken from a ServiceStatus.

A Metrics object owns its registry, so that several services can live in one process. Label values
come from closed or bounded sets, never from jobs.
"""

import collections
from collections.abc import Iterator, Mapping
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from ecs_queue.states import JobState
from ecs_scheduler.passes.status import ServiceStatus, TrialStatus

CONTENT_TYPE = CONTENT_TYPE_LATEST

PASS_BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

MOST_REASONS = 20
"""Waiting reasons shown by name; what is rarer is summed up as "other"."""

MOST_INSTANCES = 20
"""Avoided instances shown by name, the worst."""

OUTCOMES = {
    "ok": "ok",
    "Throttled": "throttled",
    "CallUnknown": "unknown",
    "AwsUnreachable": "unreachable",
}
"""Label of an ECS call's outcome by error class; every other error is a refusal."""

LaunchOutcome = Literal["started", "refused", "unknown"]


TickOutcome = Literal["fired", "skipped", "missed", "failed", "unreadable"]


class Metrics:
    """Everything the service counts; every method is cheap and never fails."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._passes = Histogram(
            "ecs_scheduler_pass_duration_seconds",
            "Time from claiming jobs to the plan's last launch call.",
            buckets=PASS_BUCKETS_S,
            registry=registry,
        )
        self._placements = Counter(
            "ecs_scheduler_placements",
            "Decisions of placement: start, wait or reject.",
            ["decision"],
            registry=registry,
        )
        self._launches = Counter(
            "ecs_scheduler_launches",
            "Tasks asked of ECS, by API and how the launch was settled.",
            ["api", "outcome"],
            registry=registry,
        )
        self._dead_letters = Counter(
            "ecs_scheduler_dead_letters",
            "Inbox documents that were not jobs.",
            registry=registry,
        )
        self._ticks = Counter(
            "ecs_scheduler_schedule_ticks",
            "Ticks of schedules: fired, skipped (the last job has not ended), missed, failed.",
            ["outcome"],
            registry=registry,
        )
        self._gauges = _Gauges(registry)

    def pass_done(self, duration_s: float, *, start: int, wait: int, reject: int) -> None:
        """One pass ended, with so many decisions of each kind."""
        self._passes.observe(duration_s)
        self._placements.labels("start").inc(start)
        self._placements.labels("wait").inc(wait)
        self._placements.labels("reject").inc(reject)

    def launched(self, api: str, outcome: LaunchOutcome, tasks: int = 1) -> None:
        """So many tasks of a StartTask or RunTask call were settled this way."""
        self._launches.labels(api, outcome).inc(tasks)

    def watch_ecs_calls(self, calls: Mapping[tuple[str, str], int]) -> None:
        """Show `calls` at each scrape: (operation, "ok" or the error's class) → number so far."""
        self.registry.register(_EcsCalls(calls))

    def watch_events(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Show `counts` at each scrape: (kind of event, what became of it) → number so far."""
        self.registry.register(_Events(counts))

    def dead_letters(self, documents: int) -> None:
        """So many inbox documents went to the dead letters."""
        self._dead_letters.inc(documents)

    def ticked(self, outcome: TickOutcome) -> None:
        """A tick of a recurring schedule came to this."""
        self._ticks.labels(outcome).inc()

    def observe(self, status: ServiceStatus) -> None:
        """Take over every gauge from `status`."""
        self._gauges.take_over(status)

    def render(self) -> bytes:
        """The registry in Prometheus's text format, of content type CONTENT_TYPE."""
        return generate_latest(self.registry)


class _EcsCalls(Collector):
    def __init__(self, calls: Mapping[tuple[str, str], int]) -> None:
        self._calls = calls

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "ecs_scheduler_ecs_requests", "Calls to ECS.", labels=["operation", "outcome"]
        )
        throttled = CounterMetricFamily(
            "ecs_scheduler_ecs_throttled",
            "Calls that ECS rejected because the account's rate was exceeded.",
            labels=["operation"],
        )
        sums = collections.Counter[tuple[str, str]]()
        for (operation, outcome), number in self._calls.items():
            sums[operation, OUTCOMES.get(outcome, "refused")] += number
        for (operation, outcome), number in sorted(sums.items()):
            requests.add_metric([operation, outcome], number)
            if outcome == "throttled":
                throttled.add_metric([operation], number)
        yield requests
        yield throttled


class _Events(Collector):
    def __init__(self, counts: Mapping[tuple[str, str], int]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        events = CounterMetricFamily(
            "ecs_scheduler_events",
            "EventBridge events received; old ones had come before, or newer ones had.",
            labels=["kind", "outcome"],
        )
        for (kind, outcome), number in sorted(self._counts.items()):
            events.add_metric([kind, outcome], number)
        yield events


class _Gauges:
    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"ecs_scheduler_{name}", text, labels, registry=registry)

        self.ready = gauge("ready", "1 once the cluster model is complete.")
        self.jobs = gauge("jobs", "Jobs of the queue by state.", "state")
        self.instances = gauge("instances", "Registered container instances in the model.")
        self.used = gauge(
            "cluster_used", "CPU units, MiB or devices in use or promised.", "dimension"
        )
        self.total = gauge("cluster_total", "CPU units, MiB or devices registered.", "dimension")
        self.utilisation = gauge("cluster_utilisation_ratio", "Used share, 0 to 1.", "dimension")
        self.tokens = gauge("budget_tokens", "Calls that could be made at once now.", "category")
        self.rate = gauge("budget_rate", "Calls per second allowed now.", "category")
        self.spent = gauge("budget_spent_calls", "Calls that were paid for so far.", "category")
        self.refused = gauge(
            "budget_refused_calls", "Paid calls that ECS throttled all the same.", "category"
        )
        self.sharing = gauge(
            "budget_schedulers",
            "Schedulers that draw on the account's budget; 0 while it is out of reach.",
            "category",
        )
        self.saved = gauge(
            "budget_saved_calls", "Launch calls that were not needed as jobs shared one."
        )
        self.waiting = gauge("waiting_jobs", "Held jobs without a place, by reason.", "reason")
        self.held = gauge("held_jobs", "RUNNABLE jobs claimed by this scheduler.")
        self.unsettled = gauge("unsettled_launches", "Launches whose outcome is not certain.")
        self.dead_letters = gauge("dead_letters_kept", "Dead letters not replayed or dropped yet.")
        self.leading = gauge("leading", "1 while this scheduler is the active one.")
        self.avoided = gauge(
            "avoided_instances", "Instances left alone since they kept refusing or failing tasks."
        )
        self.policy = gauge("policy_info", "1 for each policy in force.", "policy", "version")
        self.policy_error = gauge(
            "policy_file_error", "1 while the policy file is wrong and an older one is in force."
        )
        self.trial = gauge("policy_trial", "Share of jobs on the candidate.", "candidate", "of")
        self.trial_rolled_back = gauge(
            "policy_trial_rolled_back", "1 since the candidate policy was rolled back."
        )
        self.trial_sums = gauge(
            "policy_trial_compared", "Sums over the passes that both decided.", "what", "by"
        )
        self.policy_reloads = gauge(
            "policy_reloads", "How often the policy file was read again.", "outcome"
        )
        self.blame = gauge(
            "avoided_instance_blame",
            "What the worst of these instances are blamed for: failures, and tasks that hang.",
            "instance",
        )
        self.model_age = gauge("model_age_seconds", "Age of the last complete sweep.")

    def take_over(self, status: ServiceStatus) -> None:
        self.ready.set(status.ready)
        for state in JobState:
            self.jobs.labels(state.value).set(status.jobs.get(state, 0))
        self.instances.set(status.instances)
        for dimension, total in status.total.items():
            used = status.used.get(dimension, 0)
            self.used.labels(dimension).set(used)
            self.total.labels(dimension).set(total)
            self.utilisation.labels(dimension).set(used / total if total else 0.0)
        for budget in status.budgets:
            self.tokens.labels(budget.category).set(budget.tokens)
            self.rate.labels(budget.category).set(budget.rate_per_s)
            self.spent.labels(budget.category).set(budget.calls)
            self.refused.labels(budget.category).set(budget.throttled)
            self.sharing.labels(budget.category).set(budget.sharing)
        self.saved.set(max(0, status.launched - status.launch_calls))
        self.waiting.clear()  # a reason that holds nobody back any more must vanish
        for reason, jobs in _most_frequent(status.waiting).items():
            self.waiting.labels(reason).set(jobs)
        self.held.set(status.held)
        self.unsettled.set(status.unsettled)
        self.dead_letters.set(status.dead_letters)
        self.leading.set(status.leading)
        self.policy.clear()  # versions that are not in force any more must vanish
        for name, _, version in (label.partition("@") for label in status.policies.labels):
            self.policy.labels(name, version).set(1)
        self._take_over_trial(status.policies.trial)
        self.policy_error.set(bool(status.policies.error))
        for outcome, number in status.policies.reloads.items():
            self.policy_reloads.labels(outcome).set(number)
        self.avoided.set(len(status.avoided))
        self.blame.clear()  # an instance that is used again must vanish
        for instance in sorted(status.avoided, key=status.avoided.__getitem__)[-MOST_INSTANCES:]:
            self.blame.labels(instance).set(status.avoided[instance])
        self.model_age.set(float("nan") if status.model_age_s is None else status.model_age_s)

    def _take_over_trial(self, trial: TrialStatus | None) -> None:
        self.trial.clear()
        self.trial_sums.clear()
        self.trial_rolled_back.set(trial is not None and bool(trial.rolled_back))
        if trial is None:
            return
        self.trial.labels(trial.candidate, trial.of).set(trial.percent / 100)
        self.trial_sums.labels("moved", "candidate").set(trial.moved)
        for what, sums in (("started", trial.started), ("opened", trial.opened)):
            for by, total in zip(("live", "candidate"), sums, strict=True):
                self.trial_sums.labels(what, by).set(total)


def _most_frequent(waiting: Mapping[str, int]) -> dict[str, int]:
    ranked = sorted(waiting.items(), key=lambda item: (-item[1], item[0]))
    shown = dict(ranked[:MOST_REASONS])
    rest = sum(jobs for _, jobs in ranked[MOST_REASONS:])
    return {**shown, "other": rest} if rest else shown
