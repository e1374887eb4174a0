"""Seasonal bands in the online feature store: rows of `season_schema.SEASONAL_BANDS` written, bands read, without Feast."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Lock
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import redis

from aiops.features.bands import SeriesBands, stale_text
from aiops.types import FloatArray, ReadStatistics
from data_contracts.schemas.feature_views import AVAILABLE_AT, BAND_VIEWS, BANDS
from data_contracts.schemas.season_schema import BAND_LIST, SEASONAL_BANDS
from data_contracts.series.series_name import SeriesName
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.online.online_features import RedisFeatures

CACHE_S: Final = 30.0
MAX_CACHED: Final = 20_000
_UNLIMITED_S: Final = 10**9
_EVER: Final = replace(BANDS, ttl_s=_UNLIMITED_S)
"""Reads bands of any age: whether they still hold is said in words, not by leaving them out."""
_NONE: Final[FloatArray] = np.empty(0)


def band_rows(bands: Sequence[SeriesBands], series: Sequence[SeriesName], available_at: datetime) -> pa.RecordBatch:
    """Return bands of series as rows of `season_schema.SEASONAL_BANDS`; a list of an unknown season is null."""
    starts = [band.starts_us for band in bands]
    columns: dict[str, Any] = {
        "event_timestamp": starts,
        "available_at": [available_at] * len(bands),
        "series": [name.text for name in series],
        **{part: [getattr(name, part) for name in series] for part in SeriesName._fields},
        "starts_us": starts,
        "slot_s": [band.slot_s for band in bands],
        "strength": [None if np.isnan(band.strength) else band.strength for band in bands],
        "model": [band.model for band in bands],
        "status": [band.status for band in bands],
    }
    for name in ("expected", "lower", "upper", "tail"):
        lists: list[FloatArray] = [getattr(band, name) for band in bands]
        columns[name] = [None if not cells.size else cells for cells in lists]
    return pa.RecordBatch.from_pydict({name: columns[name] for name in SEASONAL_BANDS.names}, schema=SEASONAL_BANDS)


def bands_of(rows: pa.RecordBatch) -> list[SeriesBands | None]:
    """Return the bands of rows of the view, in order; None where a row holds nothing. Slots that are null are NaN."""
    lists = map(_SlotLists, *(_lists(rows.column(name)) for name in _SlotLists._fields))
    plain = rows.select(["series", "starts_us", "slot_s", "strength", "model", "status"]).to_pylist()
    return [_bands(row, slots) for row, slots in zip(plain, lists, strict=True)]


class _SlotLists(NamedTuple):
    """Values of a season's slots, each (slots,); empty where the season is not known."""

    expected: FloatArray
    lower: FloatArray
    upper: FloatArray
    tail: FloatArray


def _bands(row: dict[str, Any], lists: _SlotLists) -> SeriesBands | None:
    if row["starts_us"] is None:
        return None
    strength = math.nan if row["strength"] is None else row["strength"]
    start, words = (row["series"], row["starts_us"], row["slot_s"]), (row["model"], row["status"])
    return SeriesBands(*start, *lists, strength, *words)


def _lists(column: "pa.Array[Any]") -> list[FloatArray]:
    assert column.type == BAND_LIST
    cells: Any = column
    return [np.asarray(cell.values.to_numpy(zero_copy_only=False)) if cell.is_valid else _NONE for cell in cells]


@dataclass(frozen=True, slots=True)
class _CachedBands:
    """Bands with when they became available; `read_at` says when they were read."""

    bands: SeriesBands | None
    available_at: datetime | None
    read_at: datetime

    def as_of(self, now: datetime) -> SeriesBands | None:
        """Return the bands, or why they do not hold any more."""
        if self.bands is None or not self.is_stale(now):
            return self.bands
        return self.bands.without_band(stale_text(self.bands.starts_us, BANDS.ttl_s))

    def is_stale(self, now: datetime) -> bool:
        return self.available_at is not None and (now - self.available_at).total_seconds() > BANDS.ttl_s


