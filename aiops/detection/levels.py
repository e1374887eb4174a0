"""Tier 1 in the stream: alarm levels and static limits of every series, looked up per point."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

import numpy as np

from aiops.types import FloatArray
from data_contracts.schemas.internals import is_internal
from data_contracts.schemas.metrics import spec_of
from data_contracts.series.series_name import SeriesName

DEFAULT_ALARM_Z: Final = 6.0
NO_ALARM_Z: Final = 1e9
"""Of series of a process' or a host's inner work (`internals`): what they show is information, not an alarm of tier 1."""


@runtime_checkable
class AlarmLevels(Protocol):
    """Where tier 1 raises the alarm, by series."""

    def alarm_for(self, series: Sequence[SeriesName]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return (n,) alarm |z|, (n,) lowest and (n,) highest normal value; infinite = no limit."""
        ...


class CatalogueLevels:
    """Without a fitted artifact: one alarm z for all, and the valid range of the metric as static limits."""

    def alarm_for(self, series: Sequence[SeriesName]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the defaults for `series`."""
        specs = [spec_of(name.metric) for name in series]
        lows = np.array([spec.low for spec in specs], dtype=np.float64)
        highs = np.array([spec.high for spec in specs], dtype=np.float64)
        return np.full(len(specs), DEFAULT_ALARM_Z), lows, highs


@dataclass(frozen=True, slots=True)
class Tier1:
    """Alarm levels and the version they are of; "" = the catalogue's. `own`: those of tenants that trained their own."""

    levels: AlarmLevels
    version: str
    own: "Mapping[str, Tier1]" = field(default_factory=dict)

    def of(self, tenant: str) -> "Tier1":
        """Return what judges a tenant's series: its own, or what is shared."""
        return self.own.get(tenant) or Tier1(self.levels, self.version.partition(";")[0])


CATALOGUE_VERSION: Final = ""


class LevelTable:
    """Alarm levels of the series of one engine, by slot. Memory: 24 B a series."""

    def __init__(self, levels: AlarmLevels) -> None:
        self._levels = levels
        self._count = 0
        self._columns = np.zeros((3, 1024))

    def columns(self, series: Sequence[SeriesName]) -> FloatArray:
        """Return alarm |z|, lowest and highest normal value by number in `series`, which only grows: (3, room for more)."""
        if len(series) > self._count:
            self._extend(series)
        return self._columns

    def _extend(self, series: Sequence[SeriesName]) -> None:
        size = len(series)
        if size > self._columns.shape[1]:
            grown = np.zeros((3, 2 * size))
            grown[:, : self._count] = self._columns[:, : self._count]
            self._columns = grown
        new = series[self._count :]
        self._columns[:, self._count : size] = np.stack(self._levels.alarm_for(new))
        self._columns[0, self._count : size][[is_internal(name.metric) for name in new]] = NO_ALARM_Z
        self._count = size
