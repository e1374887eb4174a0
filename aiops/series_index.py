"""Names of series: dictionary codes of a batch -> keys, slots -> names and facts. Python cost per distinct name, not per row."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pyarrow as pa

from aiops.graph import ServiceGraph
from aiops.robust import RANGE_FLOOR
from aiops.service_features import Neighbours, SeriesFacts
from aiops.types import FloatArray, IntArray
from data_contracts.metrics import SIGNALS, MetricSpec, spec_of

METRIC_BITS = 32
FORGET_MARGIN = 4_096
"""Names that may be known without belonging to a series, before they are forgotten (batches beyond `max_series`)."""


@dataclass(slots=True)
class NameTable:
    """Numbers of names, in order of first sight."""

    number_of: dict[str, int] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)

    def numbers(self, names: Iterable[str]) -> IntArray:
        """Return the number of every name, (n,) int64; new names get the next ones."""
        return np.array([self.number(name) for name in names], dtype=np.int64)

    def number(self, name: str) -> int:
        """Return the number of `name`, the next one where it is new."""
        known = self.number_of.get(name)
        if known is None:
            known = len(self.names)
            self.number_of[name] = known
            self.names.append(name)
        return known


class DictionaryKeys:
    """Turns the two dictionary-encoded name columns of a batch into one int64 key a row."""

    def __init__(self) -> None:
        self.services = NameTable()
        self.metrics = NameTable()
        self._seen: list[tuple[pa.Array[Any], IntArray] | None] = [None, None]

    def of(self, table: pa.RecordBatch) -> IntArray:
        """Return service number << 32 | metric number of every row, (n,) int64."""
        services = self._column(0, table.column("service"), self.services)
        metrics = self._column(1, table.column("metric"), self.metrics)
        return (services << METRIC_BITS) | metrics

    def names_of(self, key: int) -> tuple[str, str]:
        """Return (service, metric) of a key."""
        return self.services.names[key >> METRIC_BITS], self.metrics.names[key & ((1 << METRIC_BITS) - 1)]

    def keys_of(self, series: Sequence[tuple[str, str]]) -> IntArray:
        """Return the key of every (service, metric), (n,) int64."""
        services = self.services.numbers(service for service, _ in series)
        return (services << METRIC_BITS) | self.metrics.numbers(metric for _, metric in series)

    def crowded(self, series: int) -> bool:
        """Whether many more names are known than `series` can need."""
        return max(len(self.services.names), len(self.metrics.names)) > 2 * series + FORGET_MARGIN

    def forget_unused(self, keys: IntArray) -> IntArray:
        """Forget all names but those of `keys`; return the keys in the new numbering."""
        pairs = [self.names_of(key) for key in keys.tolist()]
        self.services = NameTable()
        self.metrics = NameTable()
        self._seen = [None, None]
        return self.keys_of(pairs)

    def _column(self, place: int, column: "pa.Array[Any]", table: NameTable) -> IntArray:
        seen = self._seen[place]
        encoded = cast("pa.DictionaryArray[Any, Any]", column)
        dictionary = encoded.dictionary
        if seen is None or not dictionary.equals(seen[0]):
            seen = (dictionary, table.numbers(str(name) for name in dictionary.to_pylist()))
            self._seen[place] = seen
        numbers: IntArray = seen[1][encoded.indices.to_numpy(zero_copy_only=False)]
        return numbers


class SeriesIndex:
    """Names and facts of series by slot, of services by number (in order of their first series)."""

    def __init__(self, graph: ServiceGraph) -> None:
        self._graph = graph
        self._specs: dict[str, MetricSpec] = {}
        self._columns: tuple[int, pa.Array[Any], pa.Array[Any], pa.Array[Any]] | None = None
        self.services = NameTable()
        self.names: list[tuple[str, str]] = []
        self.facts = SeriesFacts(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
        self._neighbours: tuple[int, Neighbours, Neighbours] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def add(self, series: Sequence[tuple[str, str]]) -> FloatArray:
        """Add (service, metric) of new slots in slot order; return the absolute floor of their scales, (n,)."""
        begin = len(self.names)
        end = begin + len(series)
        self._reserve(end)
        floors = np.zeros(len(series))
        for i, (service, metric) in enumerate(series):
            spec = self._spec(metric)
            self.facts.service[begin + i] = self.services.number(service)
            self.facts.signal[begin + i] = SIGNALS.index(spec.signal)
            self.facts.limit[begin + i] = spec.limit if np.isfinite(spec.limit) else np.nan
            width = spec.high - spec.low
            floors[i] = RANGE_FLOOR * width if np.isfinite(width) else 0.0
        self.names.extend(series)
        return floors

    def columns(self) -> "tuple[pa.Array[Any], pa.Array[Any], pa.Array[Any]]":
        """Return (series, service, metric) names by slot as Arrow strings."""
        if self._columns is None or self._columns[0] != len(self.names):
            services = pa.array([service for service, _ in self.names], pa.string())
            metrics = pa.array([metric for _, metric in self.names], pa.string())
            series = pa.array([f"{service}|{metric}" for service, metric in self.names], pa.string())
            self._columns = (len(self.names), series, services, metrics)
        return self._columns[1:]

    def neighbours(self) -> tuple[Neighbours, Neighbours]:
        """Return (callers, callees) by service number."""
        count = len(self.services.names)
        if self._neighbours is None or self._neighbours[0] != count:
            callers = self._numbers([self._graph.callers(name) for name in self.services.names])
            callees = self._numbers([self._graph.callees(name) for name in self.services.names])
            self._neighbours = (count, callers, callees)
        return self._neighbours[1:]

    def _numbers(self, groups: Sequence[Sequence[str]]) -> Neighbours:
        known = self.services.number_of
        numbers = [[known[name] for name in group if name in known] for group in groups]
        start = np.cumsum([0, *(len(group) for group in numbers)], dtype=np.int64)
        return Neighbours(start, np.array([number for group in numbers for number in group], dtype=np.int64))

    def _spec(self, metric: str) -> MetricSpec:
        spec = self._specs.get(metric)
        if spec is None:
            spec = self._specs[metric] = spec_of(metric)
        return spec

    def _reserve(self, count: int) -> None:
        room = self.facts.limit.size
        if count > room:
            more = max(count, 2 * room, 64) - room
            self.facts = SeriesFacts(
                np.pad(self.facts.service, (0, more)), np.pad(self.facts.signal, (0, more)), np.pad(self.facts.limit, (0, more))
            )
