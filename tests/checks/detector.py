"""What every model must do: one suite for point detectors, one for models of service vectors, one for persistence."""

from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa

from aiops.ports import Detector, VectorModel
from aiops.types import FloatArray, SeriesBatch
from models.artifact import Example, load_artifact, save_model
from models.catalog import MODELS, FittedModel


def check_vector_model(model: VectorModel, rows: FloatArray) -> None:
    """Run the suite of vector models on rows (n >= 32, features), most of them known."""
    before = rows.copy()
    scores = model.score(rows)
    assert scores.shape == (len(rows), len(model.outputs))
    assert scores.dtype == np.float64
    assert ((scores >= 0) & (scores <= 1))[np.isfinite(rows).all(axis=1)].all()
    np.testing.assert_array_equal(rows, before)
    np.testing.assert_array_equal(scores, model.score(rows))
    assert model.thresholds.shape == (len(model.outputs),)
    assert np.isfinite(model.thresholds).all()
    check_rows_are_independent(model, rows)
    check_unknown(model, rows)
    check_extremes(model, rows)
    check_explanation(model, rows)


def check_rows_are_independent(model: VectorModel, rows: FloatArray) -> None:
    """A row's score is the same alone, in another order, and in a slice that is not contiguous."""
    scores = model.score(rows)
    order = np.random.default_rng(0).permutation(len(rows))
    np.testing.assert_array_equal(model.score(rows[order]), scores[order])
    np.testing.assert_array_equal(model.score(rows[::2]), scores[::2])
    alone = np.concatenate([model.score(rows[place : place + 1]) for place in range(16)])
    np.testing.assert_array_equal(alone, scores[:16])
    np.testing.assert_array_equal(model.score(np.asfortranarray(rows)), scores)
    assert model.score(rows[:0]).shape == (0, len(model.outputs))
    assert model.explain(rows[:0]).shape == (0, rows.shape[1])


def check_unknown(model: VectorModel, rows: FloatArray) -> None:
    """Nothing known gives NaN; one thing known gives a score; infinite is as unknown as NaN."""
    blank = np.full((3, rows.shape[1]), np.nan)
    assert np.isnan(model.score(blank)).all()
    partly = rows[:8].copy()
    partly[:, 1:] = np.nan
    assert np.isfinite(model.score(partly)).all()
    holes, infinite = rows[:8].copy(), rows[:8].copy()
    holes[:, 2], infinite[:, 2] = np.nan, np.inf
    np.testing.assert_array_equal(model.score(infinite), model.score(holes))


def check_extremes(model: VectorModel, rows: FloatArray) -> None:
    """Constant, huge and tiny values are scored within 0..1."""
    for scale in (0.0, 1e-300, 1e12, 1e300, -1e300):
        scores = model.score(np.full((4, rows.shape[1]), scale))
        assert np.isfinite(scores).all()
        assert ((scores >= 0) & (scores <= 1)).all()
        assert np.isfinite(model.explain(np.full((4, rows.shape[1]), scale))).all()


def check_explanation(model: VectorModel, rows: FloatArray) -> None:
    """Contributions are finite, a column a feature, the same each time, and not all zero."""
    contributions = model.explain(rows)
    assert contributions.shape == rows.shape
    assert np.isfinite(contributions).all()
    assert np.abs(contributions).max() > 0
    np.testing.assert_array_equal(contributions, model.explain(rows))


def check_detector(detector: Detector, batch: SeriesBatch) -> None:
    """Run the suite of point detectors on a batch in order of time, of at least two series longer than the lookback."""
    before = batch.table.slice()
    scores = detector.score(batch)
    assert scores.shape == (len(batch),)
    assert scores.dtype == np.float64
    assert batch.table.equals(before)
    known = scores[np.isfinite(scores)]
    assert known.size
    assert ((known >= 0) & (known <= 1)).all()
    np.testing.assert_array_equal(scores, detector.score(batch))
    half = SeriesBatch(batch.table.slice(0, len(batch) // 2))
    np.testing.assert_array_equal(detector.score(half), scores[: len(half)])
    assert detector.score(SeriesBatch(batch.table.slice(0, 0))).shape == (0,)
    warm_up = detector.score(SeriesBatch(batch.table.slice(0, detector.lookback)))
    assert np.isnan(warm_up).all()
    check_series_are_independent(detector, batch, scores)


def check_series_are_independent(detector: Detector, batch: SeriesBatch, scores: FloatArray) -> None:
    """The order of points of one time does not matter."""
    times = batch.table.column("timestamp").cast(pa.int64()).to_numpy()
    order = np.lexsort((-np.arange(len(batch)), times))
    swapped = SeriesBatch(batch.table.take(pa.array(order)))
    np.testing.assert_array_equal(detector.score(swapped), scores[order])


def check_persistence(model: FittedModel, folder: Path, rows: FloatArray | SeriesBatch) -> None:
    """The catalog knows the model; saved and loaded it is the same in state and score, and saved again it has the same bytes."""
    assert model.catalog_name in MODELS
    first = save_model(model, folder / "first", Example(np.zeros((1, 2)), np.ones((1, 1))))
    loaded = load_artifact(folder / "first")
    second = save_model(loaded.model, folder / "second", loaded.example)
    assert first == second
    assert type(loaded.model) is type(model)
    assert loaded.example is not None
    np.testing.assert_array_equal(loaded.model.thresholds, model.thresholds)
    again, original = _score(loaded.model, rows), _score(model, rows)
    np.testing.assert_array_equal(again, original)


def _score(model: FittedModel, rows: FloatArray | SeriesBatch) -> FloatArray:
    if isinstance(rows, SeriesBatch):
        return cast(Detector, model).score(rows)
    return cast(VectorModel, model).score(rows)
