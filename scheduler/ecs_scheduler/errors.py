"""What can go wrong in the service, and what a person can do about it.

SchedulerError
├── ConfigurationError      a setting is missing or wrong: names it and where it came from
├── InvalidPolicyFile       a policy file is wrong: names file, line and field
├── DecisionLogUnreadable   a decision is not in the log, or the log is none
├── AwsUnreachable          no answer from AWS (network, endpoint, time-out)
├── AwsRefused              AWS answers, but not to us (credentials, permissions, region)
├── ClusterNotFound         the configured cluster does not exist
├── LeadLost                another scheduler took over in the middle of a step
├── NotReady                this scheduler does not lead, or has not looked at the cluster yet
├── UnknownInstance         no container instance of this id in the cluster
├── NoLogs                  a task's containers don't log where we can look
├── HttpSideUnavailable     the HTTP side cannot listen (port taken, address not ours)
├── JobUnusable             a job asks for something that nobody can give
│   ├── TaskDefinitionNotFound  its task definition does not exist
│   └── InvalidReservation      what it asks for cannot be computed
└── EcsCallError            one ECS call did not succeed
    ├── Throttled           rejected before any work was done; safe to repeat
    ├── CallNotSent         no connection: nothing was done; safe to repeat
    ├── CallRefused         4xx: certainly not done, and repeating it would be refused again
    └── CallUnknown         5xx, time-out, cut connection: may have been done
"""


class SchedulerError(Exception):
    """Base of everything this package raises on purpose."""


class ConfigurationError(SchedulerError):
    """A setting is missing or wrong."""


class InvalidPolicyFile(SchedulerError):
    """A policy file cannot be read or does not make sense."""


class DecisionLogUnreadable(SchedulerError):
    """A decision is not in the log, or a file of the log cannot be read."""


class AwsUnreachable(SchedulerError):
    """AWS does not answer."""


class AwsRefused(SchedulerError):
    """AWS answers, but refuses these credentials."""


class ClusterNotFound(SchedulerError):
    """The configured ECS cluster does not exist in this account and Region."""


class LeadLost(SchedulerError):
    """Another scheduler took over, or another Redis, in the middle of a step."""


class NotReady(SchedulerError):
    """What is asked needs a scheduler that leads and has seen the whole cluster."""


class UnknownInstance(SchedulerError):
    """No container instance of this id or ARN is registered in the cluster."""


class NoLogs(SchedulerError):
    """There is nothing to read for a task: says which container logs where instead."""


class HttpSideUnavailable(SchedulerError):
    """The HTTP side cannot listen on its address and port."""


class JobUnusable(SchedulerError):
    """A job asks for something that nobody can give."""


class TaskDefinitionNotFound(JobUnusable):
    """A job's task definition does not exist, or is not ACTIVE."""


class InvalidReservation(JobUnusable):
    """What a job asks for cannot be computed from its task definition and overrides."""


class EcsCallError(SchedulerError):
    """One ECS call did not succeed; `code` is AWS's error code or the kind of transport failure."""

    def __init__(self, operation: str, code: str, message: str) -> None:
        super().__init__(f"{operation}: {code}: {message}")
        self.operation = operation
        self.code = code
        self.message = message


class Throttled(EcsCallError):
    """ECS rejected the call before doing anything: the rate was exceeded."""


class CallNotSent(EcsCallError):
    """No connection to ECS could be made: nothing was done."""


class CallRefused(EcsCallError):
    """ECS refused the call (4xx): nothing was done."""


class CallUnknown(EcsCallError):
    """Nobody can say whether the call was done (5xx, time-out, cut connection)."""
