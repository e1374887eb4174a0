"""All tenants of a partition of signals: entries in stream order to closed minutes; what cannot be read becomes a dead letter."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.errors import ContractError
from aiops.types import State
from data_contracts.schemas.wire_schemas import LOGS, SPANS
from data_contracts.series.tenant import DEFAULT_TENANT, tenant_fault
from data_contracts.telemetry.rejects import rejected_payload
from data_contracts.values.moments import moment_of_us
from serving.signal_minutes.minute_series import Makers
from serving.signal_minutes.progress_notes import MinuteProgress
from serving.signal_minutes.tenant_minutes import MinuteRules, TenantMinutes
from serving.stream import streams
from serving.stream.consumer.tenant_states import TENANTS, packed_tenants, tenant_states

SOURCE: Final = "signals"
_SCHEMAS: Final = {streams.KIND_LOGS: LOGS, streams.KIND_SPANS: SPANS}
_UNREADABLE: Final = (pa.ArrowException, OSError, MemoryError, ValueError, KeyError, TypeError, OverflowError, ContractError)
"""What Arrow raises on corrupt bytes, and what is raised of rows that are none of their kind."""
_UNUSABLE: Final = (pa.ArrowException, ContractError)
_UNKNOWN: Final = "refused_tenants"


@dataclass(frozen=True, slots=True)
class PartitionRules:
    """`max_tenants` are held; one of which nothing came for `forget_us` gives its place to a new one."""

    minutes: MinuteRules
    max_tenants: int = 32
    forget_us: int = 172_800_000_000


@dataclass(slots=True)
class Closed:
    """What entries gave, by tenant: series of minutes that are over, what they are about, and dead letters (`REJECTED`)."""

    series: dict[str, list[pa.Table]] = field(default_factory=dict)
    texts: dict[str, list[pa.Table]] = field(default_factory=dict)
    letters: dict[str, list[pa.RecordBatch]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Return the points and dead letters in it."""
        series = sum(table.num_rows for tables in self.series.values() for table in tables)
        return series + sum(batch.num_rows for batches in self.letters.values() for batch in batches)


class PartitionMinutes:
    """State of a partition. `apply` entries in stream order; `snapshot` and `restore` are exact."""

    def __init__(self, rules: PartitionRules, makers: Makers) -> None:
        self._rules = rules
        self._makers = makers
        self._tenants: dict[str, TenantMinutes] = {}
        self._clock_us = 0
        self._refused = 0

    def apply(self, entry: streams.Entry, closed: Closed) -> None:
        """Take in an entry and put into `closed` what it gave."""
        self._clock_us = max(self._clock_us, entry.available_us)
        if entry.kind == streams.KIND_WATERMARK:
            self._advance(entry, closed)
        elif entry.kind in self._makers.of_kind and (tenant := self._tenant(entry)) is not None:
            self._observe(tenant, entry, closed)

    def _observe(self, tenant: TenantMinutes, entry: streams.Entry, closed: Closed) -> None:
        try:
            rows = _rows_of(entry)
        except _UNREADABLE as error:
            self._reject(entry, error, closed)
            return
        try:
            series = tenant.apply(entry.kind, rows, entry.available_us)
        except _UNUSABLE as error:
            self._reject(entry, error, closed)
        else:
            self._add(entry.tenant, series, closed)
            self._say(tenant, entry.tenant, closed)

    def _advance(self, entry: streams.Entry, closed: Closed) -> None:
        try:
            event_us = int(json.loads(entry.payload)["event_us"])
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            self._reject(entry, error, closed)
            return
        if (tenant := self._tenants.get(entry.tenant)) is not None:
            self._add(entry.tenant, tenant.advance(min(event_us, entry.available_us)), closed)
            self._say(tenant, entry.tenant, closed)

    def _add(self, tenant: str, series: list[pa.Table], closed: Closed) -> None:
        if series:
            closed.series.setdefault(tenant, []).extend(series)

    def _say(self, tenant: TenantMinutes, name: str, closed: Closed) -> None:
        if texts := tenant.texts():
            closed.texts.setdefault(name, []).extend(texts)

    def _reject(self, entry: streams.Entry, error: Exception, closed: Closed) -> None:
        words = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"
        letter = rejected_payload(entry.payload, words, moment_of_us(entry.available_us), SOURCE, entry.name)
        owner = DEFAULT_TENANT if tenant_fault(entry.tenant) else entry.tenant
        closed.letters.setdefault(owner, []).append(letter)

    def _tenant(self, entry: streams.Entry) -> TenantMinutes | None:
        """Return the state of an entry's tenant; None where there is no room for it, or it cannot be one."""
        known = self._tenants.get(entry.tenant)
        if known is not None:
            return known
        if len(self._tenants) >= self._rules.max_tenants:
            idle = min(self._tenants, key=lambda name: self._tenants[name].arrived_us)
            if self._clock_us - self._tenants[idle].arrived_us >= self._rules.forget_us:
                del self._tenants[idle]
        if len(self._tenants) >= self._rules.max_tenants or tenant_fault(entry.tenant) is not None:
            self._refused += 1
            return None
        made = self._tenants[entry.tenant] = TenantMinutes(self._rules.minutes, self._makers)
        return made

    def overdue(self, now_us: int) -> list[str]:
        """Return the tenants of which a minute is over by the clock while nothing comes."""
        return [name for name, tenant in self._tenants.items() if tenant.is_overdue(now_us)]

    def counts(self) -> dict[str, Mapping[str, int]]:
        """Return what came and what was left out so far, by tenant; under "" the entries of those that there is no room for."""
        known: dict[str, Mapping[str, int]] = {name: tenant.counts() for name, tenant in self._tenants.items()}
        return known | ({"": {_UNKNOWN: self._refused}} if self._refused else {})

    def progress(self) -> dict[str, MinuteProgress]:
        """Return how far minutes are made, by tenant."""
        return {name: tenant.progress() for name, tenant in self._tenants.items()}

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Return the whole state as arrays."""
        packed = packed_tenants({name: tenant.snapshot() for name, tenant in self._tenants.items()})
        return packed | {"clock": np.array([self._clock_us, self._refused], np.int64)}

    @classmethod
    def restore(cls, rules: PartitionRules, makers: Makers, state: State) -> "PartitionMinutes":
        """Return what `snapshot` described.

        Raises:
            StateError: the state is damaged. OutdatedState: it is of another version.
        """
        restored = cls(rules, makers)
        restored._clock_us, restored._refused = map(int, state["clock"])
        if state[TENANTS].size:
            own = tenant_states(state)
            restored._tenants = {name: TenantMinutes.restore(rules.minutes, makers, part) for name, part in own.items()}
        return restored


def _rows_of(entry: streams.Entry) -> pa.Table:
    """Return the rows of an entry, safe to read.

    Raises:
        ContractError: they are of another schema. ArrowInvalid, …: they are damaged.
    """
    rows = streams.from_ipc(entry.payload)
    expected = _SCHEMAS[entry.kind]
    missing = [name for name in expected.names if name not in rows.column_names]
    if missing:
        raise ContractError(f"column {missing[0]} is missing")
    rows.validate(full=True)
    if rows["timestamp"].type != expected.field("timestamp").type or rows["timestamp"].null_count:
        raise ContractError("timestamp is null, or no time")
    return rows
