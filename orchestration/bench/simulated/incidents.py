"""`aiops bench incidents`: incidents foreseen on simulated seeds that nothing was fitted to, beside the trend-to-limit rule.

The product's own path: the simulator's telemetry through the stream's feature engine, labels, training, and a threshold for the
page budget, all on the fit seeds; then the scored seeds once, at the fixed thresholds. The naive rule gets its threshold on the
same rows in the same way.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from aiops.errors import ConfigurationError
from aiops.features.backfill import backfill
from aiops.features.engine import EngineConfig
from aiops.features.sequences import Sequences
from aiops.incidents.labels import HORIZONS_MIN, HorizonLabels, horizon_labels
from aiops.settings.model_settings import ModelSettings
from aiops.simulator.simulate import simulate
from aiops.simulator.simulation_config import SimulationConfig
from aiops.topology.graph import ServiceGraph
from aiops.types import FloatArray, SeriesBatch
from data_contracts.schemas.telemetry_schemas import SEQUENCE_FEATURES
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.telemetry.series_rows import PointColumns, points_of
from models.artifacts.training_run import Trained
from models.evaluation.scorecard import Replay
from models.prediction.incident_predictor import IncidentPredictor
from models.training.predictor_training import (
    calibration_replay,
    prediction_replay,
    thresholds_by_budget,
    train_incident_predictor,
)
from models.training.training_context import TrainingContext
from models.vectors.page_budget import PageBudget
from orchestration.bench.simulated.incident_figures import (
    Horizon,
    KindFigures,
    Rule,
    RuleFigures,
    horizon_figures,
    kind_figures,
    kinds_of,
    rule_figures,
)

FIRST_FIT_SEED: Final = 1
FIT_SEEDS: Final = 8
FIRST_SEED: Final = 1001
TIGHTER: Final = (0.25, 0.1)
"""Further budgets at which both rules are shown, as shares of the budget: what the pages buy."""
PREDICT_EVERY_S: Final = 300
PROCESSES: Final = 2
_US: Final = 1_000_000
_HOUR_US: Final = 3600 * _US


@dataclass(frozen=True, slots=True)
class BenchConfig:
    """Scored seeds first_seed, first_seed + 1, …; fit seeds likewise; every seed is `hours` of 12 services, one page budget."""

    seeds: int = 20
    first_seed: int = FIRST_SEED
    fit_seeds: int = FIT_SEEDS
    first_fit_seed: int = FIRST_FIT_SEED
    hours: float = 240.0
    budget: PageBudget = field(default_factory=PageBudget)
    processes: int = PROCESSES

    def __post_init__(self) -> None:
        """Check that nothing is scored that was fitted."""
        if self.seeds < 1 or self.fit_seeds < 1:
            raise ConfigurationError(f"seeds={self.seeds}, fit_seeds={self.fit_seeds}: one of each or more is needed")
        both = set(self.scored) & set(self.fitted)
        if both:
            raise ConfigurationError(
                f"first_seed={self.first_seed}: seed {min(both)} is one of those fitted to ({self.fitted.start} to "
                f"{self.fitted.stop - 1}); a scored seed must not be: give --first-seed {self.fitted.stop} or more"
            )

    @property
    def scored(self) -> range:
        """Return the scored seeds."""
        return range(self.first_seed, self.first_seed + self.seeds)

    @property
    def fitted(self) -> range:
        """Return the seeds that are fitted to."""
        return range(self.first_fit_seed, self.first_fit_seed + self.fit_seeds)


@dataclass(frozen=True, slots=True)
class Seed:
    """One simulated seed: vectors and sequences at the prediction cadence, incidents; services are named "seed/service"."""

    rows: pa.Table
    incidents: pa.Table


@dataclass(frozen=True, slots=True)
class Figures:
    """What was fitted on what, and what it is worth; recall and lead at the whole budget, of the foreseeable kinds."""

    recall: float
    lead_min: float
    false_pages: float
    naive_recall: float
    naive_lead_min: float
    naive_false_pages: float
    fitted_on: str
    scored_on: str
    incidents: int
    service_days: float
    rules: tuple[RuleFigures, ...]
    kinds: tuple[KindFigures, ...]
    horizons: tuple[Horizon, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Scored:
    """The scored seeds: their replay, labels, the predictor's probabilities (n, horizons), and both rules, ours first."""

    replay: Replay
    labels: HorizonLabels
    score: FloatArray
    rules: tuple[Rule, Rule]


