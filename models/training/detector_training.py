"""Training of tier 1, and what training other detectors needs: history in, fitted model and its run out.

Knows no registry, no clock and no environment.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from aiops.errors import TrainingImpossible
from aiops.features.engine import EngineConfig
from models.artifacts.training_run import Trained
from models.detectors.history_points import points_of
from models.detectors.robust_stream import LevelConfig, RobustStream
from models.evaluation.measures import alarm_figures, worst_signal
from models.evaluation.scorecard import Replay
from models.training.training_context import TrainingContext, run_of
from models.vectors.service_rows import BoolArray, ServiceRows, rows_of
from models.vectors.truth import Truth, detection_truth

if TYPE_CHECKING:
    import pandas as pd

LEAST_ROWS = 200
"""Rows of normal time below which an isolation forest is not trained."""


def train_robust_stream(
    history: pa.Table,
    incidents: pa.Table | None,
    context: TrainingContext,
    engine: EngineConfig,
    config: LevelConfig | None = None,
) -> Trained[RobustStream]:
    """Fit alarm levels to the points outside incidents; the z scores are those of the engine over the whole history.

    `history` has timestamp, service, metric and value (`schemas.LAKE_TELEMETRY` or `SERIES`), in order of arrival. Where
    incidents leave under a fifth of the points, those of other services than the root are used too. Memory: 40 B a point.

    Raises:
        TrainingImpossible: there is no point.
    """
    if not history.num_rows:
        raise TrainingImpossible("the history has 0 points; ingest telemetry first")
    chosen = config or LevelConfig()
    sample, rows = points_of(history, engine)
    truth = truth_of(rows, incidents)
    normal = normal_rows(rows, truth, np.ones(len(rows), dtype=np.bool_))
    model = RobustStream.fit(sample.take(normal), chosen, engine)
    levels = np.stack(model.alarm_for(sample.series))[:, sample.code]
    alarm = (np.abs(sample.z) >= levels[0]) | (sample.value < levels[1]) | (sample.value > levels[2])
    figures = alarm_figures(rows, truth, alarm, context.budget)
    metrics = {
        "series": float(len(model.series)),
        "points": float(len(rows)),
        "scored_points": float(np.isfinite(sample.z).sum()),
        "median_alarm_z": float(np.median(model.alarm_z)),
        "alarm_share": float(alarm.mean()),
        "incidents": float(figures.incidents),
        "incident_recall_in_sample": figures.recall,
    }
    run = run_of(rows, context, asdict(chosen), metrics, None)
    return Trained(model, run, rows.span()[1])


def detection_replay(frame: "pa.Table | pd.DataFrame", incidents: pa.Table | None, start_us: int) -> Replay:
    """Return the gate's replay for detectors: rows from `start_us` on, with the worst signal as trivial baseline."""
    rows = rows_of(frame)
    truth = truth_of(rows, incidents)
    newer = rows.time_us >= start_us
    return Replay(rows.take(newer), truth.take(newer), worst_signal(rows.take(newer)))


def truth_of(rows: ServiceRows, incidents: pa.Table | None) -> Truth:
    """Return the truth for noticing; without labels every row counts as normal."""
    if incidents is not None:
        return detection_truth(rows, incidents)
    nothing = np.full(len(rows), -1, dtype=np.int64)
    return Truth(nothing, np.ones(len(rows), dtype=np.bool_), np.empty(0, dtype=np.int64))


def normal_rows(rows: ServiceRows, truth: Truth, older: BoolArray) -> BoolArray:
    """Return rows of normal time: no incident anywhere; where that leaves under a fifth, none of the row's own service."""
    if truth.false[older].sum() >= 0.2 * older.sum():
        return truth.false
    return ~truth.positive
