"""What every model must do: one suite for point detectors, one for models of service vectors, one for persistence."""

import gc
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Final, cast

import numpy as np

from aiops.ports import Detector, StreamingDetector, VectorModel
from aiops.types import FloatArray, SeriesBatch, State
from models.artifacts.artifact import Example, load_artifact, save_model
from models.artifacts.catalog import CATALOG, FittedModel
from tests.testing.point_batches import START_US, Points, disordered, regular, with_gaps


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


def check_detector(detector: Detector) -> None:
    """Run the suite of point detectors; what it asks is what each check says. Series are as long as the lookback needs."""
    points = max(160, 2 * detector.lookback + 60)
    for check in DETECTOR_CHECKS:
        check(detector, points)
    if isinstance(detector, StreamingDetector):
        check_split_equals_whole(detector, points)
        check_memory_is_bounded(detector, points)


def scores_of(detector: Detector, batch: SeriesBatch) -> FloatArray:
    """Return the scores of a batch after looking at their form: (n,) float64, within 0..1 or NaN."""
    return well_formed(detector.score(batch), len(batch))


def well_formed(scores: FloatArray, rows: int) -> FloatArray:
    """Return scores that are (rows,) float64 and within 0..1 or NaN."""
    assert scores.shape == (rows,)
    assert scores.dtype == np.float64
    known = scores[~np.isnan(scores)]
    assert ((known >= 0) & (known <= 1)).all(), f"scores out of 0..1: {known.min()} to {known.max()}"
    return scores


def check_inputs_are_left_alone(detector: Detector, points: int) -> None:
    """Scoring writes to no buffer of the batch, and neither does a later call write to scores handed out before."""
    batch = regular(points).batch()
    before = bytes_of(batch)
    scores = scores_of(detector, batch)
    kept = scores.copy()
    assert bytes_of(batch) == before, "the batch was changed"
    scores_of(detector, regular(points, seed=1).batch())
    np.testing.assert_array_equal(scores, kept)


def check_same_twice(detector: Detector, points: int) -> None:
    """A fitted detector is immutable: what it scored before changes nothing, no draw is left to chance."""
    batch = regular(points).batch()
    first = scores_of(detector, batch)
    scores_of(detector, regular(points, seed=1).scaled(1e6).batch())
    np.testing.assert_array_equal(scores_of(detector, batch), first)


def check_warm_up_is_unknown(detector: Detector, points: int) -> None:
    """The first `lookback` >= 1 points of a series are NaN (all is normal there); afterwards scores are known, and vary."""
    assert detector.lookback >= 1, "a series' first point cannot be compared with anything"
    rows = regular(points)
    scores = scores_of(detector, rows.batch())
    for code in range(len(rows.names)):
        own = scores[rows.code == code]
        assert np.isnan(own[: detector.lookback]).all(), "a score in warm-up: unknown is not normal"
        assert np.isfinite(own[-20:]).all(), "the warm-up does not end"
    assert np.unique(scores[np.isfinite(scores)]).size > 1


def check_prefixes_score_alike(detector: Detector, points: int) -> None:
    """The scores of any prefix equal the whole's, on regular, gappy and disordered points: no look-ahead."""
    for rows in (regular(points), with_gaps(points), disordered(points)):
        whole = scores_of(detector, rows.batch())
        for share in (0.15, 0.5, 0.71, 0.99):
            cut = int(share * whole.size)
            np.testing.assert_array_equal(scores_of(detector, rows.take(np.arange(cut)).batch()), whole[:cut])


def check_series_are_independent(detector: Detector, points: int) -> None:
    """The order of points of one time does not matter, nor how names are coded, nor whether other series are there."""
    rows = regular(points)
    scores = scores_of(detector, rows.batch())
    order = np.lexsort((-rows.code, rows.time))
    np.testing.assert_array_equal(scores_of(detector, rows.take(order).batch()), scores[order])
    np.testing.assert_array_equal(scores_of(detector, rows.recoded().batch()), scores)
    alone = np.flatnonzero(rows.code == 1)
    np.testing.assert_array_equal(scores_of(detector, rows.take(alone).batch()), scores[alone])


def check_constant_and_empty(detector: Detector, points: int) -> None:
    """No rows give no scores; a series that never moves never alarms, wherever it stands."""
    rows = regular(points)
    assert scores_of(detector, rows.take(np.arange(0)).batch()).shape == (0,)
    scores_of(detector, rows.take(np.arange(1)).batch())
    for level in (100.0, 0.0):
        constant = Points(rows.time, rows.code, np.full(rows.time.size, level), ("still", "stiller"))
        scores = scores_of(detector, constant.batch())
        assert not (scores >= 0.5).any(), f"a constant {level} alarms"


