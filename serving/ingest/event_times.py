"""How far a batch of raw rows has come in event time."""

from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.schemas.telemetry_schemas import TIMESTAMP


def newest_us(times: "pa.ChunkedArray[Any]", known_at: datetime) -> int:
    """Return the newest time, us since 1970, of those that are not after `known_at`; 0 where none can be read."""
    if not pa.types.is_timestamp(times.type):
        return 0
    plausible: Any = times.cast(TIMESTAMP)
    newest = pc.max(plausible.filter(pc.less_equal(plausible, pa.scalar(known_at, TIMESTAMP)))).cast(pa.int64()).as_py()
    return int(newest or 0)
