"""What every telemetry source must do: one suite, run on each of them."""

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

from aiops.ports import ChangeLog, TelemetrySource
from aiops.replay.history_split import of_history, of_replay
from data_contracts.schemas.telemetry_schemas import CHANGES, EDGES, INCIDENTS, TELEMETRY
from data_contracts.telemetry.validate import validate

MAX_ROWS = 250_000


def check_source(source: TelemetrySource, late_share: float = 0.01) -> int:
    """Run the whole suite; return the number of rows. At most `late_share` of the rows may come after a later one."""
    chunks = list(source.batches())
    for chunk in chunks:
        check_chunk(chunk)
    check_order(chunks, late_share)
    rows = sum(chunk.num_rows for chunk in chunks)
    again = list(source.batches())
    assert [str(chunk.slice(0, 1000).to_pydict()) for chunk in again] == [
        str(chunk.slice(0, 1000).to_pydict()) for chunk in chunks
    ]
    assert sum(chunk.num_rows for chunk in again) == rows
    check_truth(source)
    check_split(source, rows)
    if chunks and rows:
        check_windows(source, rows)
    return rows


def check_chunk(chunk: pa.Table) -> None:
    """Columns of TELEMETRY in its order, typed; or, in a chunk of unreadable rows, time and value as text."""
    names = chunk.column_names
    assert 0 < chunk.num_rows <= MAX_ROWS
    assert names[:4] == TELEMETRY.names[:4]
    assert names == [name for name in TELEMETRY.names if name in names]
    raw = pa.types.is_string(chunk.schema.field("timestamp").type)
    if not raw:
        assert chunk.schema.field("timestamp").type == TELEMETRY.field("timestamp").type
        assert chunk.schema.field("value").type in {pa.float64(), pa.string()}
        assert chunk["timestamp"].null_count == 0
    for name in ("service", "metric"):
        kind = chunk.schema.field(name).type
        text = kind.value_type if pa.types.is_dictionary(kind) else kind
        assert text == pa.string() or (raw and text == pa.binary())
    checked = validate(chunk, datetime.fromisoformat("2100-01-01T00:00:00+00:00"), source="check")
    assert checked.accepted.num_rows + checked.rejected.num_rows == chunk.num_rows


def times_us(chunk: pa.Table) -> np.ndarray:
    """Return the times of a typed chunk as us since 1970; empty for a chunk of unreadable rows."""
    if not pa.types.is_timestamp(chunk.schema.field("timestamp").type):
        return np.empty(0, np.int64)
    return chunk["timestamp"].cast(pa.int64()).to_numpy()


def check_order(chunks: list[pa.Table], late_share: float) -> None:
    times = np.concatenate([times_us(chunk) for chunk in chunks]) if chunks else np.empty(0, np.int64)
    late = times < np.maximum.accumulate(times) if len(times) else np.empty(0, bool)
    assert late.sum() <= late_share * len(times)


def check_truth(source: TelemetrySource) -> None:
    edges, incidents = source.edges(), source.incidents()
    assert edges.schema.equals(EDGES)
    assert incidents.schema.equals(INCIDENTS)
    assert not isinstance(source, ChangeLog) or source.changes().schema.equals(CHANGES)
    assert all(row["caller"] != row["callee"] for row in edges.to_pylist())
    rows = incidents.to_pylist()
    assert all(row["onset_at"] <= row["starts_at"] < row["ends_at"] <= row["known_at"] + timedelta(days=1) for row in rows)
    assert len({row["incident_id"] for row in rows}) == len(rows)


def check_split(source: TelemetrySource, rows: int) -> None:
    """History and replay together hold every row once."""
    split = source.split()
    assert split.history_start < split.history_end
    assert split.replay_start < split.replay_end
    history = [of_history(chunk, split) for chunk in source.batches(split.history_start, split.history_end)]
    replay = [of_replay(chunk, split) for chunk in source.batches(split.replay_start, split.replay_end)]
    parts = [sum(chunk.num_rows for chunk in part) for part in (history, replay)]
    assert min(parts) > 0
    assert sum(parts) == rows


def check_windows(source: TelemetrySource, rows: int) -> None:
    """start <= t < end, and neighbouring windows lose and repeat nothing."""
    split = source.split()
    start = min(split.history_start, split.replay_start)
    end = max(split.history_end, split.replay_end)
    middle = start + (end - start) / 3
    counted = 0
    for low, high in ((None, middle), (middle, end), (end, None)):
        for chunk in source.batches(low, high):
            counted += chunk.num_rows
            kept = times_us(chunk)
            assert low is None or (kept >= int(low.timestamp() * 1e6)).all()
            assert high is None or (kept < int(high.timestamp() * 1e6) + 1).all()
    assert counted == rows
