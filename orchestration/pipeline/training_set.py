"""Training sets: what was known of every service at every decision time, joined by Feast, labelled by what followed."""

import json
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from aiops.errors import TrainingImpossible
from aiops.incidents.labels import HORIZONS_MIN, HorizonLabels, horizon_labels, of_minutes
from aiops.types import FloatArray, ModelVersion
from data_contracts.schemas.feature_views import INCIDENT_PREDICTION
from data_contracts.schemas.telemetry_schemas import SERVICE_FEATURES
from data_contracts.values.moments import microseconds_of
from orchestration.pipeline.sequences import with_sequences
from orchestration.workspace import feature_store
from orchestration.workspace.workspace import Workspace
from serving.host.atomic_file import write_atomically

LABELS: Final = tuple(f"starts_within_{horizon}min" for horizon in HORIZONS_MIN)
MINUTES_TO_START: Final = "minutes_to_start"
LABEL_DELAY: Final = timedelta(hours=3)
"""Rows newer than this have no label yet: an incident that they precede may not be known."""
MOST_ROWS: Final = 60_000
TAG: Final = "training_set"
"""Tag of a model version that names the training set it saw."""
FACTS: Final = "training_set_facts"
"""Tag that describes that set whole, so that the gate reads the one that the candidate saw."""
RECENT: Final = "recent_from"
"""Tag that says since when things are different, where a drift led to the training; else absent."""


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """When to train (None = the newest telemetry) and, after a drift, since when things are different."""

    at: datetime | None = None
    recent_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """One stored training set; times are aware UTC, `start` that of its first row. `recent_from`: None without a drift."""

    path: str
    at: datetime
    recent_from: datetime | None
    rows: int
    positives: int
    step_s: int
    start: datetime

    @property
    def name(self) -> str:
        """Return the file name, which a model version carries as a tag."""
        return Path(self.path).name

    @property
    def text(self) -> str:
        """Return the set as JSON: what passes it from the candidate to the gate."""
        times = {"at": _iso(self.at), "start": _iso(self.start), "recent_from": _iso(self.recent_from)}
        return json.dumps({**asdict(self), **times})

    @classmethod
    def of_text(cls, text: str) -> "TrainingSet":
        """Return the set that `text` described."""
        stored = json.loads(text)
        recent = stored["recent_from"]
        times = {name: datetime.fromisoformat(stored[name]) for name in ("at", "start")}
        return cls(**{**stored, **times, "recent_from": datetime.fromisoformat(recent) if recent else None})

    def frame(self) -> pd.DataFrame:
        """Return the rows: service, event_timestamp, features, labels."""
        return pq.read_table(self.path).to_pandas()


def build_training_set(workspace: Workspace, request: TrainingRequest, say: Callable[[str], None]) -> TrainingSet:
    """Join, label and store the training set as of `request.at`; nothing that became known later is in it.

    Every n-th tick is taken, n such that at most `MOST_ROWS` rows result.

    Raises:
        TrainingImpossible: the lake holds no feature rows before that time.
    """
    at = request.at or workspace.newest_telemetry()
    spine, step_s = _spine(workspace, at)
    if spine.empty:
        raise TrainingImpossible(f"no service features before {at:%Y-%m-%d %H:%M}; build them first (`aiops ingest`, then train)")
    feature_store.apply(workspace.settings, workspace.tenant)
    say(f"joining {len(spine):,} decision times through Feast, one every {step_s} s a service")
    joined = feature_store.training_frame(workspace.settings, spine, INCIDENT_PREDICTION.name, workspace.tenant)
    frame = joined.assign(event_timestamp=joined["tick"])[["service", "event_timestamp", *SERVICE_FEATURES]]
    frame = _with_own_vectors(workspace, frame, spine.duplicated(["service", "event_timestamp"], keep=False))
    labelled = _labelled(workspace, with_sequences(workspace, frame, at), at)
    folder = workspace.folder("training")
    path = folder / f"{at:%Y%m%dT%H%M%S}-{'drift' if request.recent_from else 'full'}-{uuid.uuid4().hex[:8]}.parquet"
    write_atomically(folder / ".staging", path, lambda handle: pq.write_table(labelled, handle, compression="zstd"))
    positives = int(np.nansum(labelled[LABELS[-1]].to_numpy()))
    first: datetime = frame["event_timestamp"].min().to_pydatetime()
    return TrainingSet(str(path), at, request.recent_from, labelled.num_rows, positives, step_s, first)


