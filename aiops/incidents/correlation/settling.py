"""Alerts wait a moment before they count, so that the order in which they arrive does not matter."""

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from aiops.incidents.alert import Alert, alert_of_plain, plain_alert
from aiops.incidents.correlation.rate import SECOND_US
from data_contracts.values.moments import microseconds_of

AHEAD_US: Final = 60 * SECOND_US
"""How far an alert's clock may be ahead; one that is farther ahead is taken as of now."""


class Times(NamedTuple):
    """Moments of one step, us: the time reached so far, that up to which alerts count now, and now."""

    reached_us: int
    until_us: int
    now_us: int


class Settling:
    """The alerts that wait. Memory: those of `settle_s`. Not thread-safe."""

    def __init__(self) -> None:
        self._waiting: list[Alert] = []
        self.late = 0

    def add(self, alerts: Iterable[Alert]) -> None:
        """Take in alerts in any order."""
        self._waiting.extend(alerts)

    def due(self, times: Times, known: Callable[[Alert], bool]) -> list[tuple[int, Alert]]:
        """Return what counts now, and as of when, in order of time; what comes too late counts as of the time reached.

        Args:
            times: between which alerts count.
            known: whether an alert is a repetition, which is never counted as late.
        """
        reached_us, until_us = times.reached_us, times.until_us
        due: list[tuple[int, int, str, str, Alert]] = []
        kept: list[Alert] = []
        for alert in self._waiting:
            event_us = microseconds_of(alert.ends_at or alert.starts_at)
            if until_us <= event_us <= times.now_us + AHEAD_US:
                kept.append(alert)
                continue
            self.late += event_us < reached_us and not known(alert)
            due.append((min(max(event_us, reached_us), until_us), event_us, alert.fingerprint, alert.alert_id, alert))
        self._waiting = kept
        return [(row[0], row[4]) for row in sorted(due, key=lambda row: row[:4])]

    def snapshot(self) -> list[object]:
        """Return what waits as plain data."""
        return [plain_alert(alert) for alert in self._waiting]

    def restore(self, alerts: list[Any], late: int) -> None:
        """Go on from a snapshot."""
        self._waiting, self.late = [alert_of_plain(fields) for fields in alerts], late
