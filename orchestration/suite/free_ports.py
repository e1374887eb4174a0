"""Ports for processes of a run of its own: free now, and from where the system hands none out to connections meanwhile.

A port that the system chose (`bind` to 0) may be some client's own port by the time the process that is to listen there starts.
"""

import random
import socket
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST: Final = 12_000
_HANDED_OUT: Final = 32_768
"""From here on Linux gives ports to connections, where nobody changed that."""
_LEAST: Final = 2_000


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Return ports that nobody listens on, and that this process has not returned before or long ago.

    Raises:
        OSError: there are none left.
    """
    ports, free = _circle(), list[int]()
    for _ in range(_last() - _FIRST):
        if len(free) == count:
            break
        port = next(ports)
        with socket.socket() as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
        free.append(port)
    if len(free) < count:
        raise OSError(f"there are no {count} free ports from {_FIRST} to {_last()}")
    return free


@cache
def _last() -> int:
    """Return the first port that the system hands out itself; where it does so from early on, the usual one."""
    try:
        first = int(_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        first = _HANDED_OUT
    return first if first >= _FIRST + _LEAST else _HANDED_OUT


@cache
def _circle() -> Iterator[int]:
    """Return all ports again and again, from one that is left to chance: runs beside each other begin elsewhere."""
    return _from(random.SystemRandom().randrange(_FIRST, _last()))


def _from(port: int) -> Iterator[int]:
    while True:
        yield port
        port = port + 1 if port + 1 < _last() else _FIRST
