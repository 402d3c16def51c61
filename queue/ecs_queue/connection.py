"""How this package talks to Redis: one way to connect, one way to say that Redis is away.

Every script is idempotent, so a call whose reply was lost is repeated: 3 times at most, with up
to 1 s between tries. Time-outs are always set: redis-py's own defaults can turn one slow answer
into a minute of silent retries.
"""

from typing import Any, TypeVar
from urllib.parse import urlsplit

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import AuthenticationError, ResponseError
from redis.exceptions import ConnectionError as NoConnection
from redis.retry import Retry

from ecs_queue import sentinels
from ecs_queue.errors import InvalidRedisUrl, QueueError, QueueUnreachable
from ecs_queue.lean import LeanClient, LeanConnection
from ecs_queue.script import Command

_RETRIES = 3
_ANSWER_S = 5.0
_CONNECT_S = 3.0
_MAX_CONNECTIONS = 16
_SETTING = "check REDIS_URL / --redis-url"
_FORMS = f"redis://host:6379/0, rediss://host:6379/0, unix:///path/to/socket or {sentinels.FORM}"
_CREDENTIALS = ("NOAUTH", "WRONGPASS", "Authentication required", "invalid username-password")
_REFUSALS = (
    "ACL failure in script",
    "BUSY",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOPERM",
    "NOREPLICAS",
    "OOM",
    "READONLY",
    "TRYAGAIN",
)


_OPTIONS: dict[str, Any] = {
    "socket_timeout": _ANSWER_S,
    "socket_connect_timeout": _CONNECT_S,
    "protocol": 2,
}

_UNREADABLE = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What parsing an answer raises where somebody else wrote to the queue's keys."""

T = TypeVar("T")
Pool = TypeVar("Pool", redis.BlockingConnectionPool, redis.asyncio.BlockingConnectionPool)


def connect(url: str) -> redis.asyncio.Redis:
    """A client for `client.Queue`; nothing is sent before its first command.

    Raises:
        InvalidRedisUrl: the URL is not redis://, rediss://, unix:// or sentinel://, or names an
            unknown option.
    """
    retry = AsyncRetry(ExponentialWithJitterBackoff(cap=1, base=0.05), _RETRIES)
    if url.startswith(f"{sentinels.SCHEME}://"):
        return _sentinels(url).client(retry=retry, **_OPTIONS)
    pool = _pool(redis.asyncio.BlockingConnectionPool, url, retry)
    plain = pool.connection_class
    pool.connection_class = type(f"Lean{plain.__name__}", (LeanConnection, plain), {})
    return LeanClient.from_pool(pool)


def connect_sync(url: str) -> redis.Redis:
    """A client for `sync.SyncQueue`; otherwise as `connect`."""
    retry = Retry(ExponentialWithJitterBackoff(cap=1, base=0.05), _RETRIES)
    if url.startswith(f"{sentinels.SCHEME}://"):
        return _sentinels(url).sync_client(retry=retry, **_OPTIONS)
    return redis.Redis.from_pool(_pool(redis.BlockingConnectionPool, url, retry))


def redacted(url: str) -> str:
    """The URL without its password, for messages."""
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError:
        return "the given URL"
    return url if password is None else url.replace(f":{password}@", ":***@")


def require_bytes(client: Any) -> None:
    """Refuse a client that decodes replies: a dead letter must come back as it was written.

    Raises:
        ValueError: the client was made with decode_responses=True.
    """
    if client.get_encoder().decode_responses:
        raise ValueError("a queue needs a Redis client made with decode_responses=False")


def explained(client: Any, error: Exception) -> QueueError:
    """What to raise for an error of redis-py: it names the server and the setting to look at."""
    server = _server(client)
    if isinstance(error, AuthenticationError) or str(error).startswith(_CREDENTIALS):
        return QueueUnreachable(f"Redis at {server} refused the credentials ({error}); {_SETTING}")
    if "DB index is out of range" in str(error):
        return QueueUnreachable(
            f"Redis at {server} has no database of that number, which ends the URL; {_SETTING}"
        )
    if not isinstance(error, ResponseError):
        return QueueUnreachable(f"Redis at {server} does not answer ({error}); {_SETTING}")
    if str(error).startswith(_REFUSALS) or type(error) is not ResponseError:
        return QueueUnreachable(f"Redis at {server} refuses ({error}); {_SETTING}")
    return QueueError(f"Redis at {server} could not run a script of the queue: {error}")


def parsed(client: Any, command: Command[T], reply: Any) -> T:
    """What a command makes of its raw answer. Raises QueueError for one that cannot be read."""
    try:
        return command.parse(reply)
    except _UNREADABLE as error:
        raise QueueError(
            f"Redis at {_server(client)} has something in the queue that {command.script} cannot "
            f"read: {error!r}; if another program writes to keys that begin with {{q:, keep it out"
        ) from error


def _sentinels(url: str) -> sentinels.Sentinels:
    try:
        return sentinels.Sentinels.of(url)
    except ValueError as error:
        raise InvalidRedisUrl(f"{redacted(url)} is no Redis URL: {error}; {_SETTING}") from error


def _pool(kind: type[Pool], url: str, retry: object) -> Pool:
    parts = _checked(url)
    try:
        pool = kind.from_url(
            url,
            max_connections=_MAX_CONNECTIONS,
            timeout=_ANSWER_S,
            socket_timeout=_ANSWER_S,
            socket_connect_timeout=_CONNECT_S,
            retry=retry,
            protocol=2,
            **({} if parts.scheme == "unix" else {"socket_keepalive": True}),
        )
        pool.connection_class(**pool.connection_kwargs)
    except (TypeError, ValueError, NoConnection) as error:
        raise InvalidRedisUrl(f"{redacted(url)} is no Redis URL: {error}; {_SETTING}") from error
    return pool


def _checked(url: str) -> Any:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise InvalidRedisUrl(f"this is no Redis URL: {error}; {_SETTING}") from None
    path = parts.path.strip("/")
    if parts.scheme not in ("redis", "rediss", "unix"):
        problem = f"it must look like {_FORMS}"
    elif parts.scheme == "unix" and not path:
        problem = "the path of the socket is missing, as in unix:///run/redis.sock"
    elif parts.scheme != "unix" and path and not path.isdigit():
        problem = f'the database must be a number, not "{path}"'
    else:
        return parts
    raise InvalidRedisUrl(f"{redacted(url)} is no Redis URL: {problem}; {_SETTING}")


def _server(client: Any) -> str:
    pool = getattr(client, "connection_pool", None)
    if pool is None:
        return "the cluster"
    if (service := getattr(pool, "service_name", None)) is not None:
        return f"the primary of {service}"
    kwargs = pool.connection_kwargs
    if kwargs.get("path"):
        database = f", database {kwargs['db']}," if kwargs.get("db") else ""
        return f"unix://{kwargs['path']}{database}"
    scheme = "rediss" if "SSL" in pool.connection_class.__name__ else "redis"
    user = f"{kwargs['username']}:***@" if kwargs.get("username") else ""
    where = f"{kwargs.get('host', 'localhost')}:{kwargs.get('port', 6379)}"
    return f"{scheme}://{user}{where}/{kwargs.get('db', 0)}"
