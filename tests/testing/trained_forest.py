"""An isolation forest that was fitted to a synthetic history, with the run that a registry keeps of it."""

import numpy as np

from models.artifacts.training_run import Trained
from models.detectors.isolation_forest import ForestConfig, IsolationForest
from models.evaluation.performance import detector_metrics
from models.training.detector_training import detection_replay, normal_rows, truth_of
from models.training.training_context import TrainingContext, example_of, run_of, scored_figures, with_figures
from models.vectors.page_budget import PageCounter, threshold_for_budget
from models.vectors.service_rows import rows_of
from tests.testing.service_frames import History


def trained_forest(past: History, context: TrainingContext, trees: int = 10) -> Trained[IsolationForest]:
    """Return a forest of the older normal rows of `past`, its threshold within the page budget, measured on all rows."""
    rows = rows_of(past.frame)
    truth = truth_of(rows, past.incidents)
    older = rows.time_us < context.holdout_us(rows)
    normal = older & normal_rows(rows, truth, older)
    quiet, config = rows.take(normal), ForestConfig(trees=trees, seed=context.seed)
    forest = IsolationForest.fit(quiet.matrix(config.features), config)
    score = forest.score(rows.matrix(config.features))[:, 0]
    counter = PageCounter.over(quiet, normal[normal], context.budget)
    forest = forest.with_thresholds(np.array([threshold_for_budget(score[normal], counter, context.budget)]))
    replay = detection_replay(past.frame, past.incidents, 0)
    metrics = detector_metrics(replay, score, float(forest.thresholds[0]), context.budget)
    run = run_of(rows, context, {"trees": str(trees)}, metrics, example_of(forest, quiet))
    return Trained(forest, with_figures(run, scored_figures(replay, score, float(forest.thresholds[0]))), rows.span()[1])
