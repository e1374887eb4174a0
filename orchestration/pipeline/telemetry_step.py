"""How often telemetry comes, and settings that suit it."""

import numpy as np
import pyarrow as pa

from aiops.settings.tree import Settings


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
