"""Pages and their budget: alarms of a service within a quiet time are one page, and thresholds cost at most a budget of them.

False pages come in heaps: one service with a daily rise pages each day, another never. So what a threshold cost on some days says
less about other days than its count of pages does, and a margin of standard errors is taken over services, not over pages.
Source: Cochran, "Sampling techniques", 1977, 6.3 (variance of a ratio over clusters).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from aiops.jit import kernel
from aiops.types import FloatArray, IntArray
from models.vectors.service_rows import US_PER_MIN, BoolArray, ServiceRows
from models.vectors.truth import Truth, outcome

GRID: Final = 200
"""Candidate thresholds looked at before the last one is refined."""
UNSEEN_ERRORS: Final = 1.645
"""Standard errors below the budget at which a threshold keeps it in the long run, about 9 times in 10 if nothing changes."""

KEPT_WARNING: Final = 0.9
"""Share of the warning time that the whole budget buys: the pages that buy the rest are not sent."""


@dataclass(frozen=True, slots=True)
class PageBudget:
    """`per_day` false pages a service and day; an alarm within `quiet_min` of the service's last page opens no new page."""

    per_day: float = 1.0
    quiet_min: float = 60.0


@dataclass(frozen=True, slots=True)
class PageCounter:
    """Counts false pages of alarm masks over one set of rows; bound: O(n) a count, rows are sorted once."""

    order: IntArray
    code: IntArray
    time_us: IntArray
    false: BoolArray
    quiet_us: int
    service_days: float
    days: FloatArray
    """(services,) the part of each in `service_days`."""

    @classmethod
    def over(cls, rows: ServiceRows, false: BoolArray, budget: PageBudget) -> "PageCounter":
        """Return the counter of `rows`, of which `false` marks those where a page would be a false one."""
        order = np.lexsort((rows.time_us, rows.code))
        days = rows.take(false).service_days() if false.any() else 0.0
        quiet_us = int(budget.quiet_min * US_PER_MIN)
        share = np.bincount(rows.code[false], minlength=len(rows.services)) / max(1, int(false.sum()))
        return cls(order, rows.code[order], rows.time_us[order], np.ascontiguousarray(false[order]), quiet_us, days, share * days)

    def false_pages(self, alarm: BoolArray) -> int:
        """Return how many pages the alarms open in rows where a page is a false one."""
        return int(self._false_by_service(alarm).sum())

    def false_rate(self, alarm: BoolArray, errors: float = 0.0) -> float:
        """Return false pages a service and day, `errors` standard errors above what was counted; 0 where no page could be false.

        The standard error is that over services, but never less than that of so many pages by chance, or of one: no page in a
        few hours says little about a day.
        """
        if not self.service_days:
            return 0.0
        pages = self._false_by_service(alarm)
        rate = float(pages.sum()) / self.service_days
        clustered = float(np.sqrt(((pages - rate * self.days) ** 2).sum()))
        return rate + errors * max(clustered, float(np.sqrt(max(1, pages.sum())))) / self.service_days

    def pages(self, alarm: BoolArray) -> int:
        """Return how many pages the alarms open in all rows."""
        return int(self.opened(alarm).sum())

    def opened(self, alarm: BoolArray) -> BoolArray:
        """Return (n,) which alarms open a page: those that no page of their service within the quiet time precedes."""
        mask = np.zeros(self.code.size, dtype=np.bool_)
        mask[self.order] = _opened(self.code, self.time_us, alarm[self.order], self.quiet_us)
        return mask

    def _false_by_service(self, alarm: BoolArray) -> IntArray:
        pages = _opened(self.code, self.time_us, alarm[self.order], self.quiet_us) & self.false
        return np.bincount(self.code[pages], minlength=self.days.size)


@kernel
def _opened(code: IntArray, time_us: IntArray, alarm: BoolArray, quiet_us: int) -> BoolArray:
    """Return (n,) which alarms open a page; rows sorted by service and time."""
    pages = np.zeros(code.size, np.bool_)
    service = -1
    last_us = 0
    paged = False
    for row in range(code.size):
        if code[row] != service:
            service = code[row]
            paged = False
        if alarm[row] and (not paged or time_us[row] - last_us >= quiet_us):
            last_us = time_us[row]
            paged = True
            pages[row] = True
    return pages


def threshold_for_budget(scores: FloatArray, counter: PageCounter, budget: PageBudget, errors: float = 0.0) -> float:
    """Return the lowest threshold (alarm: score >= threshold) that, like every higher one tried, keeps the budget.

    `scores` is (n,) aligned to the counter's rows; NaN never alarms. Without any finite score, or if even the highest score
    costs too much, the threshold lies above every score. Rows outside incidents set it: fit it on training data only.
    `errors`: standard errors that must be left to the budget, so that it is also kept on rows not seen; 0 = on these rows.
    """
    known = np.unique(scores[np.isfinite(scores)])
    if not known.size:
        return 1.0

    def keeps(rank: int) -> bool:
        return counter.false_rate(scores >= known[known.size - 1 - rank], errors) <= budget.per_day

    ranks = np.unique(np.geomspace(1, known.size, GRID).astype(np.int64)) - 1
    good, bad = -1, -1
    for rank in ranks:
        if not keeps(int(rank)):
            bad = int(rank)
            break
        good = int(rank)
    if bad < 0:
        return float(known[0])
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if keeps(middle) else (good, middle)
    if good < 0:
        return float(np.nextafter(known[-1], np.inf))
    return float(known[known.size - 1 - good])


def page_threshold(scores: FloatArray, rows: ServiceRows, truth: Truth, budget: PageBudget) -> float:
    """Return the highest threshold that keeps `KEPT_WARNING` of the warning time of the one for the budget (with its margin).

    The budget is a ceiling, no target: a lower threshold must earn its pages. Warning time = minutes from the first right alarm
    to the start, summed over incidents, 0 for one that is missed. Without a right alarm the budget alone decides.
    """
    lowest = threshold_for_budget(scores, PageCounter.over(rows, truth.false, budget), budget, UNSEEN_ERRORS)
    known = np.unique(scores[scores >= lowest])

    def warning_min(threshold: float) -> float:
        return float(outcome(truth, rows.time_us, scores >= threshold).lead_min.sum())

    needed = KEPT_WARNING * warning_min(lowest)
    if not known.size or not needed:
        return lowest
    good, bad = 0, known.size
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if warning_min(float(known[middle])) >= needed else (good, middle)
    return float(known[good])
