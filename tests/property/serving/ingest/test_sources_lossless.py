"""Reading loses nothing: whatever the cells hold, and however files overlap in time."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.ingest.pull.file_merge import Stream, merged
from serving.ingest.pull.source_rows import Rows, read_rows
from serving.ingest.pull.time_columns import TimeForm

CELLS = st.one_of(
    st.none(),
    st.text(max_size=8),
    st.integers(-(10**20), 10**20).map(str),
    st.floats().map(str),
    st.datetimes().map(lambda moment: moment.isoformat()),
)
BLOCKS = st.lists(st.lists(st.integers(0, 60), max_size=8), max_size=5)


def rows_at(times: list[int], name: str) -> Rows:
    return read_rows(
        pa.table(
            {
                "timestamp": pa.array([float(second) for second in times], pa.float64()),
                "service": pa.array([name] * len(times), pa.string()),
                "metric": pa.array([f"m{number}" for number in range(len(times))], pa.string()),
                "value": pa.array(["x" if second % 7 == 3 else "1" for second in times], pa.string()),
            }
        ),
        TimeForm("s"),
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=20))
def test_every_row_is_readable_or_raw(cells: list[tuple[str | None, str | None]]) -> None:
    times, values = zip(*cells, strict=True)
    loose = pa.table(
        {
            "timestamp": pa.array(times, pa.string()),
            "service": pa.array(["s"] * len(cells)),
            "metric": pa.array([str(number) for number in range(len(cells))]),
            "value": pa.array(values, pa.string()),
        }
    )
    rows = read_rows(loose)
    names = rows.readable["metric"].to_pylist() + rows.raw["metric"].to_pylist()
    assert sorted(names, key=int) == [str(number) for number in range(len(cells))]
    assert rows.readable["timestamp"].null_count == 0
    assert len(rows.readable_at) == rows.readable.num_rows
    assert len(rows.raw_at) == rows.raw.num_rows


@settings(max_examples=60, deadline=None)
@given(st.lists(BLOCKS, min_size=1, max_size=4), st.booleans())
def test_merging_files_keeps_every_row_and_orders_ordered_files(files: list[list[list[int]]], ordered: bool) -> None:
    streams, expected = [], []
    for number, given_blocks in enumerate(files):
        blocks = given_blocks
        times = [second for block in blocks for second in block]
        if ordered:
            flat = iter(sorted(times))
            blocks = [[next(flat) for _ in block] for block in blocks]
        if not times:
            continue
        parts = [rows_at(block, f"s{number}") for block in blocks]
        expected += [(second, f"s{number}") for second in times]
        first = next(block[0] for block in blocks if block)
        streams.append(Stream(first * 1_000_000, lambda parts=parts: iter(parts)))
    merged_rows: list[tuple[int, str]] = []
    for rows in merged(streams):
        at = np.concatenate([rows.readable_at, rows.raw_at]) // 1_000_000
        names = rows.readable["service"].to_pylist() + rows.raw["service"].to_pylist()
        merged_rows += sorted(zip(at.tolist(), names, strict=True)) if ordered else list(zip(at.tolist(), names, strict=True))
    assert sorted(merged_rows) == sorted(expected)
    if ordered:
        assert [second for second, _ in merged_rows] == sorted(second for second, _ in expected)
