"""`aiops bench alerts`: thousands of raw threshold alerts of Nezha become a few notifications, each with its suspects.

An incident opens at the fixed threshold of the whole system's deviation, which is judged minute by minute from metrics, or at
that of what requests change, where the day has traces. While it is open it takes in the alerts of the minute before and of those
after, and further alarms; alerts at other times notify nobody. Services are ranked once, at the opening, from what was known in
that minute. Faults are read for the figures only.
"""

import csv
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from aiops.errors import SourceError
from aiops.signals.request_changes import RequestChangesConfig
from aiops.topology.graph import ServiceGraph
from aiops.types import SeriesBatch
from data_contracts.values.moments import microseconds_of
from models.detectors.deviation_levels import DeviationConfig
from models.detectors.minute_grid import STEP_S, grid_of
from models.detectors.system_deviation import SystemDeviation
from models.rca.grid import SeriesGrid
from models.rca.ranking import RootCauseRanker
from orchestration.bench.corpora.alert_figures import DayTruth, FunnelFigures, Notification, RawAlert, figures_of, timed_groups
from orchestration.bench.corpora.nezha_changes import request_changes
from orchestration.bench.corpora.nezha_days import accepted_batches, day_folders
from serving.ingest.pull.nezha import NezhaSource, open_nezha
from serving.ingest.pull.source_options import SourceOptions

BACK_MIN: Final = 1
"""Minutes before an alarm whose alerts are its own: an alarm asks that a deviation lasts for two."""
OPEN_MIN: Final = DeviationConfig().recent_steps
"""Minutes that an incident takes in alerts and alarms: as long as the alarm compares its level with."""
COMPARED_MIN: Final = 3
"""Minutes before those of the deviation that a ranking compares it with."""
GROUP_MIN: Final = 8
"""Length of a group of the baseline: one that waits for a gap never ends where some alert comes every minute."""
_COLUMNS: Final = ("id", "day", "minute", "service", "z")
_MINUTE_US: Final = STEP_S * 1_000_000


@dataclass(frozen=True, slots=True)
class AlertFigures:
    """Figures by day, beside those of grouping by time alone; seconds for reading, judging and ranking all days."""

    days: Mapping[str, Mapping[str, float]]
    grouped_by_time: Mapping[str, Mapping[str, float]]
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class FunnelDay:
    """A judged day: its minutes with an alarm, its telemetry and the ranker fitted to its fault-free evening."""

    name: str
    midnight_us: int
    alarms: tuple[int, ...]
    grid: SeriesGrid
    ranker: RootCauseRanker
    truth: DayTruth


def bench_alerts(path: Path, alerts: Path, out: Path, say: Callable[[str], None]) -> AlertFigures:
    """Write one JSON object a notification (day, open, alerts, services) for every day under `path`.

    Raises:
        SourceError: `path` holds no day, or `alerts` cannot be read as alerts.
        TrainingImpossible: a day has no fault-free evening.
    """
    began = time.perf_counter()
    raw = read_alerts(alerts)
    ours: dict[str, FunnelFigures] = {}
    timed: dict[str, FunnelFigures] = {}
    lines: list[str] = []
    for folder in day_folders(path):
        day = judged(open_nezha(SourceOptions(path=folder)))
        day_alerts = raw.get(day.name, ())
        sent = notifications(day, day_alerts)
        lines += [json.dumps(asdict(notification)) + "\n" for notification in sent]
        by_id = {alert.alert_id: alert for alert in day_alerts}
        ours[day.name] = figures_of(day.truth, by_id, sent)
        timed[day.name] = figures_of(day.truth, by_id, timed_groups(day.name, day_alerts, GROUP_MIN))
        say(f"{day.name}: {len(day_alerts)} alerts, {len(sent)} notifications")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("".join(lines), encoding="utf-8")
    seconds = round(time.perf_counter() - began, 3)
    return AlertFigures(
        {name: asdict(figures) for name, figures in ours.items()},
        {name: asdict(figures) for name, figures in timed.items()},
        seconds,
    )