class _Counts:
    """Missing and stale series and the age of the newest bands read; thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._missing = self._stale = 0
        self._age_s: float | None = None

    def note(self, entries: Sequence[_CachedBands], now: datetime) -> None:
        ages = [(now - entry.available_at).total_seconds() for entry in entries if entry.available_at is not None]
        with self._lock:
            self._missing += sum(entry.bands is None for entry in entries)
            self._stale += sum(entry.is_stale(now) for entry in entries)
            if ages:
                self._age_s = max(0.0, min(ages))

    def statistics(self) -> ReadStatistics:
        with self._lock:
            fresh = {} if self._age_s is None else {BANDS.name: self._age_s}
            return ReadStatistics({BANDS.name: self._missing}, {BANDS.name: self._stale}, fresh)


@dataclass(slots=True)
class _Cache:
    """What the readers of all tenants hold: (tenant, series) to bands."""

    held: OrderedDict[tuple[str, str], _CachedBands] = field(default_factory=OrderedDict)
    lock: Lock = field(default_factory=Lock)
    counts: _Counts = field(default_factory=_Counts)


class RedisBands:
    """Band reader and writer of one tenant on one Redis. Thread-safe.

    What was read is kept for `cache_s` seconds, at most `MAX_CACHED` series of all tenants, of about 7 KiB each: bands change
    once a night.
    """

    def __init__(self, client: redis.Redis, cache_s: float = CACHE_S, tenant: str = DEFAULT_TENANT) -> None:
        self._store = RedisFeatures(client, tenant)
        self._tenant = tenant
        self._cache_s = cache_s
        self._cache = _Cache()

    def for_tenant(self, tenant: str) -> "RedisBands":
        """Return the reader and writer of a tenant on the same Redis; what is held is held together.

        Raises:
            TenantError: the tenant breaks the rule.
        """
        bound = object.__new__(type(self))
        bound._store, bound._tenant = self._store.for_tenant(tenant), tenant
        bound._cache_s, bound._cache = self._cache_s, self._cache
        return bound

    def write_bands(self, rows: pa.RecordBatch) -> int:
        """Write the newest `season_schema.SEASONAL_BANDS` row of each series; return the number written.

        Raises:
            Unavailable: Redis does not answer or refuses the write; what was written stays, repeating is safe.
        """
        return self._store.write(BAND_VIEWS, rows)

    def read_bands(self, series: Sequence[str], now: datetime) -> Sequence[SeriesBands | None]:
        """Return the newest bands of each series, in order; see `BandReader`. At most `cache_s` seconds old.

        Raises:
            Unavailable: Redis does not answer.
            ContractError: a stored value is not of its feature's type.
        """
        kept = self._kept(series, now)
        unread = [name for name in dict.fromkeys(series) if name not in kept]
        if unread:
            read = self._read(unread, now)
            kept |= read
            self._keep(read)
        cached = [kept[name] for name in series]
        self._cache.counts.note(cached, now)
        return [entry.as_of(now) for entry in cached]

    @property
    def read_statistics(self) -> ReadStatistics:
        """Return what reads met so far."""
        return self._cache.counts.statistics()

    def _is_new(self, cached: _CachedBands, now: datetime) -> bool:
        return 0 <= (now - cached.read_at).total_seconds() < self._cache_s

    def _kept(self, series: Sequence[str], now: datetime) -> dict[str, _CachedBands]:
        with self._cache.lock:
            cached = {name: self._cache.held.get((self._tenant, name)) for name in series}
        return {name: entry for name, entry in cached.items() if entry is not None and self._is_new(entry, now)}

    def _keep(self, read: dict[str, _CachedBands]) -> None:
        with self._cache.lock:
            for name, entry in read.items():
                self._cache.held[self._tenant, name] = entry
            while len(self._cache.held) > MAX_CACHED:
                self._cache.held.popitem(last=False)

    def _read(self, names: list[str], now: datetime) -> dict[str, _CachedBands]:
        rows = self._store.read((_EVER,), names, now)
        available: list[datetime | None] = rows.column(AVAILABLE_AT).to_pylist()
        return {name: _CachedBands(bands, at, now) for name, bands, at in zip(names, bands_of(rows), available, strict=True)}


class MemoryBands:
    """Bands of one tenant held in memory: the adapter for tests and for a service without a feature store. Thread-safe."""

    def __init__(self) -> None:
        self._held: dict[str, _CachedBands] = {}
        self._lock = Lock()
        self._counts = _Counts()
        self._tenants: dict[str, MemoryBands] = {DEFAULT_TENANT: self}

    def for_tenant(self, tenant: str) -> "MemoryBands":
        """Return the bands of a tenant; this object's are those of `default`."""
        return self._tenants.setdefault(tenant, MemoryBands())

    def write_bands(self, rows: pa.RecordBatch) -> int:
        """Keep `season_schema.SEASONAL_BANDS` rows; older bands never replace newer ones. Return the number kept."""
        kept = 0
        with self._lock:
            for bands, at in zip(bands_of(rows), rows.column(AVAILABLE_AT).to_pylist(), strict=True):
                assert bands is not None  # the schema's columns are required
                assert isinstance(at, datetime)
                stored = self._held.get(bands.series)
                if stored is None or stored.bands is None or stored.bands.starts_us <= bands.starts_us:
                    self._held[bands.series] = _CachedBands(bands, at, at)
                    kept += 1
        return kept

    def read_bands(self, series: Sequence[str], now: datetime) -> Sequence[SeriesBands | None]:
        """Return the newest bands of each series, in order; see `BandReader`."""
        with self._lock:
            stored = [self._held.get(name, _CachedBands(None, None, now)) for name in series]
        self._counts.note(stored, now)
        return [entry.as_of(now) for entry in stored]

    @property
    def read_statistics(self) -> ReadStatistics:
        """Return what reads met so far."""
        return self._counts.statistics()
