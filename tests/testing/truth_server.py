"""Targets behind a TCP port whose state is the truth: each order is carried out once it is taken, a little later, and counted.

An order may have the process that sent it killed: before it is carried out, after it, or after its answer was sent.
"""

import json
import os
import random
import signal
import socket
import socketserver
import threading
import time
from collections import defaultdict
from contextlib import suppress
from typing import Any, Self

OLD = "old"
LONGEST_S = 0.05
"""How long it takes at most to carry out an order."""


class TruthServer:
    """Serves in threads; `effects` are the states that each target was brought into, in order."""

    def __init__(self, seed: int, kill_share: float) -> None:
        self._random = random.Random(seed)
        self._kill_share = kill_share
        self._lock = threading.Lock()
        self._truth: dict[str, str] = {}
        self.effects: dict[str, list[str]] = defaultdict(list)
        self.kills = 0
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                order = json.loads(self.rfile.readline())
                answer = outer._answer(order)
                with suppress(OSError):
                    self.wfile.write(json.dumps(answer).encode() + b"\n")

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        """Return where it listens."""
        return int(self._server.server_address[1])

    def truth(self, target: str) -> str:
        """Return in which state a target is."""
        with self._lock:
            return self._truth.get(target, OLD)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, order: dict[str, Any]) -> str:
        if order["do"] == "read":
            return self.truth(order["target"])
        with self._lock:
            doom = self._random.choice(("before", "after")) if self._random.random() < self._kill_share else ""
            delay_s = self._random.uniform(0.0, LONGEST_S)
        if doom == "before":
            self._kill(order["pid"])
        time.sleep(delay_s)
        with self._lock:
            target = order["target"]
            if order["expects"] and self._truth.get(target, OLD) != order["expects"]:
                return "refused"
            self._truth[target] = order["becomes"]
            self.effects[target].append(order["becomes"])
        if doom == "after":
            self._kill(order["pid"])
        return "done"

    def _kill(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.kills += 1


def asked(port: int, order: dict[str, Any], timeout_s: float) -> str:
    """Return the answer to an order.

    Raises:
        OSError: none came.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        connection.sendall(json.dumps(order).encode() + b"\n")
        line = connection.makefile().readline()
    if not line:
        raise OSError("no answer")
    return str(json.loads(line))
