"""Speed of the models beside the libraries they come from: JSON lines (name, value, unit, baseline). Asserts nothing."""

import json
import sys
import time
from collections.abc import Callable

import numpy as np
import xgboost as xgb
from sklearn.ensemble import IsolationForest as SklearnForest

from aiops.types import FloatArray
from models.detectors.isolation_forest import OUTSIDE_CALENDAR, ForestConfig, IsolationForest
from models.prediction.incident_predictor import IncidentPredictor, PredictorConfig
from models.prediction.predictor_terms import terms_of

TRAIN_ROWS = 20_000
ROWS = 50_000
REPEATS = 5


def best_s(call: Callable[[], object]) -> float:
    """Return the shortest of a few runs in seconds, after one that is not counted."""
    call()
    taken = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begin)
    return min(taken)


def p99_ms(call: Callable[[], object], calls: int = 1000) -> float:
    """Return the 99th percentile of single calls in milliseconds."""
    taken = np.empty(calls)
    for place in range(calls):
        begin = time.perf_counter()
        call()
        taken[place] = time.perf_counter() - begin
    return float(np.quantile(taken, 0.99) * 1e3)


def report(name: str, value: float, unit: str, baseline: float) -> None:
    """Write one figure beside what it is compared with."""
    line = {"name": name, "value": round(value, 3), "unit": unit, "baseline": round(baseline, 3)}
    sys.stdout.write(json.dumps(line) + "\n")


def bench_forest(rng: np.random.Generator) -> None:
    """Isolation forest beside sklearn's, one core, the same trees; explaining beside scoring."""
    train = rng.standard_normal((TRAIN_ROWS, len(OUTSIDE_CALENDAR)))
    rows: FloatArray = rng.standard_normal((ROWS, len(OUTSIDE_CALENDAR)))
    ours = IsolationForest.fit(train, ForestConfig())
    theirs = SklearnForest(n_estimators=200, max_samples=256, random_state=7, n_jobs=1).fit(train.astype(np.float32))
    single = rows.astype(np.float32)
    taken, reference = best_s(lambda: ours.score(rows)), best_s(lambda: theirs.score_samples(single))
    report("isolation_forest_rows", ROWS / taken, "rows/s", ROWS / reference)
    row, single_row = rows[:1], single[:1]
    reference = p99_ms(lambda: theirs.score_samples(single_row), 100)
    report("isolation_forest_one_row_p99", p99_ms(lambda: ours.score(row)), "ms", reference)
    some = rows[:5000]
    report("isolation_forest_explain_rows", len(some) / best_s(lambda: ours.explain(some)), "rows/s", ROWS / taken)


def bench_predictor(rng: np.random.Generator) -> None:
    """Incident predictor (a calibrated booster a horizon) beside one bare booster; training beside its aim of 10,000 rows/s."""
    config = PredictorConfig()
    train = rng.standard_normal((TRAIN_ROWS, len(config.features)))
    labels = np.stack([train[:, 0] > least for least in (2.5, 2.25, 2.0)], axis=1).astype(np.float64)
    begin = time.perf_counter()
    model = IncidentPredictor.fit(train, labels, config)
    report("incident_predictor_training_rows", TRAIN_ROWS / (time.perf_counter() - begin), "rows/s", 10_000.0)
    rows: FloatArray = rng.standard_normal((ROWS, len(config.features)))
    bare: xgb.Booster = model.boosters[-1]
    read = terms_of(config.features).values(rows)
    taken, reference = best_s(lambda: model.score(rows)), best_s(lambda: bare.inplace_predict(read))
    report("incident_predictor_rows", ROWS / taken, "rows/s", ROWS / reference)
    row = rows[:1]
    report(
        "incident_predictor_one_row_p99", p99_ms(lambda: model.score(row)), "ms", p99_ms(lambda: bare.inplace_predict(read[:1]))
    )
    some = rows[:2000]
    report("incident_predictor_explain_rows", len(some) / best_s(lambda: model.explain(some)), "rows/s", ROWS / taken)


def main() -> None:
    """Run all."""
    rng = np.random.default_rng(0)
    bench_forest(rng)
    bench_predictor(rng)


if __name__ == "__main__":
    main()
