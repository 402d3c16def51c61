"""Stories of connecting: bad URLs, nobody there, and a server that refuses."""

from pathlib import Path

import fakeredis
import pytest

from ecs_queue.client import Queue
from ecs_queue.connection import connect, redacted
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.errors import InvalidRedisUrl, QueueUnreachable
from ecs_queue.job import Job, JobId


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "it must look like redis://"),
        ("localhost:6379", "it must look like redis://"),
        ("http://localhost", "it must look like redis://"),
        ("redis://localhost:port", "Port could not be cast"),
        ("redis://localhost:99999", "Port out of range"),
        ("redis://[::1", "Invalid IPv6 URL"),
        ("redis://localhost/first", 'the database must be a number, not "first"'),
        ("unix://", "the path of the socket is missing"),
        ("redis://localhost?colour=red", "colour"),
        ("redis://localhost?socket_timeout=soon", "socket_timeout"),
    ],
)
def test_bad_urls(url: str, said: str) -> None:
    """A bad URL is refused before anything is sent, with the setting to look at."""
    with pytest.raises(InvalidRedisUrl) as caught:
        connect(url)
    assert said in str(caught.value)
    assert "check REDIS_URL / --redis-url" in str(caught.value)


def test_passwords_stay_secret() -> None:
    """No message shows a password."""
    assert redacted("redis://me:secret@host:1/0") == "redis://me:***@host:1/0"
    with pytest.raises(InvalidRedisUrl) as caught:
        connect("redis://me:secret@host/first")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://me:secret@127.0.0.1:1/0", "redis://me:***@127.0.0.1:1/0"),
        ("unix:///nowhere/redis.sock", "unix:///nowhere/redis.sock"),
    ],
)
async def test_nobody_there(url: str, place: str) -> None:
    """Where nobody listens, the message names the place and the setting, not the password."""
    queue = Queue(connect(url))
    with pytest.raises(QueueUnreachable) as caught:
        await queue.ping()
    assert f"Redis at {place} does not answer" in str(caught.value)
    assert "check REDIS_URL / --redis-url" in str(caught.value)
    assert "secret" not in str(caught.value)
    with pytest.raises(QueueUnreachable):
        await queue.submit([Job(id=JobId("a"), task_definition="t")])
    await queue.aclose()


async def test_wrong_password() -> None:
    """A server that wants a password says so."""
    with EmbeddedValkey(options=["--requirepass", "right"]) as server:
        queue = Queue(connect(server.url))
        with pytest.raises(QueueUnreachable, match=r"refused the credentials .*required.*check"):
            await queue.ping()
        await queue.aclose()
        queue = Queue(connect(f"{server.url}?password=wrong"))
        with pytest.raises(QueueUnreachable, match=r"refused the credentials.*check REDIS_URL"):
            await queue.ping()
        await queue.aclose()
        queue = Queue(connect(f"{server.url}?password=right"))
        await queue.ping()
        await queue.aclose()


async def test_a_database_that_is_not_there(valkey: EmbeddedValkey) -> None:
    """The message names the part of the URL; the server is there, but of no use."""
    queue = Queue(connect(f"{valkey.url}?db=99"))
    with pytest.raises(QueueUnreachable, match=r"database 99, has no database of that number"):
        await queue.ping()
    await queue.aclose()


async def test_a_full_server() -> None:
    """A server out of memory refuses; that is no programming error."""
    with EmbeddedValkey(options=["--maxmemory", "1"]) as server:
        queue = Queue(connect(server.url))
        with pytest.raises(QueueUnreachable, match=r"refuses .*maxmemory"):
            await queue.submit([Job(id=JobId("a"), task_definition="t")])
        await queue.aclose()


async def test_a_client_that_decodes() -> None:
    """Dead letters must come back byte for byte, so a decoding client is refused."""
    client = fakeredis.FakeAsyncRedis(decode_responses=True)
    with pytest.raises(ValueError, match="decode_responses=False"):
        Queue(client)
    await client.aclose()


async def test_a_server_that_forgot_the_scripts(valkey: EmbeddedValkey) -> None:
    """After a restart of the server the scripts are loaded again, unnoticed."""
    client = connect(valkey.url)
    queue = Queue(client)
    await queue.counts()
    await client.script_flush()
    await queue.counts()
    await queue.aclose()


def test_the_url_of_a_socket(valkey: EmbeddedValkey) -> None:
    """The embedded server's URL is one that connect takes."""
    assert valkey.url == f"unix://{valkey.socket_path}"
    assert Path(valkey.socket_path).is_socket()
