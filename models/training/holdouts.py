"""What a training sees and what is kept for the gate: the newest telemetry for levels, rows of both regimes after a drift."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pandas as pd

OLD_REGIME: Final = timedelta(hours=18)
"""After a drift, normal time also counts this much of the time before, so that the ensemble knows both regimes."""
RECENT_HOLDOUT: Final = 0.4
"""Share of the time since the drift that the ensemble does not see: the gate replays it."""
LEVEL_HISTORY: Final = timedelta(days=3)
"""Newest telemetry that tier 1's levels are fitted to (first part) and judged on (last part)."""
LEVEL_HOLDOUT: Final = 0.25


def level_window(start: datetime, at: datetime) -> tuple[datetime, datetime]:
    """Return begin and end of the telemetry that levels are fitted to, of what lies in [start, at); the rest is the gate's."""
    begin = max(at - LEVEL_HISTORY, start)
    return begin, at - LEVEL_HOLDOUT * (at - begin)


@dataclass(frozen=True, slots=True)
class RegimeChange:
    """A drift: the new regime began at `recent_from` and is known up to `at` (aware UTC)."""

    recent_from: datetime
    at: datetime

    @property
    def normal_from(self) -> datetime:
        """Return from when on time outside incidents counts as normal."""
        return self.recent_from - OLD_REGIME

    @property
    def holdout_from(self) -> datetime:
        """Return from when on rows are the gate's."""
        return self.at - RECENT_HOLDOUT * (self.at - self.recent_from)

    def trained(self, ticks: "pd.Series", champion_holdout: datetime) -> "pd.Series":
        """Return (n,) the rows that may be trained on: what the champion has not seen before the drift is the gate's."""
        return (ticks < champion_holdout) | (ticks >= self.normal_from)

    def only_judged(self, ticks: "pd.Series", champion_holdout: datetime) -> "pd.Series":
        """Return (n,) the rows from before the drift that neither contender was fitted to."""
        return (ticks >= champion_holdout) & (ticks < self.normal_from)
