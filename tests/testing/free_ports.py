"""Ports for the servers of a test, from below the range that the system hands out to clients: nobody else takes them meanwhile.

Test runs beside each other begin at places of their own: workers of pytest-xdist by their number, other runs by chance.
"""

import os
import random
import socket
from collections.abc import Iterator
from functools import cache
from typing import Final

FIRST: Final = 10_000
LANES: Final = 8
PER_LANE: Final = 2_500
"""Lanes end below 32,768, where Linux begins to hand out ports."""


@cache
def lane(worker: str) -> Iterator[int]:
    """Return the ports of a worker ("gw0"; "" = the only one) in a circle, from a place that is left to chance."""
    number = int(worker.removeprefix("gw") or 0) % LANES
    return _circle(FIRST + number * PER_LANE)


def _circle(first: int) -> Iterator[int]:
    at = random.SystemRandom().randrange(PER_LANE)
    while True:
        yield first + at
        at = (at + 1) % PER_LANE


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago and that this process has not returned for a long time.

    Raises:
        OSError: a whole lane is taken.
    """
    ports = lane(os.environ.get("PYTEST_XDIST_WORKER", ""))
    free: list[int] = []
    for _ in range(PER_LANE):
        if len(free) == count:
            return free
        port = next(ports)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            free.append(port)
    raise OSError(f"no {count} free ports of {PER_LANE} from {FIRST}")


def free_port() -> int:
    """Return one port that was free a moment ago."""
    return free_ports(1)[0]
