"""The autoencoder of sequences: what it learned as normal it redraws, a course it never saw it does not."""

from functools import cache

import numpy as np
import pytest

from aiops.errors import ArtifactError, ModelError
from data_contracts.schemas.telemetry_schemas import SEQUENCE_FEATURES, SEQUENCE_SIGNALS, SEQUENCE_STEPS
from models.detectors.isolation_forest import ForestConfig, IsolationForest
from models.detectors.lstm_autoencoder import AutoencoderConfig, fit_autoencoder
from models.detectors.sequence_autoencoder import SequenceAutoencoder, SequenceScale
from tests.testing.sequence_rows import sequences

CONFIG = AutoencoderConfig(epochs=15, batch=32)
LAST = [SEQUENCE_FEATURES.index(f"{name}_0_spans_ago") for name in SEQUENCE_SIGNALS]


@cache
def fitted() -> SequenceAutoencoder:
    return fit_autoencoder(sequences(1200), CONFIG)


def test_a_course_that_never_was_is_strange_although_each_entry_is_usual() -> None:
    model, calm, stuck = fitted(), sequences(300, seed=1), sequences(300, seed=2, stuck=True)
    seen, unseen = model.raw_score(calm), model.raw_score(stuck)
    assert (unseen[:, None] > seen[None, :]).mean() > 0.85
    forest = IsolationForest.fit(sequences(1200)[:, LAST], ForestConfig(features=SEQUENCE_SIGNALS, trees=50))
    of_calm, of_stuck = forest.raw_score(calm[:, LAST]), forest.raw_score(stuck[:, LAST])
    assert (of_stuck[:, None] > of_calm[None, :]).mean() < 0.6  # the newest entries alone say nothing


def test_the_error_names_the_signal_and_the_time() -> None:
    rows = sequences(50, seed=3)
    place = SEQUENCE_FEATURES.index("errors_worst_1_spans_ago")
    rows[:, place] = 3.0
    contributions = fitted().explain(rows)
    assert (contributions.argmax(axis=1) == place).mean() > 0.85
    np.testing.assert_allclose(fitted().base() + contributions.sum(axis=1), fitted().raw_score(rows), atol=1e-9)


def test_what_is_over_counts_less() -> None:
    old, new = sequences(50, seed=4), sequences(50, seed=4)
    old[:, SEQUENCE_FEATURES.index("errors_worst_11_spans_ago")] = 3.0
    new[:, SEQUENCE_FEATURES.index("errors_worst_0_spans_ago")] = 3.0
    assert np.median(fitted().raw_score(new) - fitted().raw_score(old)) > 0.5


def test_a_level_is_read_against_its_own_past() -> None:
    rows = sequences(300)
    shifted = rows.reshape(-1, SEQUENCE_STEPS, len(SEQUENCE_SIGNALS)).copy()
    level = SEQUENCE_SIGNALS.index("traffic_level")
    shifted[:, :, level] += 5.0
    scale = SequenceScale.fit(rows)
    np.testing.assert_allclose(scale(shifted.reshape(300, -1))[0][:, :, level], scale(rows)[0][:, :, level], atol=1e-5)


def test_a_signal_that_is_never_known_takes_no_part() -> None:
    rows = sequences(600)
    rows[:, [place for place, name in enumerate(SEQUENCE_FEATURES) if name.startswith("saturation_level")]] = np.nan
    model = fit_autoencoder(rows, AutoencoderConfig(epochs=2))
    assert np.isfinite(model.raw_score(rows)).all()
    assert np.isnan(model.raw_score(np.full((2, len(SEQUENCE_FEATURES)), np.nan))).all()


def test_same_seed_same_network_and_other_seed_another() -> None:
    small = AutoencoderConfig(epochs=2, rows=300)
    first, same = fit_autoencoder(sequences(400), small), fit_autoencoder(sequences(400), small)
    other = fit_autoencoder(sequences(400), AutoencoderConfig(epochs=2, rows=300, seed=8))
    rows = sequences(70, seed=9)
    np.testing.assert_array_equal(first.raw_score(rows), same.raw_score(rows))
    assert not np.array_equal(first.raw_score(rows), other.raw_score(rows))


def test_too_few_sequences_and_damaged_states_are_refused() -> None:
    with pytest.raises(ModelError, match="0 of 3 sequences are known"):
        fit_autoencoder(np.full((3, len(SEQUENCE_FEATURES)), np.nan), CONFIG)
    state = dict(fitted().state())
    with pytest.raises(ArtifactError, match="no ONNX that runs here"):
        SequenceAutoencoder.from_state({**state, "network_onnx": np.zeros(40, np.uint8)})
    with pytest.raises(ArtifactError, match="sequences of another make"):
        SequenceAutoencoder.from_state({**state, "features": np.frombuffer(b"[]", np.uint8)})
    with pytest.raises(ArtifactError, match="do not fit 8 signals"):
        SequenceAutoencoder.from_state({**state, "center": np.zeros(3)})
