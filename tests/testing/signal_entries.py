"""Entries for the archiver: points as stage 1 commits them, logs, spans and exemplars as receivers do."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from data_contracts.schemas.wire_schemas import EXEMPLARS, NORMALISED_POINTS, SERIES_CATALOGUE
from data_contracts.series.key import SeriesKey, labels_text, series_ids
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.values.moments import microseconds_of
from serving.ingest.receive.signals.signal_outcome import SignalOutcome
from serving.stream import streams

START = datetime(2026, 1, 1, tzinfo=UTC)
START_US = microseconds_of(START)


def key_of(number: int, tenant: str = DEFAULT_TENANT) -> SeriesKey:
    """Return the key of a series of tests."""
    return SeriesKey(tenant, f"s{number % 7}", "requests_total", (("pod", f"p{number}"), ("zone", "a")))


def catalogue(keys: Sequence[SeriesKey], seen_us: int = START_US, role: str = "total") -> pa.Table:
    """Return rows of the catalogue of series."""
    moment: Any = pa.scalar(seen_us, pa.int64()).cast(TIMESTAMP)
    cells = {
        "series_id": series_ids(keys),
        "service": [key.service for key in keys],
        "metric": [key.metric for key in keys],
        "labels": [labels_text(key.labels) for key in keys],
        "role": [role] * len(keys),
        "family_id": pa.nulls(len(keys), pa.int64()),
        "bound": pa.nulls(len(keys), pa.float64()),
        "unit": pa.nulls(len(keys), pa.string()),
        "why": ["declared by the sender"] * len(keys),
        "scored": [True] * len(keys),
        "first_seen_at": pa.repeat(moment, len(keys)),
    }
    return pa.table(cells, schema=SERIES_CATALOGUE)


def points(ids: Iterable[int], at_us: int, value: float = 1.0) -> pa.Table:
    """Return a point a series."""
    listed = list(ids)
    times: Any = pa.array([at_us] * len(listed), pa.int64()).cast(TIMESTAMP)
    cells = {"timestamp": times, "series_id": listed, "value": [value + number for number in range(len(listed))]}
    return pa.table(cells, schema=NORMALISED_POINTS)


def exemplars(ids: Sequence[int], at_us: int) -> pa.Table:
    """Return an exemplar a series."""
    times: Any = pa.array([at_us] * len(ids), pa.int64()).cast(TIMESTAMP)
    cells = {
        "timestamp": times,
        "series_id": ids,
        "value": [0.5] * len(ids),
        "trace_id": ["ab" * 16] * len(ids),
        "span_id": [None] * len(ids),
        "available_at": times,
    }
    return pa.table(cells, schema=EXEMPLARS)


def append(
    broker: streams.Streams, stream: str, kind: bytes, payload: bytes, at_us: int = START_US, tenant: str = DEFAULT_TENANT
) -> None:
    """Append one entry."""
    fields = {"k": kind, "b": payload, "t": at_us * 1000, "a": at_us, "n": tenant}
    broker.client.xadd(stream, fields)


def append_outcome(broker: streams.Streams, outcome: SignalOutcome, at_us: int = START_US, tenant: str = DEFAULT_TENANT) -> None:
    """Append what became of a body."""
    for entry in outcome.entries:
        append(broker, streams.signals(0), entry.kind, entry.payload, at_us, tenant)
