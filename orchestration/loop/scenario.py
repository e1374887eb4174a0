"""What `aiops run` runs on: a simulated application whose story is known, or any recorded source in its own order."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa

from aiops.history import of_history, of_replay
from aiops.ports import TelemetrySource
from aiops.settings import Settings
from aiops.simulator.config import DriftSpec, ScriptedIncident, SimulationConfig
from aiops.types import HistorySplit

START: Final = datetime(2025, 3, 1, tzinfo=UTC)
"""A Saturday: the history sees two weekends, the replay runs from Tuesday to Thursday."""
HISTORY_H: Final = 240.0
REPLAY_H: Final = 58.0
DRIFT_AFTER_H: Final = 24.0
CHECKS_AFTER_H: Final = (20.0, 32.0, 56.0)
"""Before the drift, in it, and a day later: the same hours of day as the second, against the retrained champion."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A source, what of it is history and replay, and the event times at which drift is checked, ascending."""

    source: TelemetrySource
    split: HistorySplit
    checks: tuple[datetime, ...]

    def history(self) -> Iterator[pa.Table]:
        """Yield the chunks to fit on."""
        for chunk in self.source.batches(self.split.history_start, self.split.history_end):
            yield of_history(chunk, self.split)

    def replay(self, start: datetime, end: datetime) -> Iterator[pa.Table]:
        """Yield the chunks to replay with start <= time < end."""
        for chunk in self.source.batches(start, end):
            yield of_replay(chunk, self.split)


def simulated(seed: int) -> Scenario:
    """Return the default story: ten services, ten days of history, then 58 hours with incidents, a drift, and bad rows."""
    from serving.sources.simulate import SimulatedSource

    begin = HISTORY_H * 60
    scripted = (
        ScriptedIncident("memory_leak", begin + 5 * 60, buildup_min=90, duration_min=30),
        ScriptedIncident("bad_deployment", begin + 9 * 60, duration_min=30),
        ScriptedIncident("connection_exhaustion", begin + 18 * 60, buildup_min=60, duration_min=25),
        ScriptedIncident("slow_dependency", begin + 29 * 60, duration_min=25),
        ScriptedIncident("disk_fill", begin + 38 * 60, buildup_min=100, duration_min=30),
        ScriptedIncident("traffic_surge", begin + 44 * 60, duration_min=30),
    )
    drift = DriftSpec("level", start_h=HISTORY_H + DRIFT_AFTER_H, magnitude=0.8, share=0.6)
    config = SimulationConfig(
        seed=seed,
        start=START,
        services=10,
        hours=HISTORY_H + REPLAY_H,
        incidents_per_day=6.0,
        scripted=scripted,
        drift=drift,
        dirty_share=0.0002,
    )
    source = SimulatedSource(config, history_share=HISTORY_H / (HISTORY_H + REPLAY_H))
    split = source.split()
    return Scenario(source, split, tuple(split.replay_start + timedelta(hours=hours) for hours in CHECKS_AFTER_H))


def recorded(source: TelemetrySource) -> Scenario:
    """Return a recorded source in its own order, with drift checked after each third of the replay."""
    split = source.split()
    third = (split.replay_end - split.replay_start) / 3
    return Scenario(source, split, tuple(split.replay_start + third * number for number in (1, 2, 3)))


def fitted_settings(settings: Settings, step_s: int) -> Settings:
    """Return settings whose ticks, lateness, cadence and drift window suit telemetry that comes every `step_s` seconds."""
    telemetry = settings.telemetry.model_copy(update={"step_s": step_s, "lateness_s": min(step_s, settings.telemetry.lateness_s)})
    cadence = max(step_s, settings.consumer.predict_every_s // step_s * step_s)
    consumer = settings.consumer.model_copy(update={"predict_every_s": cadence})
    return settings.model_copy(update={"telemetry": telemetry, "consumer": consumer})


def usual_step_s(chunk: pa.Table, default_s: int) -> int:
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
