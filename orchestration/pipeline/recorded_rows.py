"""Recorded rows against the contract: no row may be later than the wall clock, whatever else the recording says of time."""

import math
from datetime import datetime

import pyarrow as pa

from aiops.replay.event_clock import event_clock
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.telemetry.validate import Validated, validate


def validate_recorded(
    piece: pa.Table, now: datetime, source: str, tolerance_s: int = 300, tenant: str = DEFAULT_TENANT
) -> Validated:
    """Return what is accepted of rows of a tenant recorded until `now`, in any order.

    A recording has no times of arrival: a row is from the future where it is later than `now`, not where it is later than its
    neighbours. Refused rows are marked with the recording's own time, so that the same file read again refuses the same rows.
    """
    clock = min(event_clock(piece, now), now)
    ahead_s = math.ceil((now - clock).total_seconds())
    return validate(piece, clock, source, tolerance_s + ahead_s, tenant)
