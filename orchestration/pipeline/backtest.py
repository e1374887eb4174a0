"""Back-test of a detector on a recorded or simulated source: read, fit on the history, score, compare, draw. Writes no lake."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from aiops.errors import SourceError, TrainingImpossible
from aiops.features.series_index import distinct_series
from aiops.ports import SeriesLabels, TelemetrySource
from aiops.replay.event_clock import pieces
from aiops.replay.history_split import of_replay
from aiops.types import FloatArray, HistorySplit, IntArray, SeriesBatch
from data_contracts.schemas.telemetry_schemas import SERIES
from models.backtest.backtest_detectors import FitData, fit_detector
from models.backtest.replay import (
    Backtest,
    RecordedPoints,
    Recording,
    ScoredDetector,
    backtest,
    earlier_half,
    normal_history,
    recording,
    three_sigma,
)
from models.evaluation.figures import SeriesPanel, series_figure
from models.vectors.page_budget import PageBudget
from models.vectors.service_rows import BoolArray, times_of
from orchestration.pipeline.recorded_rows import validate_recorded
from orchestration.pipeline.telemetry_step import median_step_s

PANELS = 8
_PIECE = 65_536
_TELL_EVERY = 250_000
_ROW = "row"


@dataclass(frozen=True, slots=True)
class BacktestRun:
    """What one run gave; `figure` is SVG, `accepted` of `points_read` rows kept the contract."""

    result: Backtest
    figure: bytes
    points_read: int
    accepted: int
    points_per_second: float


def run_backtest(source: TelemetrySource, detector: str, budget: PageBudget, say: Callable[[str], None]) -> BacktestRun:
    """Fit on the source's history, score history and replay in order of arrival, and judge the replay.

    Raises:
        SourceError: the source cannot be read, or holds no usable point in one of its two parts.
        TrainingImpossible: the history is too short for the detector.
        ConfigurationError: the detector cannot be back-tested.
    """
    split = source.split()
    batch, replayed, read = _read(source, split, say)
    names, code = distinct_series(batch.table)
    value = np.asarray(batch.table.column("value").to_numpy(zero_copy_only=False), dtype=np.float64)
    times = times_of(pa.Table.from_batches([batch.table]), "timestamp")
    labels = source.labelled_series() if isinstance(source, SeriesLabels) else {}
    record = recording(RecordedPoints(names, code, times, value), replayed, source.incidents(), labels)
    quiet = np.flatnonzero(normal_history(record))
    if not quiet.size:
        raise TrainingImpossible(f"source {source.name}: the history has no point outside incidents; give a longer history")
    step_s = median_step_s(pa.Table.from_batches([batch.table.slice(0, 100_000)]), 60)
    say(f"fit {detector} on {quiet.size:,} of {int((~replayed).sum()):,} history points, a tick each {step_s} s")
    fitted, threshold = fit_detector(detector, FitData(SeriesBatch(batch.table.take(pa.array(quiet, pa.int64()))), step_s))
    say(f"score {len(batch):,} points of {len(names):,} series")
    began = time.process_time()
    score = fitted.score(batch)
    speed = len(batch) / max(time.process_time() - began, 1e-9)
    say("judge, and find the threshold that keeps the budget on the half of the history that a second fit has not seen")
    unseen = _unseen_scores(detector, batch, quiet[earlier_half(record)[quiet]], step_s)
    result = backtest(record, ScoredDetector(detector, threshold, score, unseen), budget)
    if result.untuned:
        say(f"the threshold of {detector} is not tuned: {result.untuned}")
    return BacktestRun(result, _figure(record, result, score), read, len(batch), speed)


def _unseen_scores(detector: str, batch: SeriesBatch, earlier: IntArray, step_s: int) -> FloatArray | None:
    """Return the scores (n,) of the detector fitted to some points of the earlier history; None where they are too few."""
    try:
        fitted, _ = fit_detector(detector, FitData(SeriesBatch(batch.table.take(pa.array(earlier, pa.int64()))), step_s))
    except TrainingImpossible:
        return None
    return fitted.score(batch)


def write_backtest(run: BacktestRun, folder: Path, text: str) -> tuple[Path, Path]:
    """Write backtest.json (`text`) and backtest.svg into a folder, made where it is missing; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    figures, drawing = folder / "backtest.json", folder / "backtest.svg"
    figures.write_text(text, encoding="utf-8")
    drawing.write_bytes(run.figure)
    return figures, drawing


