"""Ports: what the domain needs from the outside, as Protocols. Adapters live in `serving/`; fakes ship with them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

import pyarrow as pa

from aiops.features.bands import SeriesBands
from aiops.types import FloatArray, HistorySplit, ReadStatistics, RequestRows, SeriesBatch, State


class Detector(Protocol):
    """Immutable once fitted."""

    @property
    def lookback(self) -> int:
        """Points of a series needed before a score is valid."""
        ...

    def score(self, batch: SeriesBatch) -> FloatArray:
        """Return (n,) float64 aligned to rows; 0..1, higher = stranger; NaN = unknown."""
        ...

    def state(self) -> State:
        """Return the fitted state as named arrays."""
        ...


class DetectorStream(Protocol):
    """Scores that go on from batch to batch: any split of a stream gives what the whole gives. Not thread-safe."""

    def score(self, batch: SeriesBatch) -> FloatArray:
        """Return (n,) as `Detector.score` does, knowing all batches before."""
        ...

    def snapshot(self) -> State:
        """Return all that was carried over, as named arrays of its own; bounded, however long the series are."""
        ...


@runtime_checkable
class StreamingDetector(Detector, Protocol):
    """A detector that can also be asked batch by batch."""

    def stream(self, state: State | None = None) -> DetectorStream:
        """Return a stream from its beginning, or one that goes on bit for bit from a snapshot."""
        ...


class VectorModel(Protocol):
    """A fitted model over service vectors; immutable. Rows are (n, len(features)) float64, NaN = unknown."""

    @property
    def features(self) -> tuple[str, ...]:
        """Return the column names it expects, in order."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return the names of its outputs, e.g. ("score",) or ("p_5min", "p_15min", "p_60min")."""
        ...

    @property
    def thresholds(self) -> FloatArray:
        """Return (len(outputs),): at or above is an alarm; fitted on training data only."""
        ...

    def score(self, rows: FloatArray) -> FloatArray:
        """Return (n, len(outputs)) float64 in 0..1; a row without any known feature gives NaN."""
        ...

    def explain(self, rows: FloatArray) -> FloatArray:
        """Return (n, len(features)) contributions to the last output; positive raises the score."""
        ...

    def state(self) -> State:
        """Return the fitted state as named arrays."""
        ...


class TelemetrySource(Protocol):
    """One place telemetry comes from. Rows are raw: the contract validates them later."""

    @property
    def name(self) -> str:
        """Short name used in logs and in the rejected table."""
        ...

    def batches(self, start: datetime | None = None, end: datetime | None = None) -> Iterator[pa.Table]:
        """Yield telemetry in (roughly) event time order, columns of `schemas.TELEMETRY`, limited to start <= t < end.

        Raises:
            SourceError: the source cannot be read; the message names the file or URL, the rule and the fix.
        """
        ...

    def edges(self) -> pa.Table:
        """Return the call graph as `schemas.EDGES`; empty where the source knows none."""
        ...

    def incidents(self) -> pa.Table:
        """Return labelled incidents as `schemas.INCIDENTS`; empty where the source knows none."""
        ...

    def split(self) -> HistorySplit:
        """Return which part is history to fit on and which part is replayed; together they cover every row.

        Raises:
            SourceError: the source cannot be read, or holds no row with a readable time.
        """
        ...


@runtime_checkable
class SeriesLabels(Protocol):
    """A source whose incident labels are those of single series, not of whole services."""

    def labelled_series(self) -> Mapping[str, str]:
        """Return incident_id -> "service|metric" for every labelled incident."""
        ...


@runtime_checkable
class Remarking(Protocol):
    """A source that says what a person should know of how it took what it has read."""

    def remarks(self) -> tuple[str, ...]:
        """Return a sentence each: rows left out, an order mended, times without a zone."""
        ...


@runtime_checkable
class ChangeLog(Protocol):
    """A source that knows what people or machines did to services."""

    def changes(self) -> pa.Table:
        """Return change events as `schemas.CHANGES`; empty where the source knows none. Never whether they did harm."""
        ...


@runtime_checkable
class RequestRecords(Protocol):
    """A source that has log lines and spans of requests beside its telemetry."""

    def requests(self, start: datetime | None = None, end: datetime | None = None) -> Iterator[RequestRows]:
        """Yield rows of requests that begin in start <= t < end, roughly in order of time."""
        ...


class FeatureReader(Protocol):
    """Reads service features for online prediction."""

    def read_services(self, services: Sequence[str], now: datetime) -> pa.RecordBatch:
        """Return one row a service in the order asked, `schemas.SERVICE_FEATURES_TABLE`; missing or stale features are null."""
        ...

    @property
    def read_statistics(self) -> ReadStatistics:
        """Return what reads met so far: missing and stale entities and the freshness of each view."""
        ...


class FeatureWriter(Protocol):
    """Writes the newest features for online reading; the last writer of a newer tick wins."""

    def write_series(self, rows: pa.RecordBatch) -> int:
        """Write `schemas.SERIES_FEATURES_TABLE` rows; return the number written."""
        ...

    def write_services(self, rows: pa.RecordBatch) -> int:
        """Write `schemas.SERVICE_FEATURES_TABLE` rows; return the number written."""
        ...


class BandReader(Protocol):
    """Reads seasonal bands for online scoring."""

    def read_bands(self, series: Sequence[str], now: datetime) -> Sequence[SeriesBands | None]:
        """Return the newest bands of each series ("service|metric"), in the order asked; None where there are none.

        Bands older than they are made to hold, at `now`, come back without a band and with that as their status.

        Raises:
            Unavailable: the store does not answer.
        """
        ...

    @property
    def read_statistics(self) -> ReadStatistics:
        """Return what reads met so far: missing and stale series and the freshness of the view."""
        ...
