"""Names of series by slot, and facts that follow from them. Python cost per series or distinct name, not per row."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.features.name_table import NameTable
from aiops.features.partial_sums import SeriesFacts
from aiops.features.robust import RANGE_FLOOR
from aiops.features.series_names import SeriesNames
from aiops.jit import kernel
from aiops.types import FloatArray, IntArray
from data_contracts.schemas.internals import is_internal
from data_contracts.schemas.metrics import SIGNALS, spec_of, width_of
from data_contracts.series.hash_kernels import hash_spans
from data_contracts.series.key import labels_text
from data_contracts.series.series_name import SeriesName
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.telemetry.names import bytes_of
from data_contracts.telemetry.series_rows import ids_of_columns
from data_contracts.telemetry.v1 import folded_metric
from data_contracts.values.coerce import whole
from data_contracts.values.kernels import distinct


class NameHashes:
    """Hash of the three names of every row: what tells two series apart that share an id. A name costs once a dictionary."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[pa.Array[Any], IntArray]] = {}

    def of(self, table: pa.RecordBatch) -> IntArray:
        """Return (n,) int64."""
        hashes: IntArray = np.zeros(table.num_rows, np.int64)
        for name, turn in _TURNS.items():
            encoded = cast("pa.DictionaryArray[Any, Any]", table.column(name))
            seen = self._seen.get(name)
            if seen is None or not encoded.dictionary.equals(seen[0]):
                seen = self._seen[name] = (encoded.dictionary, _hashes(encoded.dictionary, turn))
            if seen[1].size == 1:
                hashes ^= seen[1]
            else:
                add_hashes(hashes, seen[1], encoded.indices.to_numpy(zero_copy_only=False))
        return hashes


@kernel
def add_hashes(hashes: IntArray, of_name: IntArray, code: npt.NDArray[np.int32]) -> None:
    """Combine hashes (n,) with those of the names that codes (n,) point at."""
    for row in range(code.size):
        hashes[row] ^= of_name[np.uint32(code[row])]


_TURNS: Final = {"service": 0, "metric": 21, "labels": 42}
"""Column -> bits by which its hash is turned: equal texts in other columns then differ."""


def _hashes(names: "pa.Array[Any]", turn: int) -> IntArray:
    ends, data = bytes_of(names)
    hashes = hash_spans(data, ends)
    return ((hashes << np.uint64(turn)) | (hashes >> np.uint64(64 - turn))).view(np.int64) if turn else hashes.view(np.int64)


def name_hashes(names: Sequence[SeriesName]) -> IntArray:
    """Return the hashes that `NameHashes` gives these series, (n,) int64."""
    return hashes_of(SeriesNames.of(names))


def hashes_of(names: SeriesNames) -> IntArray:
    """Return the hashes that `NameHashes` gives these series, (n,) int64."""
    everything: Any = pa.array(np.arange(len(names), dtype=np.int32))
    hashes: IntArray = np.zeros(len(names), np.int64)
    for part, turn in _TURNS.items():
        hashes ^= _hashes(names.column(part, everything), turn)
    return hashes


def names_at(table: pa.RecordBatch, rows: IntArray) -> list[SeriesName]:
    """Return the series of some rows of a batch."""
    places: Any = pa.array(rows)
    columns = [table.column(name).take(places).to_pylist() for name in SeriesName._fields]
    return [SeriesName(*row) for row in zip(*columns, strict=True)]


def distinct_series(table: "pa.Table | pa.RecordBatch") -> tuple[list[SeriesName], IntArray]:
    """Return the series of points (series_id, service, metric, labels) in order of first sight, and each row's number (n,)."""
    batch = table if isinstance(table, pa.RecordBatch) else _as_batch(table)
    ids = np.ascontiguousarray(batch.column("series_id").to_numpy(zero_copy_only=False))
    code, first = distinct(ids)
    return names_at(batch, first), code.astype(np.int64)


