"""`aiops bench nezha-detect`: the score of a whole system each minute, on days of Nezha with injected faults.

Metrics are fitted on the fault-free evening of the same day. Logs and edges, where the day has them, have no such evening: what
requests do is compared with what they did before (`request_changes`). A day is judged minute by minute by the stronger of both;
the alarm threshold is 1 for every day. The figures beside it count as follows: a fault is seen when an alarm falls in its minute
or the `WITHIN` after; an alarm is false from `AFTER` minutes behind every fault on, and absorbs the next `WITHIN`; already on =
an alarm in the two minutes before a fault.
"""

import csv
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from aiops.signals.request_changes import RequestChangesConfig
from aiops.signals.requests import PatternKind
from aiops.types import FloatArray, SeriesBatch
from data_contracts.values.moments import microseconds_of
from models.detectors.minute_grid import STEP_S, MinuteGrid, grid_of
from models.detectors.system_deviation import SystemDeviation
from models.detectors.system_reasons import reasons_of
from models.detectors.three_sigma import SystemThreeSigma
from orchestration.bench.corpora.nezha_changes import MinuteChange, request_changes
from orchestration.bench.corpora.nezha_days import accepted_batches, day_folders
from serving.ingest.pull.nezha import NezhaSource, open_nezha
from serving.ingest.pull.source_options import SourceOptions

