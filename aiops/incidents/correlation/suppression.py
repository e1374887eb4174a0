"""What nobody is to hear about: maintenance windows, also recurring ones, and silences by label matchers.

Regular expressions are RE2's, as in Prometheus: no look-around, no back-references, so none takes more than linear time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from aiops.errors import ConfigurationError
from aiops.incidents.alert import Alert
from aiops.incidents.correlation.outcome import FateKind, Suppressed

MOST_CHARACTERS: Final = 500
"""Characters of an expression at most."""
_OPERATORS: Final = ("=", "!=", "=~", "!~")


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one label: `=`, `!=`, or a whole match of an expression (RE2), `=~` and `!~`; a missing label is empty.

    Raises:
        ConfigurationError: the operator is unknown, or the expression is not RE2's or too long.
    """

    label: str
    """name of the label"""
    operator: str
    """`=`, `!=`, `=~` or `!~`"""
    value: str
    """the text or the expression (RE2)"""

    def __post_init__(self) -> None:
        """Check the operator and the expression."""
        if self.operator not in _OPERATORS:
            raise ConfigurationError(f"matcher {self.label}: operator={self.operator!r} is unknown; use {', '.join(_OPERATORS)}")
        if self.operator.endswith("~"):
            _check_pattern(self.value)

    def matches(self, alert: Alert) -> bool:
        """Return whether the alert fulfils the condition.

        >>> from datetime import datetime, UTC
        >>> from aiops.incidents.alert import Severity
        >>> alert = Alert("1", "f", "cart-db", "Slow", Severity.WARNING, datetime(2026, 1, 1, tzinfo=UTC))
        >>> Matcher("service", "=~", "cart.*").matches(alert), Matcher("service", "!=", "cart-db").matches(alert)
        (True, False)
        """
        seen = alert.label(self.label)
        same = _whole_match(self.value, seen) if self.operator.endswith("~") else seen == self.value
        return same != self.operator.startswith("!")


@dataclass(frozen=True, slots=True)
class Silence:
    """Alerts that fulfil all matchers are suppressed in [starts_at, ends_at)."""

    name: str
    """its name"""
    matchers: tuple[Matcher, ...]
    """conditions that an alert fulfils all"""
    starts_at: datetime
    """when it begins"""
    ends_at: datetime
    """when it ends (exclusive)"""

    def __post_init__(self) -> None:
        """Check that it matches something, sometime."""
        _check(f"silence {self.name}", self.matchers, self.starts_at, self.ends_at)

    def covers(self, alert: Alert, at: datetime) -> bool:
        """Return whether the alert is silenced at a time."""
        return self.starts_at <= at < self.ends_at and all(matcher.matches(alert) for matcher in self.matchers)


@dataclass(frozen=True, slots=True)
class MaintenanceWindow:
    """A time of planned work on what the matchers name: [starts_at, ends_at), and again `every` so long (UTC), until `until`."""

    name: str
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    every: timedelta | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        """Check that it matches something, sometime, and that it ends before it comes again."""
        _check(f"maintenance {self.name}", self.matchers, self.starts_at, self.ends_at)
        if self.every is not None and self.every < self.ends_at - self.starts_at:
            raise ConfigurationError(
                f"maintenance {self.name}: every={self.every} is shorter than the window itself; give a longer period"
            )
        if self.until is not None and self.until <= self.starts_at:
            raise ConfigurationError(
                f"maintenance {self.name}: until={self.until} is not after starts_at={self.starts_at}; give a later time"
            )

    def covers(self, alert: Alert, at: datetime) -> bool:
        """Return whether work on the alert's service is planned at a time."""
        since = at - self.starts_at
        if since < timedelta(0) or (self.until is not None and at >= self.until):
            return False
        inside = (since if self.every is None else since % self.every) < self.ends_at - self.starts_at
        return inside and all(matcher.matches(alert) for matcher in self.matchers)


@dataclass(frozen=True, slots=True)
class Suppression:
    """All maintenance windows and silences in force."""

    windows: tuple[MaintenanceWindow, ...] = ()
    silences: tuple[Silence, ...] = ()

    def reason(self, alert: Alert, at: datetime) -> Suppressed | None:
        """Return why an alert is suppressed at a time: the first rule in order; None = it is not."""
        for window in self.windows:
            if window.covers(alert, at):
                return Suppressed(FateKind.MAINTENANCE, window.name)
        for silence in self.silences:
            if silence.covers(alert, at):
                return Suppressed(FateKind.SILENCE, silence.name)
        return None


def _check(what: str, matchers: Sequence[Matcher], starts_at: datetime, ends_at: datetime) -> None:
    if not matchers:
        raise ConfigurationError(f"{what}: matchers=() would hide every alert; give at least one")
    if ends_at <= starts_at:
        raise ConfigurationError(f"{what}: ends_at={ends_at} is not after starts_at={starts_at}; give a later end")


def _check_pattern(text: str) -> None:
    if len(text) > MOST_CHARACTERS:
        raise ConfigurationError(f"matcher: an expression of {len(text)} characters; give at most {MOST_CHARACTERS}")
    try:
        _matches(text, "")  # by itself: ")(" is none, though brackets around it make one
        _whole_match(text, "")
    except ValueError as error:  # Arrow's is one
        raise ConfigurationError(
            f"matcher: {text!r} is no regular expression of RE2 ({error}); mend it (no look-around, no back-references) or use ="
        ) from error


@lru_cache(maxsize=16_384)
def _whole_match(pattern: str, text: str) -> bool:
    return _matches(f"^(?s:{pattern})$", text)


def _matches(pattern: str, text: str) -> bool:
    return bool(pc.match_substring_regex(pa.scalar(text, pa.string()), pattern=pattern).as_py())
