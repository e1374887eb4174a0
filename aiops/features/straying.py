"""How often a series was beyond its bound, and what its being so again weighs: its surprise, by that of a calm series.

    weight = log(share) / log(calm),  share = (beyond + calm * hour) / (seen + hour)

`seen`: ticks with a score, `beyond`: excursions beyond its bound that began in them; both of about a week. `calm` is the share of
ticks of a series of a small healthy service (FALSE_PER_DAY ticks a day of GOLDEN_SERIES series), `hour` the ticks of one: so a
series begins as a calm one. -log of a chance is what is learned from its event (Shannon 1948), so weighed excesses add up.

An excursion counts once it has ended, as one tick, for its ticks are no events of their own; from HABIT_US on each tick counts
at once. So a series that strays now is weighed by what was before. One that strays in a tenth of its ticks weighs 0.3; one that
never did 1 at first, 1.2 after four hours, 1.6 after a week. Alone it counts by all of that; beside others by 1 at most, so that
a service whose series are calm is judged as one of calm series is.
"""

from typing import Any, Final

import numpy as np

from aiops.features.robust import Z_OF_HALF
from aiops.features.series_state import HOUR_US
from aiops.jit import bare, inlined

FALSE_PER_DAY: Final = 4.0
"""Ticks of false alarm a service and day that are accepted: what healthy services of GOLDEN_SERIES series had (ADR 14)."""
GOLDEN_SERIES: Final = 8
DAY_US: Final = 86_400_000_000
WEEK_US: Final = 7 * DAY_US
HABIT_US: Final = 1_200_000_000
"""What a series does for so long (20 min, as a level shift does) is a habit."""


@bare
def weight_of(record: Any, step_us: int) -> float:
    """Return what it weighs that a series is beyond its bound, as of before the excursion."""
    calm = FALSE_PER_DAY / GOLDEN_SERIES * step_us / DAY_US
    hour = HOUR_US / step_us
    share = (record.beyond + calm * hour) / (record.seen + hour)
    return float(max(np.log(share) / np.log(calm), 0.0))


@inlined
def weighed_excess(record: Any, step_us: int, worst: float) -> tuple[float, float]:
    """Return the weighed excess of a tick with the greatest |z| `worst`, beside others and alone; 0 within the bound.

    Not weighed it is 1 at the bound and 1 more each time |z| doubles.
    """
    if not worst >= Z_OF_HALF:
        return 0.0, 0.0
    excess, weight = 1.0 + np.log2(worst / Z_OF_HALF), weight_of(record, step_us)
    return float(min(weight, 1.0) * excess), float(weight * excess)


@inlined
def note_tick(record: Any, step_us: int, worst: float) -> None:
    """Count a tick with the greatest |z| `worst`; NaN = no score, which counts for nothing."""
    if worst >= Z_OF_HALF:
        if record.stray < HABIT_US / step_us:
            record.stray += 1
        else:
            count_ticks(record, step_us, 1.0, 1.0)
    elif worst < Z_OF_HALF:
        began = min(float(record.stray), 1.0)
        count_ticks(record, step_us, began + 1.0, began)
        record.stray = 0


@inlined
def count_ticks(record: Any, step_us: int, seen: float, beyond: float) -> None:
    """Add ticks, of which some were beyond the bound; as many of the older ones are forgotten once there are those of a week."""
    most = WEEK_US / step_us
    total = record.seen + seen
    keep = 1.0 if total <= most else most / total
    record.seen = np.float32(keep * total)
    record.beyond = np.float32(keep * (record.beyond + beyond))
