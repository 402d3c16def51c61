"""The one place where what went wrong becomes a message and an exit code.

Whatever is not listed here is a bug, and shows its traceback.
"""

from typing import TYPE_CHECKING, cast

from cyclopts import CycloptsError, UnknownCommandError, UnusedCliTokensError

from ecs_queue import errors as queue_errors
from ecs_scheduler import errors as scheduler_errors

if TYPE_CHECKING:
    from pydantic import ValidationError

OK, FAILED, USAGE, UNREACHABLE, JOB_FAILED = range(5)
STOPPED = 130
"""As a shell answers for a program that Ctrl-C ended."""


class InvalidInput(scheduler_errors.SchedulerError):
    """A flag or an input file does not make sense."""


class ServiceUnreachable(scheduler_errors.SchedulerError):
    """No running scheduler answers."""


class Failed(scheduler_errors.SchedulerError):
    """The command did what it could, and that was not what was asked for."""


class Stopped(scheduler_errors.SchedulerError):
    """Somebody pressed Ctrl-C before there was anything to show."""


# The first entry that an error is an instance of decides.
EXIT_CODES: tuple[tuple[type[Exception], int], ...] = (
    (InvalidInput, USAGE),
    (Stopped, STOPPED),
    (UnicodeEncodeError, USAGE),
    (queue_errors.InvalidJob, USAGE),
    (queue_errors.InvalidGraph, USAGE),
    (queue_errors.InvalidSchedule, USAGE),
    (queue_errors.InvalidRedisUrl, USAGE),
    (queue_errors.QueueOfAnotherCluster, USAGE),
    (scheduler_errors.ConfigurationError, USAGE),
    (scheduler_errors.InvalidPolicyFile, USAGE),
    (scheduler_errors.DecisionLogUnreadable, USAGE),
    (queue_errors.QueueUnreachable, UNREACHABLE),
    (scheduler_errors.AwsUnreachable, UNREACHABLE),
    (scheduler_errors.AwsRefused, UNREACHABLE),
    (scheduler_errors.ClusterNotFound, UNREACHABLE),
    (scheduler_errors.EcsCallError, UNREACHABLE),
    (ServiceUnreachable, UNREACHABLE),
    (queue_errors.QueueError, FAILED),
    (scheduler_errors.SchedulerError, FAILED),
)


def exit_code_of(error: Exception) -> int | None:
    """The exit code for an error of ours, None for any other."""
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), None)


def explain(error: Exception) -> str:
    """What to tell the user."""
    if isinstance(error, UnicodeEncodeError):
        return f"{ascii(error.object)[:100]} cannot be written as {error.encoding}"
    if not isinstance(error, CycloptsError):
        return str(error)
    return f"{_usage_problem(error)}\nTry: {_command_of(error)} --help"


def _usage_problem(error: CycloptsError) -> str:
    if isinstance(error, UnknownCommandError) and not error.command_chain:
        # Its own text would import every command to suggest one.
        return f"there is no command {(error.unused_tokens or [''])[0]!r}"
    if isinstance(error, UnusedCliTokensError):
        return f"nothing is expected where it says {' '.join(error.unused_tokens or ())!r}"
    if type(error.__cause__).__module__.startswith("pydantic"):
        # Here, because a quarter of a second of imports is for this failure only.
        from ecs_scheduler.config_sources import explain_flags

        return explain_flags(cast("ValidationError", error.__cause__))
    return str(error)


def _command_of(error: CycloptsError) -> str:
    return " ".join(("ecs-scheduler", *(error.command_chain or ())))
