"""What the consumer runs with: one frozen picture of the settings and the command line."""

from dataclasses import dataclass
from pathlib import Path

from aiops.settings.tree import Settings


@dataclass(frozen=True, slots=True)
class ConsumerConfig:
    """Settings of one consumer process. Times in seconds unless the name says otherwise.

    `shared`: `partitions` are shared with other consumers by leases; else they are this process's own.
    """

    settings: Settings
    partitions: tuple[int, ...]
    score: bool = True
    ingest: bool = True
    read_entries: int = 16
    block_ms: int = 200
    shared: bool = False

    @property
    def checkpoint_folder(self) -> Path:
        """Return the folder of checkpoints."""
        return self.settings.consumer.checkpoints(self.settings.root)

    @property
    def step_us(self) -> int:
        """Return the time between feature ticks."""
        return self.settings.telemetry.step_s * 1_000_000

    @property
    def archives(self) -> bool:
        """Return whether an archiver copies the streams, in this process or another."""
        return self.settings.consumer.archive != "off"
