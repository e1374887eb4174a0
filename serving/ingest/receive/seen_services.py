"""The services of one tenant by number, with the newest event time of each: what a watch of silent sources is told."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from serving.ingest.receive.wire.decoded import Int64s

_MOST: Final = 1_000_000


class SeenServices:
    """Numbers begin at 1; 0 stands for all services beyond a million, which nobody watches."""

    def __init__(self) -> None:
        self._number: dict[str, int] = {}
        self._names = [""]
        self._passed_on = np.zeros(1024, np.int64)
        self.newest_us: Int64s = np.zeros(1024, np.int64)
        """Newest event time by number, 0 = none; raised by whoever keeps points."""

    def number(self, service: str) -> int:
        """Return the number of a service."""
        number = self._number.get(service)
        if number is None:
            if len(self._names) > _MOST:
                return 0
            number = self._number[service] = len(self._names)
            self._names.append(service)
            if number >= len(self.newest_us):
                self.newest_us = np.concatenate((self.newest_us, np.zeros_like(self.newest_us)))
                self._passed_on = np.concatenate((self._passed_on, np.zeros_like(self._passed_on)))
        return number

    def news(self) -> Iterator[tuple[str, int]]:
        """Yield services with something newer than at the last call, and the newest event time, in us."""
        changed = np.flatnonzero(self.newest_us > self._passed_on)
        self._passed_on[changed] = self.newest_us[changed]
        for number in changed[changed > 0].tolist():
            yield self._names[number], int(self.newest_us[number])
