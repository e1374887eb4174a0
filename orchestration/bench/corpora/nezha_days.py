"""Days of the corpus Nezha as the benches read them: their folders, and the telemetry that keeps the contract."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pyarrow as pa

from aiops.errors import SourceError
from data_contracts.telemetry.validate import validate
from serving.ingest.pull.nezha import NezhaSource

_READ_AT: Final = datetime(2100, 1, 1, tzinfo=UTC)
"""Later than every recorded row: nothing of a recording lies in the future."""


def day_folders(path: Path) -> tuple[Path, ...]:
    """Return the folders of days: `path` itself, or those in it or in its `rca_data`, in order of name.

    Raises:
        SourceError: there is none.
    """
    for pattern in ("metric", "*/metric", "rca_data/*/metric"):
        folders = sorted(metric.parent for metric in path.glob(pattern) if any(metric.glob("*_metric.csv")))
        if folders:
            return tuple(folders)
    raise SourceError(
        f"{path}: holds no day of Nezha (rca_data/<day>/metric/*_metric.csv); give the folder of the corpus or of one of its days"
    )


def accepted_batches(source: NezhaSource) -> list[pa.RecordBatch]:
    """Return the rows of a day that keep the contract, in order of time.

    Raises:
        SourceError: a file of the corpus is damaged.
    """
    return [validate(chunk, _READ_AT, source.name).accepted for chunk in source.batches()]
