"""What fires: a rule fires for many instances (pods, hosts, levels of severity) and is over when the last of them has ended.

Messages may come late or in the wrong order. An episode is known by when it began: an end from before that is the end of an
earlier one, and a message that says "fires" of an episode that is known to be over says nothing new.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from aiops.incidents.alert import Alert, Severity
from aiops.incidents.correlation.outcome import FateKind, Suppressed
from data_contracts.values.moments import microseconds_of

MOST_INSTANCES: Final = 1000
"""Instances of one fingerprint that are kept apart; while more fire, it is not over until it was silent for long."""
MOST_ENDS: Final = 2000
"""Newest ends that are remembered for messages that come after them."""
OVER: Final = "it was over before it was read"
FOLLOWED: Final = "of an episode that a newer one has followed"
UNKNOWN: Final = "of no open incident"
_MORE: Final = "more"
"""Stands for all instances beyond the bound."""
_SINGLE: Final = ""
"""The instance of an alert that names none, and of what was stored before instances were kept apart."""


@dataclass(slots=True)
class Firing:
    """One instance that fires, since when, when it was reported last (microseconds); `until_ended` as of `Alert`."""

    since_us: int
    last_us: int
    until_ended: bool


@dataclass(slots=True)
class Entry:
    """One fingerprint's repetitions; times in microseconds. Memory: about 200 B an instance that fires."""

    fingerprint: str
    service: str
    name: str
    severity: Severity
    first_us: int
    last_us: int
    count: int = 1
    firing: dict[str, Firing] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Return whether all instances are over."""
        return not self.firing

    def fires(self, alert: Alert, at_us: int) -> None:
        """Note that an instance fires."""
        since_us = microseconds_of(alert.starts_at)
        known = self.firing.get(alert.instance)
        if known is None and len(self.firing) >= MOST_INSTANCES:
            self.firing[_MORE] = Firing(since_us, at_us, alert.until_ended)
            return
        newest_us = since_us if known is None else max(since_us, known.since_us)
        self.firing[alert.instance] = Firing(newest_us, at_us, alert.until_ended)

    def ends(self, alert: Alert, at_us: int) -> bool:
        """Note that an instance is over; return False where the end is that of an episode which a newer one has followed."""
        name = alert.instance if alert.instance in self.firing else _SINGLE
        known = self.firing.get(name)
        over_us = at_us if alert.ends_at is None else microseconds_of(alert.ends_at)
        if known is not None and over_us < known.since_us:
            return False
        self.firing.pop(name, None)
        self.last_us = max(self.last_us, at_us)
        return True

    def still_fires(self, at_us: int, firing_us: int) -> bool:
        """Return whether an instance fires whose source reports its end and that was reported in the last `firing_us`."""
        return any(instance.until_ended and at_us - instance.last_us < firing_us for instance in self.firing.values())

    def copied(self) -> "Entry":
        """Return a copy that changes by itself."""
        return replace(self, firing={name: replace(instance) for name, instance in self.firing.items()})

    def plain(self) -> list[object]:
        """Return it as plain data."""
        firing = [[name, instance.since_us, instance.last_us, instance.until_ended] for name, instance in self.firing.items()]
        head = [self.fingerprint, self.service, self.name, int(self.severity)]
        return [*head, self.first_us, self.last_us, self.count, firing]

    @classmethod
    def of_plain(cls, fields: list[Any]) -> Self:
        """Return the entry of plain data; of version 2, which kept no instances apart, too."""
        fingerprint, service, name, severity, first_us, last_us, count, *rest = fields
        if len(rest) == 1:
            firing = {name: Firing(*numbers) for name, *numbers in rest[0]}
        else:
            ended, until_ended = rest
            firing = {} if ended else {_SINGLE: Firing(first_us, last_us, until_ended)}
        return cls(fingerprint, service, name, Severity(severity), first_us, last_us, count, firing)


class Ends:
    """The newest ends of alerts whose sources report ends, so that what is read after its end opens nothing. Not thread-safe."""

    def __init__(self) -> None:
        self._began_us: dict[tuple[str, str], int] = {}

    def note(self, alert: Alert) -> None:
        """Remember that an episode is over."""
        key = (alert.fingerprint, alert.instance)
        began_us = max(microseconds_of(alert.starts_at), self._began_us.pop(key, 0))
        self._began_us[key] = began_us
        if len(self._began_us) > MOST_ENDS:
            del self._began_us[next(iter(self._began_us))]

    def cover(self, alert: Alert) -> bool:
        """Return whether an alert that says "fires" is of an episode that is over."""
        began_us = self._began_us.get((alert.fingerprint, alert.instance))
        return began_us is not None and alert.until_ended and microseconds_of(alert.starts_at) <= began_us

    def ended_before(self, alert: Alert) -> Suppressed | None:
        """Return why an alert that ends and is of no open incident, or one that fires, is no news; None = it is news."""
        if alert.ends_at is not None:
            return Suppressed(FateKind.ENDED, UNKNOWN)
        return Suppressed(FateKind.ENDED, OVER) if self.cover(alert) else None

    def snapshot(self) -> list[list[object]]:
        """Return the state as plain data."""
        return [[*key, began_us] for key, began_us in self._began_us.items()]

    def restore(self, rows: list[list[Any]]) -> None:
        """Go on from a snapshot."""
        self._began_us = {(fingerprint, instance): began_us for fingerprint, instance, began_us in rows}
