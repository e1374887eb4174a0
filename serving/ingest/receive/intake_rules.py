"""By which rules a receiver takes points in."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

IN_LOOP_BYTES: Final = 64 << 10
"""Larger bodies are read beside the event loop: 16 MiB of logs take half a second, of metrics in JSON many."""
IN_LOOP_LINE_BYTES: Final = 8 << 10
"""The same for log lines: 64 KiB of them take some 10 ms."""
IN_LOOP_COMPRESSED_BYTES: Final = 256 << 10
"""Larger bodies are inflated beside the event loop."""


@dataclass(frozen=True, slots=True)
class IntakeRules:
    """`announce_s`: how often an active series is defined again; times of points lie up to `future_tolerance_s` ahead.

    `shared`: who leads an HA pair, and which label names a series, is agreed with other receivers; else this one decides alone.
    """

    partitions: int
    announce_s: float = 600.0
    future_tolerance_s: float = 300.0
    replica_silent_s: float = 30.0
    explosion_series: int = 1000
    shared: bool = False
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
