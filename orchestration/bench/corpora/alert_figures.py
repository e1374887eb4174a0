"""What notifications made of raw alerts are worth: how few, how many faults they catch, how pure, and whom they suspect.

Only all figures together mean something: one notification an hour suppresses well and catches nothing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

WITHIN: Final = 5
"""Minutes after its injection in which a fault is caught."""
AFTER: Final = 20
"""Minutes after a fault in which a notification is not counted as false."""
OWN: Final = 8
"""Minutes after a fault in which an alert is counted as the fault's."""


@dataclass(frozen=True, slots=True)
class RawAlert:
    """One alert as it arrived; `minute` since 00:00 UTC of its day, `z` in standard deviations."""

    alert_id: int
    minute: int
    service: str
    z: float


@dataclass(frozen=True, slots=True)
class Notification:
    """One notification: the minute it is sent, the alerts it absorbs, the services suspected, the most probable first."""

    day: str
    open: int
    alerts: tuple[int, ...]
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DayTruth:
    """What is known of a day afterwards: faults (minute, service) ascending, first minute with data, first of the evening."""

    faults: tuple[tuple[int, str], ...]
    first: int
    evening: int


@dataclass(frozen=True, slots=True)
class FunnelFigures:
    """Figures of one way to notify on one day; shares are NaN where there is nothing to take a share of."""

    raw_alerts: int
    notifications: int
    suppression: float
    missed: float
    duplicates: int
    false_per_hour: float
    root_top1: float
    root_top3: float
    purity: float


def figures_of(truth: DayTruth, alerts: Mapping[int, RawAlert], notifications: Sequence[Notification]) -> FunnelFigures:
    """Return the figures of a day's notifications; those in the fault-free evening do not count."""
    counted = sorted(
        (notification for notification in notifications if truth.first <= notification.open < truth.evening),
        key=lambda notification: notification.open,
    )
    raw = sum(truth.first <= alert.minute < truth.evening for alert in alerts.values())
    near = {minute for fault, _ in truth.faults for minute in range(fault - 1, fault + AFTER + 1)}
    quiet_hours = sum(minute not in near for minute in range(truth.first, truth.evening)) / 60
    caught: dict[int, list[Notification]] = {}
    false = 0
    for notification in counted:
        fault = _latest(truth.faults, notification.open, WITHIN)
        if fault is not None:
            caught.setdefault(fault, []).append(notification)
        elif notification.open not in near:
            false += 1
    faults = len(truth.faults)
    first = [(truth.faults[fault][1], catching[0].services) for fault, catching in caught.items()]
    purities = [
        _purity(truth.faults, [alerts[number].minute for number in notification.alerts])
        for notification in counted
        if len(notification.alerts) > 1
    ]
    return FunnelFigures(
        raw_alerts=raw,
        notifications=len(counted),
        suppression=_share(raw - len(counted), raw),
        missed=_share(faults - len(caught), faults),
        duplicates=sum(len(catching) - 1 for catching in caught.values()),
        false_per_hour=_share(false, quiet_hours),
        root_top1=_share(sum(root in services[:1] for root, services in first), faults),
        root_top3=_share(sum(root in services[:3] for root, services in first), faults),
        purity=_share(sum(purities), len(purities)),
    )


def timed_groups(day: str, alerts: Sequence[RawAlert], length_min: int) -> tuple[Notification, ...]:
    """Return the trivial baseline: all alerts from a first one on for `length_min` minutes; most alerts, first suspect."""
    groups: list[list[RawAlert]] = []
    for alert in sorted(alerts, key=lambda raw_alert: (raw_alert.minute, raw_alert.alert_id)):
        if groups and alert.minute - groups[-1][0].minute < length_min:
            groups[-1].append(alert)
        else:
            groups.append([alert])
    sent = []
    for group in groups:
        count = Counter(alert.service for alert in group)
        services = tuple(sorted(count, key=lambda service: (-count[service], service)))
        sent.append(Notification(day, group[0].minute, tuple(alert.alert_id for alert in group), services))
    return tuple(sent)


def _latest(faults: Sequence[tuple[int, str]], minute: int, within: int) -> int | None:
    """Return the number of the latest fault not after a minute, where it lies at most `within` minutes back."""
    number = max((place for place, (fault, _) in enumerate(faults) if fault <= minute), default=None)
    return number if number is not None and minute <= faults[number][0] + within else None


def _purity(faults: Sequence[tuple[int, str]], minutes: Sequence[int]) -> float:
    """Return the share of alerts that belong to the same fault, or to none, as most of them do."""
    return Counter(_latest(faults, minute, OWN) for minute in minutes).most_common(1)[0][1] / len(minutes)


def _share(part: float, whole: float) -> float:
    return round(part / whole, 4) if whole else float("nan")
