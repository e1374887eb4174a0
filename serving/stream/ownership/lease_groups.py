"""The groups of processes that share partitions: stage 1 and the archiver, stage 2, the stage that makes series of signals."""

from typing import Final

from aiops.settings.tree import Settings
from serving.stream.ownership.leases import LeaseGroup

INGEST: Final = "ingest"
SCORE: Final = "score"
SIGNALS: Final = "signals"
_POSITION: Final = {INGEST: "stage1", SCORE: "", SIGNALS: "signals"}
"""Stage 2 keeps no state but its position, so it may go on anywhere."""


def lease_group(settings: Settings, name: str) -> LeaseGroup:
    """Return how a group shares the partitions of the settings."""
    return LeaseGroup(name, settings.broker.partitions, settings.consumer.lease_s, _POSITION[name])
