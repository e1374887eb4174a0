"""Names that an archiver holds: read anew from the lake once a day, so that they grow no further than the catalogue does."""

from pathlib import Path

import pyarrow as pa

from data_contracts.schemas.wire_schemas import NORMALISED_POINTS, SERIES_CATALOGUE
from data_contracts.values.moments import moment_of_us
from serving.lake.opening import open_lake
from serving.stream import streams
from serving.stream.scored_points import KEPT_S, ScoredPoints
from tests.testing.raw_rows import START_US


def entry(kind: bytes, rows: pa.Table) -> streams.Entry:
    return streams.Entry("1-0", kind, streams.to_ipc(rows), 0, START_US)


def defined(series_id: int) -> pa.Table:
    texts = {"service": "web", "metric": f"m{series_id}", "labels": "", "role": "value", "why": "test"}
    row = {"series_id": series_id, **texts, "family_id": None, "bound": None, "unit": None, "scored": True}
    return pa.Table.from_pylist([{**row, "first_seen_at": moment_of_us(START_US)}], schema=SERIES_CATALOGUE)


def point(series_id: int) -> streams.Entry:
    row = {"timestamp": moment_of_us(START_US), "series_id": series_id, "value": 1.0}
    return entry(streams.KIND_POINTS, pa.Table.from_pylist([row], schema=NORMALISED_POINTS))


def test_names_are_held_for_a_day_and_then_those_of_the_lake_are_read(tmp_path: Path) -> None:
    now, lakes = [0.0], open_lake(tmp_path)
    points = ScoredPoints(lakes.for_tenant, lambda: now[0])
    for series_id in (1, 2):
        (part,) = points.rows([entry(streams.KIND_DEFINITIONS, defined(series_id))])
        if series_id == 1:
            lakes.for_tenant(part.tenant).write(part.table, part.rows, "k")
    assert [part.table for part in points.rows([point(1), point(2)])] == ["telemetry"]
    now[0] = KEPT_S + 1
    tables = {part.table: part.rows.num_rows for part in points.rows([point(1), point(2)])}
    assert tables == {"rejected": 1, "telemetry": 1}, "the second is not in the lake"
