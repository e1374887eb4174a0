"""Sequences of a training set: every row's recent past, by the function that the stream uses."""

from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from aiops.features.sequences import Sequences
from data_contracts.schemas.telemetry_schemas import SEQUENCE_FEATURES, SERVICE_FEATURES, SERVICE_FEATURES_TABLE
from data_contracts.values.moments import microseconds_of
from orchestration.workspace.workspace import Workspace
from serving.stream.streams import single_batch


def with_sequences(workspace: Workspace, frame: pd.DataFrame, at: datetime) -> pd.DataFrame:
    """Return `frame` (service, event_timestamp, …) with the columns `SEQUENCE_FEATURES`, float32, NaN = unknown.

    They are made of every tick of the lake that was known `at`, not only of those in the frame.
    """
    rows = _every_tick(workspace, frame, at)
    made = Sequences(workspace.settings.telemetry.step_s * 1_000_000).update(rows)
    places = _keys(rows.select(["service", "event_timestamp"]).to_pandas()).get_indexer(_keys(frame))
    chosen = np.where((places >= 0)[:, None], made[places], np.float32(np.nan))
    columns = pd.DataFrame(chosen, columns=list(SEQUENCE_FEATURES), index=frame.index)
    return pd.concat([frame, columns], axis=1)


def _every_tick(workspace: Workspace, frame: pd.DataFrame, at: datetime) -> pa.RecordBatch:
    """Return one row a service and tick, the first that was known, in order of the ticks."""
    first = frame["event_timestamp"].min().to_pydatetime()
    rows = workspace.lake.read("service_features", first, at, list(SERVICE_FEATURES_TABLE.names))
    known = rows.filter(pa.array(rows["available_at"].cast(pa.int64()).to_numpy() <= microseconds_of(at)))
    keys = known.select(["service", "event_timestamp", "available_at"]).to_pandas()
    order = keys.sort_values(["event_timestamp", "available_at"], kind="stable")
    places = order.drop_duplicates(["service", "event_timestamp"]).index.to_numpy()
    return single_batch(known.take(pa.array(places)).select([*SERVICE_FEATURES_TABLE.names[:3], *SERVICE_FEATURES]))


def _keys(frame: pd.DataFrame) -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays([frame["service"].astype(str), frame["event_timestamp"]])