def _as_batch(table: pa.Table) -> pa.RecordBatch:
    columns = [whole(table.column(name)) for name in SeriesName._fields]
    return pa.RecordBatch.from_arrays(columns, names=list(SeriesName._fields))


def series_of_texts(services: Sequence[str], metrics: Sequence[str]) -> list[SeriesName]:
    """Return series of the default tenant from services and metrics with their labels, as version 0.1 named them."""
    parsed = [folded_metric(metric) for metric in metrics]
    names, labels = [metric for metric, _ in parsed], [labels_text(held) for _, held in parsed]
    columns = [pa.array(texts, pa.string()) for texts in (services, names, labels)]
    ids = ids_of_columns(columns[0], columns[1], columns[2], DEFAULT_TENANT).tolist()
    return [SeriesName(*row) for row in zip(ids, services, names, labels, strict=True)]


class _MetricFacts(NamedTuple):
    """What a metric's name says of its series."""

    signal: int
    limit: float  # NaN = none
    alarms: bool  # whether it can alarm
    floor: float  # of the scale


class SeriesIndex:
    """Names and facts of series by slot, of services by number (in order of their first series)."""

    def __init__(self, names: SeriesNames | None = None) -> None:
        self.names = SeriesNames() if names is None else names
        self._metrics: list[_MetricFacts] = []
        self._columns = _MetricColumns.of(())

    def __len__(self) -> int:
        return len(self.names)

    @property
    def services(self) -> NameTable:
        """Return the numbers of services."""
        return self.names.services

    def add(self, series: Sequence[SeriesName]) -> FloatArray:
        """Add the series of new slots in slot order; return the absolute floor of their scales, (n,)."""
        begin = len(self.names)
        self.names.add(series)
        return self.floors(begin)

    def floors(self, begin: int = 0) -> FloatArray:
        """Return the absolute floor of the scale of every series from number `begin` on."""
        return self._by_metric().floor[self.names.codes("metric")[begin:]]

    @property
    def facts(self) -> SeriesFacts:
        """Return the facts of all series."""
        known = self._by_metric()
        return SeriesFacts(self.names.codes("service"), self.names.codes("metric"), known.signal, known.limit, known.alarms)

    def services_of(self, slot: npt.NDArray[np.int32]) -> IntArray:
        """Return the service numbers of slots (n,); any number for slot -1."""
        if not len(self.names):
            return np.zeros(slot.shape, np.int64)
        return self.names.codes("service")[slot].astype(np.int64)

    def _by_metric(self) -> "_MetricColumns":
        metrics = self.names.metrics.names
        if len(self._metrics) < len(metrics):
            self._metrics += [_facts_of(metric) for metric in metrics[len(self._metrics) :]]
            self._columns = _MetricColumns.of(self._metrics)
        return self._columns

    def columns_of(self, slots: "pa.Array[Any]") -> "list[pa.Array[Any]]":
        """Return series (text), series_id, service, metric and labels of slots (n,)."""
        return [self.names.column(part, slots) for part in ("text", "series_id", *_TURNS)]


class _MetricColumns(NamedTuple):
    """`_MetricFacts` by the number of the metric, (M,) each."""

    signal: IntArray
    limit: FloatArray
    alarms: npt.NDArray[np.bool_]
    floor: FloatArray

    @classmethod
    def of(cls, metrics: Sequence[_MetricFacts]) -> "_MetricColumns":
        """Return the columns of some metrics."""
        signal, limit, alarms, floor = zip(*metrics, strict=True) if metrics else ((), (), (), ())
        return cls(np.array(signal, np.int64), np.array(limit, float), np.array(alarms, np.bool_), np.array(floor, float))


def _facts_of(metric: str) -> _MetricFacts:
    spec = spec_of(metric)
    width, limit = width_of(metric), spec.limit if np.isfinite(spec.limit) else np.nan
    floor = RANGE_FLOOR * width if np.isfinite(width) else 0.0
    return _MetricFacts(SIGNALS.index(spec.signal), limit, not is_internal(metric), floor)
