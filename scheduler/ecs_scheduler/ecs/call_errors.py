"""Our errors for the SDK's: what matters is whether the work of a call may have been done."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import ClientConnectorError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProxyConnectionError,
)

from ecs_scheduler.errors import (
    AwsRefused,
    CallNotSent,
    CallRefused,
    CallUnknown,
    ClusterNotFound,
    Throttled,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecs_scheduler.errors import SchedulerError

T = TypeVar("T")

THROTTLE_CODES = frozenset(
    {"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"}
)
CREDENTIAL_CODES = frozenset(
    {
        "AccessDeniedException",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "ExpiredTokenException",
        "MissingAuthenticationTokenException",
        "IncompleteSignature",
    }
)


def mapped_error(operation: str, error: ClientError | BotoCoreError) -> SchedulerError:
    """Ours for theirs; what matters is whether the work may have been done."""
    if isinstance(error, ClientError):
        return _mapped_answer(operation, error)
    kind = type(error).__name__
    if isinstance(error, (NoCredentialsError, PartialCredentialsError, NoRegionError)):
        return AwsRefused(f"{operation}: {error}; set AWS_PROFILE or credentials, and --region")
    if _never_sent(error):
        return CallNotSent(operation, kind, str(error))
    if isinstance(error, ParamValidationError):
        return CallRefused(operation, kind, str(error))
    return CallUnknown(operation, kind, str(error))


def understood(operation: str, read: Callable[[Any], T], answer: Any) -> T:
    """What `read` makes of an answer. One that lacks what it must have, as a proxy's may, raises
    CallUnknown: nobody knows what was done.
    """
    try:
        return read(answer)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        text = f"the answer is none of ECS's: {error!r}"
        raise CallUnknown(operation, "UnreadableAnswer", text) from error


def _never_sent(error: BotoCoreError) -> bool:
    """Whether there was no connection to send the request on. aiobotocore says that it "could not
    connect" of a connection, too, that was reset after the request was sent: the cause tells.
    """
    if isinstance(error, EndpointConnectionError):
        return isinstance(error.kwargs.get("error"), (ClientConnectorError, socket.gaierror))
    return isinstance(error, (ConnectTimeoutError, ProxyConnectionError))


def _mapped_answer(operation: str, error: ClientError) -> SchedulerError:
    code = error.response.get("Error", {}).get("Code", "Unknown")
    message = error.response.get("Error", {}).get("Message", str(error))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    if code in THROTTLE_CODES:
        return Throttled(operation, code, message)
    if code in CREDENTIAL_CODES:
        return AwsRefused(
            f"{operation}: AWS refused these credentials ({code}: {message}); "
            "check AWS_PROFILE, the role's policy and the machine's clock"
        )
    if code == "ClusterNotFoundException":
        return ClusterNotFound(f"{operation}: {message}; set --cluster (ECS_SCHEDULER_CLUSTER)")
    if 400 <= status < 500:
        return CallRefused(operation, code, message)
    return CallUnknown(operation, code, message)
