"""The minutes of one tenant: which are over, by event time, and the series of those.

The watermark of each kind of signal is the newest event time, never later than the arrival: a sender whose clock is ahead closes
no minute for the others. A minute closes when the watermark lies `lateness_us` behind its end. What moves a watermark without
rows is an entry of the stream, too, so the state is a function of the entries and nothing else.

A point bears the time at which its minute may be closed, not that of its end: telemetry beside it goes on meanwhile, and would
close the tick that the point belongs to.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aiops.errors import StateError
from aiops.types import State
from serving.signal_minutes.minute_series import Makers, MinuteSeries, RequestSeries
from serving.signal_minutes.progress_notes import MinuteProgress

MINUTE_US: Final = 60_000_000
_CLOCKS: Final = "clocks"
_KINDS: Final = "kinds"
_REQUESTS: Final = "requests"


@dataclass(frozen=True, slots=True)
class MinuteRules:
    """When minutes close: `lateness_us` of event time after their end, or by the clock where a tenant is `idle_us` silent."""

    lateness_us: int = 10_000_000
    idle_us: int = 15_000_000

    def over(self, at_us: int) -> int:
        """Return up to which time minutes are over at a watermark."""
        return (at_us - self.lateness_us) // MINUTE_US * MINUTE_US


class TenantMinutes:
    """State of one tenant. `apply` and `advance` in stream order; `snapshot` and `restore` are exact."""

    def __init__(self, rules: MinuteRules, makers: Makers) -> None:
        self._rules = rules
        self._makers = makers
        self._series: dict[bytes, MinuteSeries] = {}
        self._requests = makers.of_requests.new() if makers.of_requests else None
        self._watermark_us: dict[bytes, int] = {}
        self._points = 0
        self._made: dict[bytes, int] = {}
        """Series in the newest minute that was made of each kind."""
        self._newest_us = 0
        self._requests_over_us = 0
        self.arrived_us = 0
        """When the newest rows arrived."""

    def apply(self, kind: bytes, rows: pa.Table, available_us: int) -> list[pa.Table]:
        """Take in rows of a kind; return the series of minutes that are over now.

        Raises:
            ContractError: the rows are none of the kind; the state stays as it was.
        """
        series = self._series.get(kind) or self._makers.of_kind[kind].new()
        series.observe(rows)
        self._series[kind] = series
        if self._requests is not None:
            self._requests.observe(kind, rows, series)
        self.arrived_us = max(self.arrived_us, available_us)
        newest_us = _newest_us(rows)
        self._newest_us = max(self._newest_us, newest_us)
        return [*self._close(kind, min(newest_us, available_us)), *self._close_requests()]

    def advance(self, event_us: int) -> list[pa.Table]:
        """Move the watermarks of all kinds; return the series of minutes that are over now."""
        return [*(table for kind in list(self._series) for table in self._close(kind, event_us)), *self._close_requests()]

    def _close_requests(self) -> list[pa.Table]:
        """Return the series of requests of minutes that are over for every kind that came."""
        if self._requests is None or not self._watermark_us:
            return []
        over_us = min(map(self._rules.over, self._watermark_us.values()))
        if over_us <= self._requests_over_us:
            return []
        self._requests_over_us = over_us
        return self._late(self._requests.closed(over_us, self._series))

    def _close(self, kind: bytes, event_us: int) -> list[pa.Table]:
        before = self._watermark_us.get(kind)
        self._watermark_us[kind] = event_us if before is None else max(before, event_us)
        over_us = self._rules.over(self._watermark_us[kind])
        if before is not None and over_us <= self._rules.over(before):
            return []
        closed = self._series[kind].closed(over_us)
        if closed.num_rows:
            self._made[kind] = _newest_series(closed)
        return self._late(closed)

    def _late(self, closed: pa.Table) -> list[pa.Table]:
        """Return points at the time at which their minutes may be closed, and count them."""
        self._points += closed.num_rows
        return [_known_later(closed, self._rules.lateness_us)] if closed.num_rows else []

    def texts(self) -> list[pa.Table]:
        """Return what series are about as far as it is new since the last call."""
        every: list[MinuteSeries | RequestSeries] = [
            *self._series.values(),
            *([self._requests] if self._requests is not None else []),
        ]
        return [texts for texts in (series.texts() for series in every) if texts.num_rows]

    def is_overdue(self, now_us: int) -> bool:
        """Return whether a minute with rows is over by the clock, and nothing comes that would say so."""
        if not self._watermark_us or now_us - self.arrived_us < self._rules.idle_us:
            return False
        over_us = self._rules.over(min(self._watermark_us.values()))
        return over_us <= self._newest_us and over_us < self._rules.over(now_us)

    def counts(self) -> dict[str, int]:
        """Return where rows went, by name of their kind and fate, and how many points were made."""
        total = {"points": self._points}
        for kind, series in self._series.items():
            rows = self._makers.of_kind[kind].rows
            total |= {f"{rows}.{name}": count for name, count in asdict(series.counts).items()}
        if self._requests is not None:
            total |= {f"requests.{name}": count for name, count in asdict(self._requests.counts).items()}
        return total

    def progress(self) -> MinuteProgress:
        """Return how far minutes are made, of the kind that is ahead."""
        made_us = max((self._rules.over(at_us) for at_us in self._watermark_us.values()), default=0)
        return MinuteProgress(self._newest_us, max(0, made_us), sum(self._made.values()))

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Return the whole state as arrays."""
        kinds = list(self._series)
        watermarks = [self._watermark_us.get(kind, 0) for kind in kinds]
        packed: dict[str, npt.NDArray[Any]] = {
            _KINDS: np.array([kind.decode() for kind in kinds], dtype="U"),
            _CLOCKS: np.array([self.arrived_us, self._newest_us, self._points, *watermarks], np.int64),
        }
        if self._requests is not None:
            packed |= {f"{_REQUESTS}/{name}": array for name, array in self._requests.state().items()}
            packed[_REQUESTS] = np.array([self._requests_over_us], np.int64)
        for kind, series in self._series.items():
            packed |= {f"{kind.decode()}/{name}": array for name, array in series.state().items()}
        return packed

    @classmethod
    def restore(cls, rules: MinuteRules, makers: Makers, state: State) -> "TenantMinutes":
        """Return what `snapshot` described.

        Raises:
            StateError: the state is damaged, or of another configuration.
        """
        restored = cls(rules, makers)
        try:
            restored.arrived_us, restored._newest_us, restored._points, *watermarks = state[_CLOCKS].tolist()
            for name, watermark_us in zip(state[_KINDS].tolist(), watermarks, strict=True):
                own = _part(state, f"{name}/")
                restored._series[str(name).encode()] = makers.of_kind[str(name).encode()].restore(own)
                restored._watermark_us[str(name).encode()] = watermark_us
            if makers.of_requests is not None and _REQUESTS in state:  # a state of before has none: they begin anew
                restored._requests = makers.of_requests.restore(_part(state, f"{_REQUESTS}/"))
                (restored._requests_over_us,) = state[_REQUESTS].tolist()
        except KeyError as error:
            raise StateError(f"checkpoint of signals lacks {error}; remove it to begin anew") from error
        return restored


def _known_later(series: pa.Table, lateness_us: int) -> pa.Table:
    """Return series with the times at which their minutes may be closed."""
    place, at = series.schema.get_field_index("timestamp"), series["timestamp"]
    moved: Any = pc.add(at.cast(pa.int64()), lateness_us)
    return series.set_column(place, series.schema.field(place), moved.cast(at.type))


def _newest_series(series: pa.Table) -> int:
    """Return how many series have a point in the newest minute."""
    at: Any = series["timestamp"]
    return int(pc.sum(pc.equal(at, pc.max(at))).as_py() or 0)


def _part(state: Mapping[str, npt.NDArray[Any]], prefix: str) -> dict[str, npt.NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}


def _newest_us(rows: pa.Table) -> int:
    """Return the newest event time of rows, 0 where there are none: of spans that of their end, which makes them known."""
    at: Any = rows["timestamp"].cast(pa.int64())
    ends = pc.add(at, rows["duration_us"]) if "duration_us" in rows.column_names else at
    return int(pc.max(ends).as_py() or 0)
