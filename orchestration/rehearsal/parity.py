"""Did the stream compute what a backfill computes? The replay's telemetry once more through fresh engines, row by row."""

from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from data_contracts.schemas.telemetry_schemas import SERVICE_FEATURES
from orchestration.pipeline.features import Backfill, Window
from orchestration.workspace.workspace import Workspace

KEY = ["service", "event_timestamp"]


def max_abs_diff(workspace: Workspace, start: datetime, end: datetime) -> float:
    """Return the greatest difference of any service feature at any tick; inf where a row or a value is on one side only."""
    backfill = Backfill(workspace, Window(start, end, resume=False))
    again = pa.Table.from_batches([output.service_features for _, output in backfill.outputs()]).to_pandas()
    streamed = workspace.lake.read("service_features", start, end).to_pandas()
    again = again[(again["event_timestamp"] >= start) & (again["event_timestamp"] < end)]
    return greatest_difference(streamed, again)


def greatest_difference(left: pd.DataFrame, right: pd.DataFrame) -> float:
    """Return the greatest difference of the features of two tables with one row a service and tick.

    NaN equals NaN; a value beside NaN, or a row without a partner, gives inf; 0 where both are empty.
    """
    joined = left.merge(right, on=KEY, how="outer", suffixes=("", "_again"), indicator=True)
    if (joined["_merge"] != "both").any():
        return float("inf")
    ours = joined[list(SERVICE_FEATURES)].to_numpy(dtype=np.float64)
    theirs = joined[[f"{name}_again" for name in SERVICE_FEATURES]].to_numpy(dtype=np.float64)
    if (np.isnan(ours) != np.isnan(theirs)).any():
        return float("inf")
    return float(np.nanmax(np.abs(ours - theirs), initial=0.0))