def run(config: BenchConfig, out: Path | None, say: Callable[[str], None]) -> Figures:
    """Fit on the fit seeds, score the others at the fixed thresholds; write one line a scored row to `out`.

    Columns of `out`: unit ("seed/service"), t (hours since 1970), label (an incident starts within the longest horizon),
    incident_t, score (its probability), p_5min, …, naive, alarm. Rows during an incident of their service are left out.

    Raises:
        TrainingImpossible: the fit seeds hold too few incidents.
    """
    began = time.monotonic()
    fit, labels, _ = joined(simulated(config.fitted, config, say))
    say(f"fitting on {fit.num_rows:,} rows")
    settings = ModelSettings()
    dataset = f"simulator seeds {_span(config.fitted)}"
    context = TrainingContext(dataset, "", "", config.budget, float(settings.embargo_min), settings.seed)
    trained = train_incident_predictor(fit, labels, context)
    calibration = calibration_replay(fit, labels, context)
    rows, labels, incidents = joined(simulated(config.scored, config, say))
    scored = _scored(config, trained, calibration, prediction_replay(rows, labels, 0, float(HORIZONS_MIN[-1])), labels)
    if out is not None:
        say(f"writing {out}")
        _write(scored, out)
    replay, kinds = scored.replay, kinds_of(scored.replay, incidents)
    ours, naive = (rule_figures(rule, replay, kinds, config.budget) for rule in scored.rules)
    return Figures(
        *(ours[0].recall, ours[0].lead_min, ours[0].false_pages),
        *(naive[0].recall, naive[0].lead_min, naive[0].false_pages),
        f"{dataset}: {config.hours:g} h each, boosters and calibration on {trained.run.metrics['train_rows']:,.0f} and "
        f"{len(calibration.rows):,} rows, thresholds of both rules on the latter",
        f"simulator seeds {_span(config.scored)}: {config.hours:g} h each, {len(replay.rows):,} rows, nothing fitted",
        len(kinds),
        replay.rows.service_days(),
        (*ours, *naive),
        kind_figures(*scored.rules, replay, kinds, config.budget.per_day),
        tuple(horizon_figures(HORIZONS_MIN, scored.labels.labels, scored.score, replay.baseline)),
        round(time.monotonic() - began, 1),
    )


def simulated(seeds: range, config: BenchConfig, say: Callable[[str], None]) -> Iterator[Seed]:
    """Yield the seeds in order, simulated and turned into vectors by `config.processes` processes."""
    if config.processes == 1:
        yield from (_reported(simulate_seed(seed, config.hours), seed, say) for seed in seeds)
        return
    with ProcessPoolExecutor(config.processes, get_context("spawn")) as pool:
        hours = [config.hours] * len(seeds)
        for seed, made in zip(seeds, pool.map(simulate_seed, seeds, hours), strict=True):
            yield _reported(made, seed, say)


_POINT: Final = ("timestamp", "service", "metric", "value")


def simulate_seed(seed: int, hours: float) -> Seed:
    """Return one seed: its telemetry through the stream's engine, the vectors at the prediction cadence."""
    simulation = simulate(SimulationConfig(seed=seed, hours=hours))
    graph = ServiceGraph.from_edges(simulation.edges())
    incidents = simulation.incidents()
    batches = (
        (SeriesBatch(points_of(PointColumns(*(table[name] for name in _POINT)), DEFAULT_TENANT)), None)
        for table in simulation.telemetry()
    )
    engine, past = EngineConfig(), Sequences(EngineConfig().step_s * _US)
    outputs = backfill(engine, graph, batches, incidents, simulation.end)
    rows = pa.concat_tables([_due(output.service_features, past) for output in outputs])
    return Seed(_named(rows, seed), _named(incidents, seed))