def remembered_training_set(workspace: Workspace) -> TrainingSet:
    """Return the training set that version 0.1 remembered as its last; nothing writes there any more.

    Raises:
        TrainingImpossible: none was remembered.
    """
    pointer = workspace.folder("training") / "latest.json"
    if not pointer.exists():
        raise TrainingImpossible("no training set is known; run `aiops train`")
    return TrainingSet.of_text(pointer.read_text(encoding="utf-8"))


def training_set_of_challenger(workspace: Workspace, version: ModelVersion) -> TrainingSet:
    """Return the training set that a challenger was trained on, whatever was built since; of 0.1, the remembered one.

    Raises:
        TrainingImpossible: none was built.
    """
    facts = version.tags.get(FACTS)
    return TrainingSet.of_text(facts) if facts else remembered_training_set(workspace)


def training_set_of(workspace: Workspace, version: ModelVersion) -> pd.DataFrame:
    """Return the training set that a model version saw.

    Raises:
        TrainingImpossible: the file is gone.
    """
    path = workspace.folder("training") / version.tags.get(TAG, "none")
    if not path.is_file():
        raise TrainingImpossible(f"{version.name} version {version.version}: its training set {path} is gone; train again")
    return pq.read_table(path).to_pandas()


def labels_of(frame: pd.DataFrame) -> HorizonLabels:
    """Return the labels of a training set as arrays, for today's horizons whatever those of the day it was stored."""
    minutes: FloatArray = frame[MINUTES_TO_START].to_numpy(dtype=np.float64)
    return of_minutes(minutes, HORIZONS_MIN)


def _spine(workspace: Workspace, at: datetime) -> tuple[pd.DataFrame, int]:
    """Return decision times (the moment a tick's features became available) and the seconds between a service's rows."""
    columns = ("service", "event_timestamp", "available_at")
    start = at - timedelta(days=workspace.settings.telemetry.retention_days)
    rows = workspace.lake.read("service_features", start, at, columns)
    step_s = workspace.settings.telemetry.step_s
    every = max(1, -(-rows.num_rows // MOST_ROWS))
    tick_us = rows["event_timestamp"].cast(pa.int64()).to_numpy()
    chosen = rows.filter(pa.array(tick_us // (step_s * 1_000_000) % every == 0))
    known = chosen.filter(pa.array(chosen["available_at"].cast(pa.int64()).to_numpy() <= microseconds_of(at)))
    frame = known.to_pandas().sort_values("available_at", kind="stable").drop_duplicates(["service", "event_timestamp"])
    renamed = frame.rename(columns={"event_timestamp": "tick", "available_at": "event_timestamp"})
    return renamed.reset_index(drop=True), step_s * every


def _with_own_vectors(workspace: Workspace, frame: pd.DataFrame, together: "pd.Series[bool]") -> pd.DataFrame:
    """Return `frame` in which ticks that became available `together` hold their own vectors.

    A stream that catches up closes many ticks at one moment. As of that moment the newest of them is known, so a join gives its
    vector to all: to ticks whose labels it would betray. The service is asked about each tick with its own vector.
    """
    if not together.any():
        return frame
    ticks = frame.loc[together, "event_timestamp"]
    end = ticks.max() + timedelta(microseconds=1)
    rows = workspace.lake.read("service_features", ticks.min().to_pydatetime(), end.to_pydatetime()).to_pandas()
    rows = rows.sort_values("available_at", kind="stable").drop_duplicates(["service", "event_timestamp"])
    keys, names = ["service", "event_timestamp"], list(SERVICE_FEATURES)
    own = frame.loc[together, keys].merge(rows[[*keys, *names]], on=keys, how="left", validate="one_to_one")
    whole = frame.copy()
    whole.loc[together, names] = own[names].to_numpy()
    return whole


def _labelled(workspace: Workspace, frame: pd.DataFrame, at: datetime) -> pa.Table:
    rows = pa.Table.from_pandas(frame, preserve_index=False)
    labels = horizon_labels(rows, workspace.incidents(at), HORIZONS_MIN)
    unknown = (frame["event_timestamp"] > at - LABEL_DELAY).to_numpy()
    for column, name in enumerate(LABELS):
        rows = rows.append_column(name, pa.array(np.where(unknown, np.nan, labels.labels[:, column])))
    return rows.append_column(MINUTES_TO_START, pa.array(np.where(unknown, np.nan, labels.minutes_to_start)))


def _iso(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).isoformat()
