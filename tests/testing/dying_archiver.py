"""`python -m tests.testing.dying_archiver HOME PORT WRITES`: an archiver that is killed when so many files are in place.

It dies as by `kill -9`, after the file and before the note on the broker that says so. Fewer writes than that: it ends with 0.
"""

import os
import signal
import sys
import threading
from pathlib import Path

import pyarrow as pa

from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.tree import Settings
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.lake.parquet_lake import ParquetLake
from serving.stream.archiver import ArchiveConfig, Archiver
from serving.stream.broker import open_streams

CHUNK_ENTRIES = 7


class DyingLake(ParquetLake):
    """A lake whose process is killed after `writes` files."""

    def __init__(self, folder: Path, writes: int) -> None:
        super().__init__(folder, DEFAULT_TENANT)
        self._left = writes

    def write(self, table: str, rows: pa.Table | pa.RecordBatch, key: str) -> int:
        written = super().write(table, rows, key)
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return written


def main(home: Path, port: int, writes: int) -> None:
    """Archive what is on the broker, parts stay open."""
    settings = Settings(home=home, broker=BrokerSettings(port=port, partitions=1))
    lake = DyingLake(home / "lake" / f"tenant={DEFAULT_TENANT}", writes)
    config = ArchiveConfig((0,), chunk_entries=CHUNK_ENTRIES)
    Archiver(open_streams(settings), lambda _: lake, config).catch_up(threading.Event(), closing=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