def check_gaps_and_disorder(detector: Detector, points: int) -> None:
    """Missing, late, doubled and backward points are scored or unknown, never an error, and do not end the scores."""
    for rows in (with_gaps(2 * points), disordered(2 * points)):
        assert np.isfinite(scores_of(detector, rows.batch())[-40:]).any()
    backwards = regular(points).take(np.arange(2 * points)[::-1])
    scores_of(detector, backwards.batch())
    stuck = Points(np.full(2 * points, START_US), backwards.code, backwards.value)
    scores_of(detector, stuck.batch())


def check_scales(detector: Detector, points: int) -> None:
    """Huge and tiny values are scored within 0..1 without a warning; one absurd value does not silence its series for good."""
    rows = regular(points)
    for scale in (1e-300, 5e-324, 1e12, 1e300, -1e300):
        scores_of(detector, rows.scaled(scale).batch())
    swing = np.where(np.arange(rows.time.size) // 2 % 2 == 0, 1.0, -1.0) * 1e308
    scores_of(detector, Points(rows.time, rows.code, swing).batch())
    longer = regular(3 * points)
    value = longer.value.copy()
    value[2 * points : 2 * points + 2] = 1e300
    scores = scores_of(detector, Points(longer.time, longer.code, value).batch())
    assert np.isfinite(scores[-20:]).all(), "one absurd value, and the series is never scored again"


def check_split_equals_whole(detector: StreamingDetector, points: int) -> None:
    """Batches of any size, with a snapshot and a restart between them, give the whole's scores bit for bit."""
    for rows in (regular(points), with_gaps(points), disordered(points)):
        whole = scores_of(detector, rows.batch())
        stream, parts = detector.stream(), []
        for begin, end in pairwise([0, 1, 1, whole.size // 3, whole.size // 2, whole.size - 7, whole.size]):
            part = rows.take(np.arange(begin, end)).batch()
            parts.append(well_formed(stream.score(part), end - begin))
            kept = {name: array.copy() for name, array in stream.snapshot().items()}
            stream = detector.stream(kept)
            assert bytes_of_state(stream.snapshot()) == bytes_of_state(kept), "a snapshot of a snapshot differs"
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def check_memory_is_bounded(detector: StreamingDetector, points: int) -> None:
    """Once its windows are full, neither the snapshot nor the live state grows with the length of the series."""
    most = max(1024, 2 * points)
    rows = regular(16 * most)
    detector.stream().score(rows.take(np.arange(most)).batch())  # compiles, several times as fast as where memory is traced
    stream = detector.stream()
    sizes: list[tuple[int, int]] = []
    tracemalloc.start()
    try:
        for begin, end in pairwise([0, 2 * most, 8 * most, 16 * most, 32 * most]):
            stream.score(rows.take(np.arange(begin, end)).batch())
            gc.collect()
            size = sum(array.nbytes for array in stream.snapshot().values())
            sizes.append((size, tracemalloc.get_traced_memory()[0]))
    finally:
        tracemalloc.stop()
    (before, held_before), (after, held_after) = sizes[-2:]
    assert after <= 1.01 * before, f"the snapshot grows: {[size for size, _ in sizes]} bytes"
    assert held_after - held_before <= 64 * 1024, f"the live state grows: {[held for _, held in sizes]} bytes"


DETECTOR_CHECKS: Final[tuple[Callable[[Detector, int], None], ...]] = (
    check_inputs_are_left_alone,
    check_same_twice,
    check_warm_up_is_unknown,
    check_prefixes_score_alike,
    check_series_are_independent,
    check_constant_and_empty,
    check_gaps_and_disorder,
    check_scales,
)
"""What every point detector must pass; each takes (detector, points a series)."""


def check_fit_is_seeded(fit: Callable[[], FittedModel]) -> None:
    """Two fits on the same data give the same state, byte for byte."""
    assert bytes_of_state(fit().state()) == bytes_of_state(fit().state())


def bytes_of(batch: SeriesBatch) -> bytes:
    """Return everything a batch says, as bytes of their own."""
    return batch.table.serialize().to_pybytes()


def bytes_of_state(state: State) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Return type, shape and bytes of every array."""
    return {name: (str(array.dtype), array.shape, array.tobytes()) for name, array in state.items()}


def check_persistence(model: FittedModel, folder: Path, rows: FloatArray | SeriesBatch) -> None:
    """The catalog knows the model; saved and loaded it is the same in state and score, and saved again it has the same bytes."""
    assert model.catalog_name in CATALOG
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