def joined(seeds: Iterable[Seed]) -> tuple[pa.Table, HorizonLabels, pa.Table]:
    """Return the rows of all seeds, their labels, and all incidents."""
    all_seeds = list(seeds)
    rows = pa.concat_tables([seed.rows for seed in all_seeds])
    incidents = pa.concat_tables([seed.incidents for seed in all_seeds])
    return rows, horizon_labels(rows, incidents, HORIZONS_MIN), incidents


def _due(rows: pa.RecordBatch, past: Sequences) -> pa.Table:
    """Return the rows at the prediction cadence with their sequences, which are made of all."""
    sequences = past.update(rows)
    due = np.asarray(rows.column("event_timestamp").cast(pa.int64()).to_numpy() % (PREDICT_EVERY_S * _US) == 0)
    chosen = pa.Table.from_batches([rows]).filter(pa.array(due))
    for place, name in enumerate(SEQUENCE_FEATURES):
        chosen = chosen.append_column(name, pa.array(sequences[due, place]))
    return chosen


def _reported(made: Seed, seed: int, say: Callable[[str], None]) -> Seed:
    say(f"seed {seed}: {made.rows.num_rows:,} rows, {made.incidents.num_rows} incidents")
    return made


def _named(table: pa.Table, seed: int) -> pa.Table:
    place = table.schema.get_field_index("service")
    names = pa.array([f"{seed}/{name}" for name in table["service"].to_pylist()])
    return table.set_column(place, "service", names)


def _scored(
    config: BenchConfig, trained: Trained[IncidentPredictor], calibration: Replay, replay: Replay, labels: HorizonLabels
) -> Scored:
    """Return the replay scored by both rules; thresholds come from the calibration rows alone."""
    model = trained.model
    score = model.score(replay.rows.matrix(model.features))
    fitted = model.score(calibration.rows.matrix(model.features))[:, -1]
    budgets = [PageBudget(share * config.budget.per_day, config.budget.quiet_min) for share in (1.0, *TIGHTER)]
    ours = thresholds_by_budget(fitted, calibration, budgets)
    ours[config.budget.per_day] = float(model.thresholds[-1])
    naive = thresholds_by_budget(calibration.baseline, calibration, budgets)
    rules = (Rule("predictor", score[:, -1], ours), Rule("trend to limit", replay.baseline, naive))
    return Scored(replay, labels, score, rules)


def _write(scored: Scored, out: Path) -> None:
    rows, truth = scored.replay.rows, scored.replay.truth
    ours, naive = scored.rules
    starts = np.full(len(rows), np.nan)
    starts[truth.positive] = truth.starts_us[truth.caught[truth.positive]] / _HOUR_US
    columns = {
        "unit": pa.array(np.asarray(rows.services, dtype=object)[rows.code]),
        "t": pa.array(rows.time_us / _HOUR_US),
        "label": pa.array(truth.positive.astype(np.int64)),
        "incident_t": pa.array(starts, from_pandas=True),
        "score": pa.array(ours.score, from_pandas=True),
        **{f"p_{horizon}min": pa.array(scored.score[:, place]) for place, horizon in enumerate(HORIZONS_MIN)},
        "naive": pa.array(naive.score),
        "alarm": pa.array(ours.alarm(max(ours.thresholds)).astype(np.int64)),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    pa_csv.write_csv(pa.table(columns).filter(pa.array(truth.counted)), out)


def _span(seeds: range) -> str:
    return f"{seeds.start} to {seeds.stop - 1}"
