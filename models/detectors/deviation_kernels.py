"""Kernels of the system deviation: what lasts, what is new, what rises. One pass each, the past only, no allocation in loops."""

from typing import Final

import numpy as np

from aiops.jit import kernel
from aiops.types import FloatArray, IntArray

MAX_Z: Final = 100.0
"""|z| is clipped here, so that no product or sum overflows."""


@kernel
def lasting_news(z: FloatArray, ends: IntArray, standing: int) -> tuple[FloatArray, FloatArray]:
    """Return (n,) what lasted of signed deviations `z` and how much of it is new; series lie one after another, ending at `ends`.

    Lasting = the smaller |z| of this step and the one before where both lie on one side, else 0; NaN where either is unknown.
    New = lasting minus the least lasting deviation of the `standing` steps before, where at least half of them are known, else
    lasting itself.
    """
    lasting = np.empty(z.size)
    new = np.empty(z.size)
    start = 0
    for end in ends:
        for i in range(start, end):
            before = z[i - 1] if i > start else np.nan
            if np.isnan(z[i]) or np.isnan(before):
                lasting[i] = np.nan
            elif z[i] > 0.0 and before > 0.0:
                lasting[i] = min(z[i], before, MAX_Z)
            elif z[i] < 0.0 and before < 0.0:
                lasting[i] = min(-z[i], -before, MAX_Z)
            else:
                lasting[i] = 0.0
            least = np.inf
            known = 0
            for j in range(max(start, i - standing), i):
                if not np.isnan(lasting[j]):
                    least = min(least, lasting[j])
                    known += 1
            new[i] = max(lasting[i] - least, 0.0) if 2 * known > standing and not np.isnan(lasting[i]) else lasting[i]
        start = end
    return lasting, new


@kernel
def onsets(level: FloatArray, recent: int) -> FloatArray:
    """Return (n,) the level where it exceeds every known one of the `recent` steps before, else 0.

    NaN where the level is unknown, and until `recent` known levels have been seen: a rise needs a past.
    """
    rising = np.empty(level.size)
    seen = 0
    for i in range(level.size):
        rising[i] = np.nan
        if np.isnan(level[i]):
            continue
        if seen >= recent:
            highest = 0.0
            for j in range(max(0, i - recent), i):
                if not np.isnan(level[j]):
                    highest = max(highest, level[j])
            rising[i] = level[i] if level[i] > highest else 0.0
        seen += 1
    return rising
