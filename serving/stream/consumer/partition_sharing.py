"""How this process comes to its partitions: those of its command line, or its share of all, by leases."""

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from serving.stream import streams
from serving.stream.consumer.consumer_config import ConsumerConfig
from serving.stream.ownership.checkpoint_place import place_of
from serving.stream.ownership.lease_groups import INGEST, SCORE, lease_group
from serving.stream.ownership.leases import Leases, Member
from serving.stream.ownership.ownership import FixedOwnership, LeasedOwnership, LeaseRules, Ownership
from serving.stream.ownership.ownership_metrics import OwnershipMetrics


@dataclass(frozen=True, slots=True)
class Partitions:
    """What the stages of a process ask for their partitions: stage 1 and the archiver beside it, and stage 2."""

    ingest: Ownership
    score: Ownership

    @property
    def leased(self) -> dict[str, LeasedOwnership]:
        """Return those that extend leases, by the name of their thread."""
        return {
            f"leases of {name}": ownership
            for name, ownership in ((INGEST, self.ingest), (SCORE, self.score))
            if isinstance(ownership, LeasedOwnership)
        }

    def threads(
        self, thread: Callable[[str, Callable[[], None]], threading.Thread], ended: threading.Event
    ) -> list[threading.Thread]:
        """Return the threads that extend leases until `ended`."""
        return [thread(name, _run(ownership, ended)) for name, ownership in self.leased.items()]

    def retire(self) -> None:
        """Give everything up, as the process ends."""
        for ownership in self.leased.values():
            ownership.retire()


def _run(ownership: LeasedOwnership, ended: threading.Event) -> Callable[[], None]:
    return lambda: ownership.run(ended)


def partitions_of(config: ConsumerConfig, broker: streams.Streams, registry: CollectorRegistry) -> Partitions:
    """Return who says which partitions are this process's: nobody else where they were named, leases where they are shared.

    Raises:
        OSError: the folder of checkpoints cannot be written.
    """
    fixed = FixedOwnership(frozenset(config.partitions))
    if not config.shared:
        return Partitions(fixed, fixed)
    metrics = OwnershipMetrics(registry)
    rules = LeaseRules(config.settings.consumer.checkpoint_wait_s)
    place = place_of(config.checkpoint_folder)
    name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    member = Member(name, time.time_ns() // 1_000_000, place, os.getpid())

    def leased(group: str, wanted: bool) -> Ownership:
        return LeasedOwnership(Leases(broker, lease_group(config.settings, group), member), metrics, rules) if wanted else fixed

    return Partitions(leased(INGEST, config.ingest), leased(SCORE, config.score))