def read_alerts(path: Path) -> dict[str, tuple[RawAlert, ...]]:
    """Return the alerts of a CSV file (id, day, minute, service, z and others) by day.

    Raises:
        SourceError: the file is not there, a column is missing or a number cannot be read.
    """
    by_day: dict[str, list[RawAlert]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            missing = [name for name in _COLUMNS if name not in (rows.fieldnames or ())]
            if missing:
                raise SourceError(f"{path}: column {missing[0]!r} is missing; a file of alerts has {', '.join(_COLUMNS)}")
            for row in rows:
                alert = RawAlert(int(row["id"]), int(row["minute"]), row["service"], float(row["z"]))
                by_day.setdefault(row["day"], []).append(alert)
    except (OSError, ValueError, TypeError) as error:
        raise SourceError(f"{path}: cannot be read as alerts ({error}); give a CSV file with {', '.join(_COLUMNS)}") from error
    return {day: tuple(alerts) for day, alerts in by_day.items()}


def judged(source: NezhaSource) -> FunnelDay:
    """Return a day, judged by metrics and by what requests change; the fault-free evening is the only thing fitted to."""
    batches = accepted_batches(source)
    minutes = grid_of([SeriesBatch(batch) for batch in batches], STEP_S)
    grid = SeriesGrid.of(pa.Table.from_batches(batches), STEP_S)
    split = source.split()
    evening, end = microseconds_of(split.history_start), microseconds_of(split.history_end)
    midnight = int(minutes.times_us[0]) // (1440 * _MINUTE_US) * (1440 * _MINUTE_US)
    model = SystemDeviation.fit(minutes.within(evening, end))
    score = model.judge(minutes).score
    changes = request_changes(source.folder, RequestChangesConfig())
    changed = [minute * _MINUTE_US for minute, change in changes.items() if change.ratio >= 1.0]
    alarms = np.union1d(minutes.times_us[score >= model.threshold], np.array(changed, np.int64))
    alarms = alarms[alarms < evening]
    faults = [
        ((microseconds_of(row["starts_at"]) - midnight) // _MINUTE_US, row["service"]) for row in source.incidents().to_pylist()
    ]
    return FunnelDay(
        name=f"{split.history_start:%Y-%m-%d}",
        midnight_us=midnight,
        alarms=tuple(int(at) for at in ((alarms - midnight) // _MINUTE_US).tolist()),
        grid=grid,
        ranker=RootCauseRanker.fit(grid.between(evening, end), ServiceGraph.from_edges(source.edges())),
        truth=DayTruth(
            tuple(sorted(faults)), int(minutes.times_us[0] - midnight) // _MINUTE_US, (evening - midnight) // _MINUTE_US
        ),
    )


def notifications(day: FunnelDay, alerts: Sequence[RawAlert]) -> tuple[Notification, ...]:
    """Return the day's notifications; an alert is in at most one."""
    opens: list[int] = []
    for minute in day.alarms:
        if not opens or minute - opens[-1] > OPEN_MIN:
            opens.append(minute)
    minutes = np.array([alert.minute for alert in alerts], dtype=np.int64)
    sent = []
    for number, opened in enumerate(opens):
        until = min(opened + OPEN_MIN, opens[number + 1] - BACK_MIN - 1 if number + 1 < len(opens) else opened + OPEN_MIN)
        inside = np.flatnonzero((minutes >= opened - BACK_MIN) & (minutes <= until)).tolist()
        if not any(minutes[place] <= opened for place in inside):
            inside = []  # alerts that only follow are not what it was sent for
        sent.append(Notification(day.name, opened, tuple(alerts[place].alert_id for place in inside), suspects(day, opened)))
    return tuple(sent)


def suspects(day: FunnelDay, minute: int) -> tuple[str, ...]:
    """Return the services, the most probable root first, from telemetry up to a minute and no later."""
    now = day.midnight_us + minute * _MINUTE_US
    began = now - BACK_MIN * _MINUTE_US
    window = day.grid.between(began, now + _MINUTE_US)
    return tuple(cause.service for cause in day.ranker.rank(window, day.grid.between(began - COMPARED_MIN * _MINUTE_US, began)))
