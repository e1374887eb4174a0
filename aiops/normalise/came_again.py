"""Totals, amounts and whole histograms that come too late: did they come before? What the engine holds of them says so.

A total at a time came before if the engine has a rate then and the increase to the newest total is the sum of the rates since.
An amount did if its rate is the one the engine has. Rates are held to 24 bits, so the same is asked of them, not more. Whatever
cannot be shown so is no repeat.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from aiops.features.kept_points import NONE_US, KeptPoints
from aiops.normalise.raw_series import DELTA, HISTOGRAM, HISTOGRAM_DELTA, NEVER_US, TOTAL, NormaliserState, find_rows
from aiops.types import FloatArray, IntArray

Flags = npt.NDArray[np.bool_]
KeptAt = Callable[[IntArray, IntArray], KeptPoints]
"""What the engine holds of series (n,) at times (n,)."""
_TOLERANCE: Final = 2.0**-22
"""Of a sum of rates that are held to 24 bits each."""


class LateValues(NamedTuple):
    """(n,) raw values that are too late: of which series, when, since when (NEVER_US = not said), totals or observations."""

    series_id: IntArray
    time_us: IntArray
    started_us: IntArray
    value: FloatArray


def came_again(state: NormaliserState, late: LateValues, kept_at: KeptAt) -> Flags:
    """Return (n,) which values came before."""
    slots = find_rows(state.raw, late.series_id)
    records = state.raw.records[slots]
    role = np.where(slots >= 0, records["role"].astype(np.int64), -1)
    whole = (role == HISTOGRAM) | (role == HISTOGRAM_DELTA)
    families = state.families.records["keys"][np.where(whole, records["place"], 0)]
    kept = kept_at(np.where(whole, families[:, 0], late.series_id), late.time_us)
    of_total = ((role == TOTAL) | (role == HISTOGRAM)) & (kept.newest_us == records["seen"])
    increase = records["value"] - late.value
    slack = _TOLERANCE * np.abs(kept.since) + 4 * np.spacing(np.abs(records["value"]))
    again = of_total & (np.abs(increase - kept.since) <= slack)
    since = np.where(late.started_us != NEVER_US, late.started_us, kept.before_us)
    seconds = np.where(since == NONE_US, np.nan, (late.time_us - since) / 1e6)
    rate = np.divide(late.value, seconds, out=np.full(late.value.shape, np.nan), where=seconds > 0)
    of_amount = (role == DELTA) | (role == HISTOGRAM_DELTA)
    result: Flags = again | (of_amount & (np.float32(rate) == np.float32(kept.value)))
    return result
