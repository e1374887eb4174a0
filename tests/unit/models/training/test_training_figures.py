"""Figures show the rows that the gate judged on, with their number of positives, or say that they cannot be drawn."""

import re
from functools import cache

import numpy as np

from models.detectors.isolation_forest import IsolationForest
from models.evaluation.figures import RowsShown, timeline_figure
from models.evaluation.scorecard import Replay
from models.training.detector_training import detection_replay
from models.training.training_context import TrainingContext, replay_figures
from tests.testing.service_frames import START, history
from tests.testing.trained_forest import trained_forest

DAYS = 4


@cache
def forest() -> IsolationForest:
    return trained_forest(history(days=DAYS), TrainingContext("a"), trees=20).model


def replay(from_h: float, until_h: float = DAYS * 24.0) -> Replay:
    """Return the rows of some hours of the history."""
    past = history(days=DAYS)
    whole = detection_replay(past.frame, past.incidents, 0)
    hours = (whole.rows.time_us - int(START.timestamp() * 1e6)) / 3.6e9
    part = (hours >= from_h) & (hours < until_h)
    return Replay(whole.rows.take(part), whole.truth.take(part), whole.baseline[part])


def texts(figure: bytes) -> str:
    """Return what is written in a figure: matplotlib keeps each text as a comment."""
    return " ".join(re.findall(r"<!-- (.*?) -->", figure.decode(), re.DOTALL))


def test_every_figure_names_its_rows_and_positives() -> None:
    judged = replay(0.0)
    shown = RowsShown.of(judged.truth)
    assert shown.positive > 0
    figures = replay_figures(forest(), judged)
    assert set(figures) == {"reliability.svg", "precision_recall.svg", "score_over_time.svg"}
    for figure in figures.values():
        assert str(shown) in texts(figure)
        assert "cannot be drawn" not in texts(figure)


def test_two_and_a_half_hours_without_a_positive_row_are_named_and_not_drawn() -> None:
    calm = replay(1.0, 3.5)
    assert not calm.truth.positive.any()
    figures = replay_figures(forest(), calm)
    for name in ("reliability.svg", "precision_recall.svg"):
        assert "cannot be drawn" in texts(figures[name])
        assert f"{len(calm.rows)} rows, 0 positive, 0 incidents" in texts(figures[name])
    assert "0 positive" in texts(figures["score_over_time.svg"])


def test_no_line_is_drawn_over_time_that_was_not_judged() -> None:
    """After a drift the gate's rows are two stretches of time: days lie between them."""
    early, late = replay(0.0, 24.0), replay(72.0)
    whole = replay(0.0)
    chosen = np.isin(whole.rows.time_us, np.concatenate([early.rows.time_us, late.rows.time_us]))
    score = np.full(len(whole.rows), 0.5)
    gap = timeline_figure(whole.rows.take(chosen), score[chosen], whole.truth.take(chosen), 0.8)
    solid = timeline_figure(whole.rows, score, whole.truth, 0.8)
    assert [drawn(figure) for figure in (gap, solid)] == [2, 1]


def drawn(figure: bytes) -> int:
    """Return of how many strokes the score's line is: it is the first line of the axes that has the colour of a first line."""
    lines = re.findall(r'<path d="([^"]+)"[^>]*stroke: #1f77b4', figure.decode(), re.DOTALL)
    return max(line.count("M ") for line in lines)
