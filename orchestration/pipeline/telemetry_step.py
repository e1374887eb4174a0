"""How often telemetry comes, and settings that suit it."""

from typing import Final

import numpy as np
import pyarrow as pa

from aiops.settings.tree import Settings

LISTENED_STEP_S: Final = 30
LIVE_LATENESS_S: Final = 10
"""Of a source that sends, or is asked, as it measures: a tick half a minute long whose points are in after ten seconds.

A fault is an alert within a minute then, whatever its moment, and Prometheus sends what it scraped after 5 s at most.
"""


def live_settings(settings: Settings, listens: bool) -> Settings:
    """Return settings by which a fault of a live source is an alert within a minute; what the user set stays."""
    telemetry = settings.telemetry
    update = {"lateness_s": LIVE_LATENESS_S, **({"step_s": LISTENED_STEP_S} if listens else {})}
    unset = {name: value for name, value in update.items() if name not in telemetry.model_fields_set}
    return settings.model_copy(update={"telemetry": telemetry.model_copy(update=unset)})


def fitted_settings(settings: Settings, step_s: int) -> Settings:
    """Return settings whose ticks, lateness, cadence and drift window suit telemetry that comes every `step_s` seconds."""
    telemetry = settings.telemetry.model_copy(update={"step_s": step_s, "lateness_s": min(step_s, settings.telemetry.lateness_s)})
    cadence = max(step_s, settings.consumer.predict_every_s // step_s * step_s)
    consumer = settings.consumer.model_copy(update={"predict_every_s": cadence})
    return settings.model_copy(update={"telemetry": telemetry, "consumer": consumer})


def median_step_s(chunk: pa.Table, default_s: int) -> int:
    """Return the median distance between neighbouring points of a series in whole seconds, 1 to 3600.

    Args:
        chunk: telemetry; text times count as unreadable.
        default_s: returned where no series has two readable points.
    """
    if not pa.types.is_timestamp(chunk["timestamp"].type):
        return default_s
    keys = ["series_id"] if "series_id" in chunk.column_names else ["service", "metric"]
    codes = chunk.select(keys).to_pandas().groupby(keys, observed=True).ngroup().to_numpy()
    times = chunk["timestamp"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy()
    order = np.lexsort((times, codes))
    gaps = np.diff(times[order])[np.diff(codes[order]) == 0]
    gaps = gaps[gaps > 0]
    return int(np.clip(round(float(np.median(gaps)) / 1e6), 1, 3600)) if len(gaps) else default_s