def _read(source: TelemetrySource, split: HistorySplit, say: Callable[[str], None]) -> tuple[SeriesBatch, BoolArray, int]:
    """Return the accepted points in order of arrival, which of them are replayed (n,), and the rows read."""
    batches, flags = [], []
    read = reported_count = 0
    refused = ""
    now = datetime.now(UTC)
    for chunk, replayed in _chunks(source, split):
        for start, piece in zip(range(0, chunk.num_rows, _PIECE), pieces(chunk, _PIECE), strict=True):
            outcome = validate_recorded(piece, now, source.name)
            refused = refused or (outcome.rejected["detail"][0].as_py() if outcome.rejected.num_rows else "")
            batches.append(outcome.accepted)
            flags.append(replayed[start : start + _PIECE][outcome.accepted_rows])
        read += chunk.num_rows
        if read >= reported_count + _TELL_EVERY:
            reported_count = read
            say(f"{source.name}: {read:,} points read")
    flag: BoolArray = np.concatenate(flags) if flags else np.empty(0, np.bool_)
    for part, there in (("history", ~flag), ("replay", flag)):
        if not there.any():
            why = f"the first refused row: {refused}" if refused else "see history_share" if read else "it gave no row at all"
            raise SourceError(f"source {source.name}: none of the {read:,} rows read is a usable point of the {part}; {why}")
    table = pa.Table.from_batches(batches, schema=SERIES).unify_dictionaries().combine_chunks()
    return SeriesBatch(table.to_batches()[0]), flag, read


def _chunks(source: TelemetrySource, split: HistorySplit) -> Iterator[tuple[pa.Table, BoolArray]]:
    """Yield chunks in order of time with a mask of the rows that are replayed."""
    history, replay = (split.history_start, split.history_end), (split.replay_start, split.replay_end)
    if split.history_ends:
        for chunk in source.batches(min(history[0], replay[0]), max(history[1], replay[1])):
            numbered = chunk.append_column(_ROW, pa.array(np.arange(chunk.num_rows)))
            mask: BoolArray = np.zeros(chunk.num_rows, np.bool_)
            mask[of_replay(numbered, split)[_ROW].to_numpy()] = True
            yield chunk, mask
        return
    for window, replayed in sorted(((history, False), (replay, True))):
        for chunk in source.batches(*window):
            yield chunk, np.full(chunk.num_rows, replayed, np.bool_)


def _figure(record: Recording, result: Backtest, score: FloatArray) -> bytes:
    """Draw the noisiest series, then those of services with incidents in the replay."""
    alarm = score >= result.rules[0].threshold
    hit = np.unique(record.code[record.replayed & record.truth.positive]).tolist()
    chosen = [record.series.index(noisy.series) for noisy in result.noisiest[: PANELS // 2]]
    chosen += [number for number in hit if number not in chosen]
    naive = three_sigma(record)
    return series_figure([_panel(record, number, alarm, naive) for number in (chosen or [0])[:PANELS]])


def _panel(record: Recording, number: int, alarm: BoolArray, naive: FloatArray) -> SeriesPanel:
    own = np.flatnonzero(record.code == number)
    time_us, value, truth = record.rows.time_us[own], record.value[own], record.truth.take(record.code == number)
    inside = value[naive[own] < 0.5]
    band = (float(inside.min()), float(inside.max())) if inside.size else (float("nan"), float("nan"))
    caught = truth.caught
    spans = tuple(
        (int(time_us[caught == incident].min()), int(time_us[caught == incident].max()))
        for incident in np.unique(caught[caught >= 0])
    )
    new = record.replayed[own]
    begins = int(time_us[new].min()) if new.any() else int(time_us.max())
    fired = alarm[own] & new
    return SeriesPanel(f"{record.series[number]}: {int(fired.sum())} points alarm", time_us, value, fired, band, spans, begins)
