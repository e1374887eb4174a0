"""Pages and their budget: alarms of a service within a quiet time are one page, and thresholds cost at most a budget of them."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from aiops.jit import kernel
from aiops.types import FloatArray, IntArray
from models.service_rows import US_PER_MIN, BoolArray, ServiceRows

GRID: Final = 200
"""Candidate thresholds looked at before the last one is refined."""


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

    @classmethod
    def over(cls, rows: ServiceRows, false: BoolArray, budget: PageBudget) -> "PageCounter":
        """Return the counter of `rows`, of which `false` marks those where a page would be a false one."""
        order = np.lexsort((rows.time_us, rows.code))
        days = rows.take(false).service_days() if false.any() else 0.0
        quiet_us = int(budget.quiet_min * US_PER_MIN)
        return cls(order, rows.code[order], rows.time_us[order], np.ascontiguousarray(false[order]), quiet_us, days)

    def false_pages(self, alarm: BoolArray) -> int:
        """Return how many pages the alarms open in rows where a page is a false one."""
        return int(_false_pages(self.code, self.time_us, alarm[self.order], self.false, self.quiet_us))

    def pages(self, alarm: BoolArray) -> int:
        """Return how many pages the alarms open in all rows."""
        return int(_false_pages(self.code, self.time_us, alarm[self.order], np.ones_like(self.false), self.quiet_us))


@kernel
def _false_pages(code: IntArray, time_us: IntArray, alarm: BoolArray, false: BoolArray, quiet_us: int) -> int:
    pages = 0
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
            if false[row]:
                pages += 1
    return pages


def threshold_for_budget(scores: FloatArray, counter: PageCounter, budget: PageBudget, beside: BoolArray | None = None) -> float:
    """Return the lowest threshold (alarm: score >= threshold) that, like every higher one tried, keeps the budget.

    `scores` is (n,) aligned to the counter's rows; NaN never alarms. Without any finite score, or if even the highest score
    costs too much, the threshold lies above every score. Rows outside incidents set it: fit it on training data only.
    `beside` (n,) are alarms that are raised anyway and spend of the same budget.
    """
    known = np.unique(scores[np.isfinite(scores)])
    if not known.size:
        return 1.0
    allowed = budget.per_day * counter.service_days

    def keeps(rank: int) -> bool:
        alarm = scores >= known[known.size - 1 - rank]
        return counter.false_pages(alarm if beside is None else alarm | beside) <= allowed

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
