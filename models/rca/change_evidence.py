"""Changes as evidence: a deployment shortly before a service strayed raises its odds, the less the more often it is deployed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import exp, log
from typing import Final

from aiops.incidents.root_cause import ChangeEvent

DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class ChangeConfig:
    """`share` of incidents that a change began; its harm shows after an exponential time with mean `delay_s`.

    A service is taken to change `prior_changes_per_day` times until so many days of its own have been seen. `slack_s` = how much
    a change may follow the onset that telemetry's step shows.
    """

    share: float = 0.3
    delay_s: float = 900.0
    prior_changes_per_day: float = 0.5
    slack_s: float = 60.0
    memory_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class KnownChanges:
    """Changes since `since`, of all services, from which the rate of each is estimated."""

    changes: tuple[ChangeEvent, ...]
    since: datetime
    until: datetime

    @classmethod
    def of(cls, changes: Sequence[ChangeEvent], since: datetime, until: datetime) -> "KnownChanges":
        """Return the changes up to `until`, in order of time; `since` moves back to the first of them."""
        kept = tuple(
            sorted(
                (change for change in changes if change.at <= until),
                key=lambda change: (change.at, change.service, change.change_id),
            )
        )
        return cls(kept, min([since, *(change.at for change in kept[:1])]), until)

    def before(self, service: str, onset: datetime, config: ChangeConfig) -> tuple[ChangeEvent, ...]:
        """Return the changes of `service` that came shortly before `onset`, the latest first."""
        near = [
            change
            for change in self.changes
            if change.service == service and -config.slack_s <= (onset - change.at).total_seconds() <= config.memory_s
        ]
        return tuple(reversed(near))

    def log_odds(self, service: str, onset: datetime, config: ChangeConfig) -> float:
        """Return the log of how much likelier these changes are if `service` began it at `onset` than if it did not.

        Density of the time from a change to its harm, over the rate of changes: Bayes with a Poisson background.
        """
        recent = self.before(service, onset, config)
        if not recent:
            return no_change(config)
        seen = sum(change.service == service for change in self.changes) - len(recent)
        rate = (seen + config.prior_changes_per_day) / ((self.until - self.since).total_seconds() + DAY_S)
        waited = max(0.0, (onset - recent[0].at).total_seconds())
        return log(1.0 - config.share + config.share * exp(-waited / config.delay_s) / config.delay_s / rate)


def no_change(config: ChangeConfig) -> float:
    """Return the log odds of a service that did not change."""
    return log(1.0 - config.share)
