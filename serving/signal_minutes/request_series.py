"""Requests of a tenant as the stage sees them: nothing is made, or imported, before its first line or span comes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from aiops.types import State
from data_contracts.schemas.wire_schemas import SIGNAL_TEXTS
from serving.signal_minutes.minute_series import MinuteSeries
from serving.stream import streams

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from aiops.signals.request_minutes import RequestMinutes


@dataclass(frozen=True, slots=True)
class _NoCounts:
    """Of requests of a tenant that sent nothing."""


class RequestsOfSignals:
    """Implements `RequestSeries`."""

    def __init__(self) -> None:
        self._minutes: RequestMinutes | None = None

    @property
    def counts(self) -> "DataclassInstance":
        """Return where spans and lines went so far."""
        return _NoCounts() if self._minutes is None else self._minutes.counts

    def observe(self, kind: bytes, rows: pa.Table, series: MinuteSeries) -> None:
        """Take in rows of a kind that `series` has taken in."""
        from aiops.signals.request_minutes import RequestMinutes

        self._minutes = self._minutes or RequestMinutes()
        if kind == streams.KIND_SPANS:
            self._minutes.observe_spans(rows)
            return
        from aiops.signals.log_minutes import LogMinutes

        if isinstance(series, LogMinutes):
            self._minutes.observe_lines(series.traced())

    def closed(self, up_to_us: int, series: Mapping[bytes, MinuteSeries]) -> pa.Table:
        """Return the series of minutes that end by a time, each once."""
        from aiops.signals.minute_series import MINUTE_SERIES

        logs = series.get(streams.KIND_LOGS)
        if self._minutes is None:
            return MINUTE_SERIES.empty_table()
        if logs is None:
            return self._minutes.closed(up_to_us, None)
        from aiops.signals.log_minutes import LogMinutes

        return self._minutes.closed(up_to_us, logs if isinstance(logs, LogMinutes) else None)

    def texts(self) -> pa.Table:
        """Return what changed, in words, as far as it is new since the last call."""
        return SIGNAL_TEXTS.empty_table() if self._minutes is None else self._minutes.texts()

    def state(self) -> State:
        """Return the whole state as arrays; none where nothing came."""
        return {} if self._minutes is None else self._minutes.state()

    @classmethod
    def restore(cls, state: State) -> "RequestsOfSignals":
        """Return requests that go on as those that were saved would have.

        Raises:
            StateError: the state is damaged. OutdatedState: it is of another version.
        """
        restored = cls()
        if state:
            from aiops.signals.request_minutes import RequestMinutes, RequestMinutesConfig

            restored._minutes = RequestMinutes.restore(RequestMinutesConfig(), state)
        return restored
