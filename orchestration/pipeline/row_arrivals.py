"""When the rows of a chunk of recorded telemetry are due, whatever their own timestamps say."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from aiops.types import IntArray
from data_contracts.schemas.telemetry_schemas import TIMESTAMP

NEIGHBOURS = 7


def arrival_times(timestamps: "pa.ChunkedArray[Any]") -> IntArray:
    """Return (n,) int64 us: when each row of a chunk in time order is due, never decreasing.

    A row without a time, or one that is far from its neighbours' (a wrong clock), comes with the row before it.
    """
    own = pd.Series(timestamps.cast(TIMESTAMP).to_numpy()).astype("datetime64[us]")
    known = pd.Series(np.where(own.isna(), np.nan, own.to_numpy().astype(np.int64).astype(np.float64)))
    around = known.rolling(NEIGHBOURS, center=True, min_periods=1).median()
    gaps = np.diff(np.unique(around.dropna().to_numpy()))
    tolerance = 3 * float(np.median(gaps)) if len(gaps) else 0.0
    honest = known.where((known - around).abs() <= tolerance)
    filled = honest.ffill().bfill().to_numpy()
    return np.maximum.accumulate(np.nan_to_num(filled)).astype(np.int64)
