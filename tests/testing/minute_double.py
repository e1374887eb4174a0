"""A stand-in for what makes series of lines: lines by service, minute and level; exact, late ones counted."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from aiops.errors import ContractError
from aiops.settings.signal_settings import SignalSettings
from aiops.signals.minute_series import MINUTE_SERIES
from aiops.types import State
from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from data_contracts.schemas.wire_schemas import SIGNAL_TEXTS
from serving.signal_minutes.minute_series import Makers, SeriesMaker
from serving.signal_minutes.series_makers import makers_of
from serving.signal_minutes.tenant_minutes import MINUTE_US
from serving.stream import streams


@dataclass(frozen=True, slots=True)
class LineCounts:
    late: int


class CountedLines:
    """Counts by (minute, service, level)."""

    def __init__(self) -> None:
        self.open: dict[tuple[int, str, str], float] = {}
        self.closed_us = 0
        self.late = 0

    def observe(self, rows: pa.Table) -> None:
        for at_us, service, body in zip(
            rows["timestamp"].cast(pa.int64()).to_pylist(), rows["service"].to_pylist(), rows["body"].to_pylist(), strict=True
        ):
            if body == "poison":
                raise ContractError("line is poison")
            if at_us < self.closed_us:
                self.late += 1
                continue
            key = (at_us // MINUTE_US * MINUTE_US, str(service), "error" if "error" in str(body) else "info")
            self.open[key] = self.open.get(key, 0.0) + 1.0

    def closed(self, up_to_us: int) -> pa.Table:
        over = sorted(key for key in self.open if key[0] + MINUTE_US <= up_to_us)
        self.closed_us = max(self.closed_us, up_to_us)
        columns: dict[str, Any] = {
            "service": pa.array([service for _, service, _ in over], pa.string()),
            "metric": pa.array(["log_lines"] * len(over), pa.string()),
            "labels": pa.array([[("level", level)] for _, _, level in over], pa.map_(pa.string(), pa.string())),
            "timestamp": pa.array([minute + MINUTE_US for minute, _, _ in over], pa.int64()).cast(TIMESTAMP),
            "value": pa.array([self.open.pop(key) for key in over], pa.float64()),
        }
        return pa.table(columns).select(MINUTE_SERIES.names).cast(MINUTE_SERIES)

    def texts(self) -> pa.Table:
        return SIGNAL_TEXTS.empty_table()

    @property
    def counts(self) -> LineCounts:
        return LineCounts(self.late)

    def state(self) -> State:
        keys = list(self.open)
        return {
            "minute": np.array([key[0] for key in keys], np.int64),
            "service": np.array([key[1] for key in keys], dtype="U"),
            "level": np.array([key[2] for key in keys], dtype="U"),
            "count": np.array([self.open[key] for key in keys]),
            "clock": np.array([self.closed_us, self.late], np.int64),
        }

    @classmethod
    def restore(cls, state: State) -> "CountedLines":
        made = cls()
        keys = zip(state["minute"].tolist(), state["service"].tolist(), state["level"].tolist(), strict=True)
        made.open = dict(zip(keys, state["count"].tolist(), strict=True))
        made.closed_us, made.late = map(int, state["clock"])
        return made


def makers() -> Makers:
    """Return the double for logs alone."""
    return Makers({streams.KIND_LOGS: SeriesMaker("logs", CountedLines, CountedLines.restore)})


def makers_with_requests() -> Makers:
    """Return the double for logs, and what the product makes of spans and of requests."""
    real = makers_of(SignalSettings())
    return Makers({**makers().of_kind, streams.KIND_SPANS: real.of_kind[streams.KIND_SPANS]}, real.of_requests)
