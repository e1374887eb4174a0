"""A real HAProxy with one backend of two servers and a runtime socket of level admin."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import STDOUT, Popen

from tests.testing.deadlines import within
from tests.testing.free_ports import free_port
from tests.testing.peers import needed_peer

_CONFIGURATION = """
global
    stats socket {socket} level admin mode 600
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend web
    bind 127.0.0.1:{port}
    default_backend shop
backend shop
    server first 127.0.0.1:1 weight 100
    server second 127.0.0.1:2 weight 50
backend alone
    server only 127.0.0.1:3 weight 10
"""


@dataclass(frozen=True, slots=True)
class Haproxy:
    """A proxy that runs."""

    socket: Path
    version: str


@contextmanager
def haproxy(folder: Path) -> Iterator[Haproxy]:
    """Run one until the block ends; the test is skipped with a reason where there is none."""
    peer = needed_peer("haproxy")
    socket = folder / "s"
    settings = folder / "haproxy.cfg"
    settings.write_text(_CONFIGURATION.format(socket=socket, port=free_port()))
    libraries = [str(path) for path in peer.path.parents[1].glob("lib/*-linux-gnu")]
    environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)}
    with (folder / "log").open("wb") as log:
        process = Popen([str(peer.path), "-db", "-f", str(settings)], stdout=log, stderr=STDOUT, env=environment)
    try:
        deadline = time.monotonic() + within(20.0)
        while not socket.exists():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, "HAProxy made no socket"
            time.sleep(0.05)
        yield Haproxy(socket, peer.version)
    finally:
        process.terminate()
        process.wait(within(20.0))
