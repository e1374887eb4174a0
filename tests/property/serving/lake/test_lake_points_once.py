"""Whatever the order, size, overlap and repetition of what is added, the lake is the same, bit for bit."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from orchestration.pipeline.ingest import as_lake_rows
from serving.lake.opening import open_lake
from serving.lake.port import Added, Lake
from tests.testing.lake_rows import accepted

START = datetime(2026, 3, 1, 23, 50, tzinfo=UTC)


def points(rows: list[tuple[int, int, float, int]]) -> pa.Table:
    """Return lake rows of (minute, series, value, delay in s)."""
    times = [START + timedelta(minutes=minute) for minute, _, _, _ in rows]
    names = [f"s{series}" for _, series, _, _ in rows]
    known = pa.array([at + timedelta(seconds=row[3]) for at, row in zip(times, rows, strict=True)], TIMESTAMP)
    plain = [accepted(at, name, row[2]) for at, name, row in zip(times, names, rows, strict=True)]
    whole = as_lake_rows(pa.Table.from_batches(plain))
    return whole.set_column(whole.column_names.index("available_at"), whole.schema.field("available_at"), known)


ROW = st.tuples(st.integers(0, 19), st.integers(0, 2), st.sampled_from([-1.0, -0.0, 0.0, 2.5]), st.sampled_from([0, 0, 60]))


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(ROW, min_size=1, max_size=30), data=st.data())
def test_cuts_orders_and_overlaps_give_the_same_lake(rows: list[tuple[int, int, float, int]], data: st.DataObject) -> None:
    whole = points(rows)
    order = np.array(data.draw(st.permutations(range(len(rows)))))
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(rows) - 1)), max_size=4)))
    parts = [part for part in np.split(order, cuts) if len(part)]
    repeated = data.draw(st.lists(st.sampled_from(range(len(parts))), max_size=3))
    with TemporaryDirectory() as folder:
        once, cut = (open_lake(Path(folder) / name).for_tenant("default") for name in ("once", "cut"))
        expected = once.add("telemetry", whole)
        done = Added()
        for part in [*parts, *(parts[number] for number in repeated)]:
            added = cut.add("telemetry", whole.take(pa.array(part)))
            assert added.stored + added.present == len(part)
            done += added
        distinct = len({(minute, series) for minute, series, _, _ in rows})
        assert expected == Added(distinct, len(rows) - distinct)
        assert done.stored >= distinct
        assert bits(cut) == bits(once)
        cut.compact(least_files=2, settled_s=0)
        assert bits(cut) == bits(once)
        assert cut.add("telemetry", whole) == Added(0, len(rows))


def bits(lake: Lake) -> bytes:
    """Return what is read as bytes: -0.0 is not 0.0."""
    sink = pa.BufferOutputStream()
    stored = lake.read("telemetry").combine_chunks()
    with pa.ipc.new_stream(sink, stored.schema) as stream:
        stream.write_table(stored)
    return sink.getvalue().to_pybytes()
