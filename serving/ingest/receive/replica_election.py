"""HA pairs: two senders of the same series, told apart by a label; one leads, the other's points are there already.

The leader keeps its place while it sends; after it was silent for so long the next one that sends takes over. A point of the
member that does not lead is answered as written, for the leader's stands for it.
"""

import time
from collections.abc import Callable
from typing import Final

import numpy as np

from serving.ingest.receive.wire.decoded import Int64s

_MOST_MEMBERS: Final = 4096


class ReplicaElection:
    """The HA pairs of one tenant. Members are numbered from 1; 0 = of no pair, always taken."""

    def __init__(self, silent_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._silent_s = silent_s
        self._clock = clock
        self._number: dict[tuple[str, str], int] = {}
        self._members: list[tuple[str, str]] = [("", "")]
        self._leader: dict[str, tuple[str, float]] = {}

    def member(self, cluster: str, replica: str) -> int:
        """Return the number of a replica of a cluster, 0 for none; beyond 4,096 members no more are told apart."""
        if not replica:
            return 0
        number = self._number.get((cluster, replica))
        if number is None:
            if len(self._members) >= _MOST_MEMBERS:
                return 0
            number = self._number[cluster, replica] = len(self._members)
            self._members.append((cluster, replica))
        return number

    def answering(self, present: Int64s) -> Int64s:
        """Return (members,) 1 for those whose points are taken now; `present` are the numbers that a body is of."""
        taken = np.ones(len(self._members), np.int64)
        if len(self._members) == 1 or not present.any():
            return taken
        for number in np.unique(present[present > 0]).tolist():
            cluster, replica = self._members[number]
            taken[number] = self._leads(cluster, replica)
        return taken

    def _leads(self, cluster: str, replica: str) -> bool:
        now = self._clock()
        leader, seen = self._leader.get(cluster, (replica, now))
        if leader != replica and now - seen < self._silent_s:
            return False
        self._leader[cluster] = (replica, now)
        return True

    def leaders(self) -> dict[str, str]:
        """Return the replica that leads, by cluster."""
        return {cluster: leader for cluster, (leader, _) in self._leader.items()}
