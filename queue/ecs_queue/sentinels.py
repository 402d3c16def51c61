"""Redis behind Sentinel: sentinel://host:26379,host:26379/SERVICE/0 names the sentinels, who know
which server is the primary now.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel

SCHEME = "sentinel"
FORM = "sentinel://host:26379,host:26379/SERVICE/0"
_PORT = 26_379


class _Primary(redis.asyncio.Redis):
    """Closes the connections to the sentinels too."""

    asked: Any = None

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await super().aclose(close_connection_pool)
        for sentinel in self.asked.sentinels:
            await sentinel.aclose()


class _SyncPrimary(redis.Redis):
    """The same, synchronous."""

    asked: Any = None

    def close(self) -> None:
        super().close()
        for sentinel in self.asked.sentinels:
            sentinel.close()


@dataclass(frozen=True, slots=True)
class Sentinels:
    """Where to ask, for which service; the credentials are those of its servers."""

    hosts: tuple[tuple[str, int], ...]
    service: str
    database: int = 0
    username: str | None = None
    password: str | None = None

    @classmethod
    def of(cls, url: str) -> "Sentinels":
        """Read a URL. Raises ValueError, saying what is wrong with it."""
        location, _, path = url.removeprefix(f"{SCHEME}://").partition("/")
        credentials, _, where = location.rpartition("@")
        username, _, password = credentials.partition(":")
        service, _, database = path.partition("/")
        if not service or not where:
            raise ValueError(f"it must look like {FORM}")
        if database and not database.isdecimal():
            raise ValueError(f'the database must be a number, not "{database}"')
        return cls(
            hosts=tuple(_host(each) for each in where.split(",")),
            service=unquote(service),
            database=int(database or 0),
            username=unquote(username) or None,
            password=unquote(password) or None,
        )

    def _settings(self, options: dict[str, Any]) -> dict[str, Any]:
        login = {"username": self.username, "password": self.password}
        return {**options, "db": self.database, **login}

    def client(self, **options: Any) -> redis.asyncio.Redis:
        """A client of the primary, whoever that is when it connects."""
        asked: Any = redis.asyncio.sentinel.Sentinel(  # type: ignore[no-untyped-call]
            list(self.hosts), **_of_sockets(options)
        )
        client: _Primary = asked.master_for(
            self.service, redis_class=_Primary, **self._settings(options)
        )
        client.asked = asked
        return client

    def sync_client(self, **options: Any) -> redis.Redis:
        """The same, synchronous."""
        asked: Any = redis.sentinel.Sentinel(  # type: ignore[no-untyped-call]
            list(self.hosts), **_of_sockets(options)
        )
        client: _SyncPrimary = asked.master_for(
            self.service, redis_class=_SyncPrimary, **self._settings(options)
        )
        client.asked = asked
        return client


def _host(given: str) -> tuple[str, int]:
    name, colon, port = given.rpartition(":")
    if not colon:
        return given, _PORT
    if not name or not port.isdecimal():
        raise ValueError(f'"{given}" is no host:port')
    return name, int(port)


def _of_sockets(options: dict[str, Any]) -> dict[str, Any]:
    """What holds for the connections to the sentinels too."""
    return {name: value for name, value in options.items() if name.startswith("socket_")}
