"""What can go wrong in and around the simulated ECS.

SimulatorError
├── EcsError          what AWS would answer: exception name, message, HTTP status
├── ConnectionCut     the request arrived, its reply never does: whether work was done is unknown
├── FaultError        a faults file makes no sense: names the line of a file and the field
├── FleetError        a fleet file or an instance group makes no sense: names line and field
├── InvariantBroken   the simulator contradicts itself; carries the history that led there
└── VirtualDeadlock   virtual time cannot go on: everything waits and nothing is scheduled
"""

from collections.abc import Mapping
from typing import Any


class SimulatorError(Exception):
    """Base of everything this package raises on purpose."""


class EcsError(SimulatorError):
    """An answer that is an error: `code` is AWS's exception name, `status` the HTTP status.

    `fields` are members of the answer beside the message, such as ConflictException's resourceIds.
    """

    def __init__(
        self, code: str, message: str, status: int = 400, fields: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields = dict(fields or {})


def invalid_parameter(message: str) -> EcsError:
    """AWS's InvalidParameterException."""
    return EcsError("InvalidParameterException", message)


def client_error(message: str) -> EcsError:
    """AWS's ClientException."""
    return EcsError("ClientException", message)


def server_error() -> EcsError:
    """AWS's ServerException, HTTP 500."""
    return EcsError("ServerException", "Service Unavailable. Please try again later.", 500)


def serialization_error(message: str) -> EcsError:
    """What AWS answers to a body that does not parse, or whose members have the wrong type."""
    return EcsError("SerializationException", message)


class ConnectionCut(SimulatorError):
    """A simulated connection was cut: the request may have been worked off, its reply is lost."""


class FaultError(SimulatorError):
    """A faults file or document makes no sense."""


class FleetError(SimulatorError):
    """A fleet file or an instance group makes no sense."""


class InvariantBroken(SimulatorError):
    """The simulator contradicts itself; `history` holds the latest events, oldest first."""

    def __init__(self, message: str, history: tuple[str, ...] = ()) -> None:
        tail = "".join(f"\n  {line}" for line in history[-40:])
        super().__init__(f"{message}\nWhat led there (latest last):{tail or ' nothing recorded'}")
        self.history = history


class VirtualDeadlock(SimulatorError):
    """Virtual time cannot go on: everything waits and nothing is scheduled."""
