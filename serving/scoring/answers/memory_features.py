"""Online features held in memory: the adapter for tests and for a service without a feature store."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from threading import Lock

import pyarrow as pa

from aiops.types import ReadStatistics
from data_contracts.schemas.telemetry_schemas import SERVICE_FEATURES, SERVICE_FEATURES_TABLE
from data_contracts.series.tenant import DEFAULT_TENANT

VIEW = "memory"
_NAMES = ("event_timestamp", "available_at", "service", *SERVICE_FEATURES)


class MemoryFeatures:
    """The newest row of every service of one tenant; features older than `ttl` at the time of reading are null."""

    def __init__(self, ttl: timedelta) -> None:
        self._ttl = ttl
        self._rows: dict[str, dict[str, object]] = {}
        self._lock = Lock()
        self._missing = self._stale = 0
        self._age_s: float | None = None
        self._tenants: dict[str, MemoryFeatures] = {DEFAULT_TENANT: self}

    def for_tenant(self, tenant: str) -> "MemoryFeatures":
        """Return the rows of a tenant; this object's are those of `default`."""
        return self._tenants.setdefault(tenant, MemoryFeatures(self._ttl))

    def write_services(self, rows: pa.RecordBatch) -> int:
        """Keep rows of `schemas.SERVICE_FEATURES_TABLE`; an older tick never replaces a newer one."""
        with self._lock:
            for row in rows.to_pylist():
                held = self._rows.get(row["service"])
                if held is None or _tick(held) <= _tick(row):
                    self._rows[row["service"]] = row
        return rows.num_rows

    def read_services(self, services: Sequence[str], now: datetime) -> pa.RecordBatch:
        """Return one row a service in the order asked; unknown and stale ones have null features and the tick `now`."""
        rows = [self._fresh(service, now) for service in services]
        self._count(services, now)
        arrays = [pa.array([row.get(name) for row in rows], SERVICE_FEATURES_TABLE.field(name).type) for name in _NAMES]
        return pa.RecordBatch.from_arrays(arrays, schema=SERVICE_FEATURES_TABLE)

    @property
    def read_statistics(self) -> ReadStatistics:
        """Return what reads met so far, as one view."""
        return ReadStatistics({VIEW: self._missing}, {VIEW: self._stale}, {VIEW: self._age_s} if self._age_s is not None else {})

    def _count(self, services: Sequence[str], now: datetime) -> None:
        ages = [now - _tick(held) for service in services if (held := self._rows.get(service)) is not None]
        self._missing += len(services) - len(ages)
        self._stale += sum(age > self._ttl for age in ages)
        if ages:
            self._age_s = min(ages).total_seconds()

    def _fresh(self, service: str, now: datetime) -> dict[str, object]:
        held = self._rows.get(service)
        if held is None or now - _tick(held) > self._ttl:
            return {"service": service, "event_timestamp": now, "available_at": now}
        return held


def _tick(row: dict[str, object]) -> datetime:
    tick = row["event_timestamp"]
    assert isinstance(tick, datetime)
    return tick
