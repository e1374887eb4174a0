"""Which rows of a chunk are history and which are replayed, where every series has a history of its own."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aiops.types import HistorySplit


def of_history(chunk: pa.Table, split: HistorySplit) -> pa.Table:
    """Return the rows of a chunk of the history window that are history; all of them where `history_ends` is empty."""
    return chunk.filter(pa.array(~_replayed(chunk, split))) if split.history_ends else chunk


def of_replay(chunk: pa.Table, split: HistorySplit) -> pa.Table:
    """Return the rows of a chunk of the replay window that are replayed; all of them where `history_ends` is empty."""
    return chunk.filter(pa.array(_replayed(chunk, split))) if split.history_ends else chunk


def _replayed(chunk: pa.Table, split: HistorySplit) -> npt.NDArray[np.bool_]:
    """Return (n,) bool; a row without a readable time, or of a metric without an end of its own, is replayed."""
    times = chunk["timestamp"]
    if not pa.types.is_timestamp(times.type):
        return np.ones(chunk.num_rows, dtype=np.bool_)
    names = pa.array(list(split.history_ends))
    ends = pa.array(list(split.history_ends.values()), times.type)
    own = ends.take(pc.index_in(chunk["metric"].combine_chunks(), names))
    later = np.asarray(pc.greater_equal(times.combine_chunks(), own).fill_null(True))
    return later.astype(np.bool_)
