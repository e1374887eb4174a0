"""Settings of alert correlation."""

from dataclasses import dataclass

from aiops.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class CorrelationConfig:
    """Times in seconds, distances in calls of the graph (a call that says nothing about co-occurrence is 1 long).

    - `settle_s`: how long alerts may arrive out of order.
    - `page_settle_s`: how long an incident's first page waits for what else fires, so that it names all of it; never longer.
    - `window_s`, `reach`: how long after an incident's last alert, and how far from one of its services, another alert still
      belongs to it, while at most `calm_per_min` new alerts a minute come; both shrink with the root of the rate, to
      `least_window_s` and 1.
    - `radius`: no service joins farther from the one that showed it first.
    - `child_calls`: callers so far above an open incident's first service are its children.
    - `quiet_s`: an incident without alerts for so long is resolved, but not while an alert fires whose source tells its end,
      unless that one was not repeated for `firing_s` (Alertmanager repeats every 4 h by default).
    - `storm_per_min`: alerts a minute from which on every component of alerting services is one incident.
    - `pages_per_hour`, `kept_for_critical`: the page budget.
    - `least_alerts`: different alerts, or one more repetition, that make a warning a page.
    - `most_open`, `most_alerts`: bounds of memory: open incidents, and different alerts that are kept apart in one.
    """

    settle_s: float = 2.0
    page_settle_s: float = 3.0
    window_s: float = 600.0
    least_window_s: float = 60.0
    calm_per_min: float = 30.0
    reach: float = 2.0
    radius: float = 3.0
    child_calls: int = 3
    quiet_s: float = 900.0
    firing_s: float = 21_600.0
    storm_per_min: int = 1000
    pages_per_hour: int = 60
    kept_for_critical: int = 20
    least_alerts: int = 2
    most_open: int = 2000
    most_alerts: int = 5000

    def __post_init__(self) -> None:
        """Check what cannot be used.

        Raises:
            ConfigurationError: a number is not positive, or the smaller of a pair is the greater.
        """
        for name in (
            "window_s",
            "least_window_s",
            "calm_per_min",
            "quiet_s",
            "firing_s",
            "storm_per_min",
            "most_open",
            "most_alerts",
        ):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"{name}={getattr(self, name)}: must be above 0; leave it out for the default")
        if self.page_settle_s < 0:
            raise ConfigurationError(f"page_settle_s={self.page_settle_s}: must not be below 0; leave it out for the default")
        if self.settle_s < 0 or self.reach < 1 or self.radius < self.reach or self.least_window_s > self.window_s:
            raise ConfigurationError(
                f"settle_s={self.settle_s}, reach={self.reach}, radius={self.radius}, "
                f"least_window_s={self.least_window_s}: needed are settle_s >= 0, 1 <= reach <= radius and "
                "least_window_s <= window_s; change the one that breaks it"
            )

    def window_now_s(self, per_minute: float) -> float:
        """Return the window at a rate of new alerts.

        >>> CorrelationConfig().window_now_s(0.0), CorrelationConfig().window_now_s(120.0)
        (600.0, 300.0)
        """
        return max(self.least_window_s, self.window_s * self._calm(per_minute))

    def reach_now(self, per_minute: float) -> float:
        """Return the reach at a rate of new alerts; at least one call."""
        return max(1.0, self.reach * self._calm(per_minute))

    def _calm(self, per_minute: float) -> float:
        return float(min(1.0, (self.calm_per_min / max(per_minute, self.calm_per_min)) ** 0.5))