SIGNALS: Final = ("metrics", "logs", "edges")
_KINDS: Final[dict[str, tuple[PatternKind, ...]]] = {"logs": ("order",), "edges": ("call", "failure")}
WITHIN: Final = 5
AFTER: Final = 20
_STEP_US: Final = STEP_S * 1_000_000
_DAY_STEPS: Final = 24 * 60
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm before the fault-free evening, and why; `minute` = minutes since 00:00 UTC of its day."""

    day: str
    minute: int
    score: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Day:
    """One judged day: steps since 1970 and their scores (n,), steps of the faults, first step of the evening, points read."""

    name: str
    steps: tuple[int, ...]
    score: FloatArray
    faults: tuple[int, ...]
    evening: int
    points: int
    alarms: tuple[Alarm, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """What the scores of all days are worth at the fixed threshold; shares are None where no fault is known."""

    threshold: float
    signals: tuple[str, ...]
    days: tuple[str, ...]
    faults: int
    seen: float | None
    already_on: float | None
    false_alarms: int
    false_alarms_per_hour: float | None
    seconds: float
    points_per_second: float
    alarms: tuple[Alarm, ...]


def run(path: Path, out: Path, three_sigma: bool = False, signals: Sequence[str] = SIGNALS) -> Figures:
    """Judge every day under `path`, write `day,minute,score` to `out` (a row for each minute with a known score).

    `signals`: which of `SIGNALS` are looked at. `three_sigma` writes and counts the naive rule instead: how many
    values of metrics lie three standard deviations from their mean.

    Raises:
        SourceError: `path` holds no day, or a file of the corpus is damaged.
        TrainingImpossible: a day has no fault-free evening.
    """
    began = time.perf_counter()
    looked_at = ("metrics",) if three_sigma else tuple(name for name in SIGNALS if name in signals)
    days = [judged_day(folder, looked_at, three_sigma) for folder in day_folders(path)]
    seconds = time.perf_counter() - began
    _write(days, out)
    return _figures(days, looked_at, seconds)


def judged_day(folder: Path, signals: Sequence[str], three_sigma: bool) -> Day:
    """Return one day, judged; the evening is the only thing fitted to, and of requests what was before."""
    source = open_nezha(SourceOptions(path=folder))
    grid, points = _grid(source)
    split = source.split()
    evening = microseconds_of(split.history_start)
    history = grid.within(evening, microseconds_of(split.history_end))
    name = f"{split.history_start:%Y-%m-%d}"
    steps = tuple(int(at) for at in (grid.times_us // _STEP_US).tolist())
    score, alarms = np.zeros(len(steps)), tuple[Alarm, ...]()
    if three_sigma:
        score = SystemThreeSigma.fit(history).judge(grid)
    elif "metrics" in signals:
        score, alarms = _model_score(name, history, grid, evening)
    if not three_sigma:
        kinds = tuple(kind for signal in signals for kind in _KINDS.get(signal, ()))
        changes = request_changes(folder, RequestChangesConfig(kinds=kinds)) if kinds else {}
        score, alarms = _with_changes(score, steps, alarms, _Changes(name, changes, evening // _STEP_US))
    faults = np.asarray(source.incidents()["starts_at"].cast(pa.int64()))
    fault_steps = tuple(sorted(int(at) for at in (faults // _STEP_US).tolist()))
    return Day(name, steps, score, fault_steps, evening // _STEP_US, points, alarms)


def _grid(source: NezhaSource) -> tuple[MinuteGrid, int]:
    batches = [SeriesBatch(batch) for batch in accepted_batches(source)]
    return grid_of(batches), sum(len(batch) for batch in batches)


def _model_score(name: str, history: MinuteGrid, grid: MinuteGrid, evening: int) -> tuple[FloatArray, tuple[Alarm, ...]]:
    model = SystemDeviation.fit(history)
    scores = model.judge(grid)
    rows = np.flatnonzero((scores.score >= model.threshold) & (grid.times_us < evening)).tolist()
    alarms = tuple(
        Alarm(
            name,
            int(grid.times_us[row] // _STEP_US % _DAY_STEPS),
            round(float(scores.score[row]), 4),
            tuple(str(reason) for reason in reasons_of(model, grid, scores, row)[:_SHOWN]),
        )
        for row in rows
    )
    return scores.score, alarms


@dataclass(frozen=True, slots=True)
class _Changes:
    """What requests changed on a day, by step, and the first step of its evening."""

    day: str
    by_step: Mapping[int, MinuteChange]
    evening: int


def _with_changes(
    score: FloatArray, steps: Sequence[int], alarms: Sequence[Alarm], changes: _Changes
) -> tuple[FloatArray, tuple[Alarm, ...]]:
    """Return the stronger of the metrics' score and the requests' change of each step, and the alarms of both by time."""
    ratios = np.array([changes.by_step[step].ratio if step in changes.by_step else np.nan for step in steps])
    more = [
        Alarm(changes.day, step % _DAY_STEPS, round(change.ratio, 4), (change.reason,))
        for step, change in changes.by_step.items()
        if change.ratio >= 1.0 and step < changes.evening
    ]
    return np.fmax(score, ratios), tuple(sorted([*alarms, *more], key=lambda alarm: alarm.minute))


def _write(days: Sequence[Day], out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("day", "minute", "score"))
        for day in days:
            for step, score in zip(day.steps, day.score.tolist(), strict=True):
                if np.isfinite(score):
                    rows.writerow((day.name, step % _DAY_STEPS, repr(score)))


def _figures(days: Sequence[Day], signals: tuple[str, ...], seconds: float) -> Figures:
    seen, on, false, minutes = (sum(counts) for counts in zip(*(_counts(day) for day in days), strict=True))
    faults = sum(len(day.faults) for day in days)
    return Figures(
        threshold=1.0,
        signals=signals,
        days=tuple(day.name for day in days),
        faults=faults,
        seen=seen / faults if faults else None,
        already_on=on / faults if faults else None,
        false_alarms=false,
        false_alarms_per_hour=false / (minutes / 60) if minutes else None,
        seconds=round(seconds, 3),
        points_per_second=round(sum(day.points for day in days) / seconds, 0),
        alarms=tuple(alarm for day in days for alarm in day.alarms),
    )


def _counts(day: Day) -> tuple[int, int, int, int]:
    """Return faults seen, faults with an alarm already on, false alarms, and minutes in which an alarm would be false."""
    alarms = {step for step, score in zip(day.steps, day.score.tolist(), strict=True) if score >= 1.0}
    seen = sum(any(step in alarms for step in range(fault, fault + WITHIN + 1)) for fault in day.faults)
    on = sum(fault - 2 in alarms or fault - 1 in alarms for fault in day.faults)
    near = {step for fault in day.faults for step in range(fault - 1, fault + AFTER + 1)}
    quiet = [step for step in day.steps if step < day.evening and step not in near]
    false, last = 0, -WITHIN - 1
    for step in quiet:
        if step in alarms and step - last > WITHIN:
            false, last = false + 1, step
    return seen, on, false, len(quiet)
