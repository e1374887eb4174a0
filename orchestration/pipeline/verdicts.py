"""Verdicts of operators: was a detection worth a page? Kept in the lake, one a detection, the newest counts.

A verdict on an incident (`serving.incidents.desk.feedback`) is one on each of its detections.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pyarrow as pa

from aiops.errors import ContractError
from data_contracts.schemas.learning_schema import VERDICTS
from data_contracts.schemas.telemetry_schemas import DETECTIONS
from orchestration.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an operator said of a detection."""

    detection_id: str
    right: bool
    given_at: datetime


@dataclass(frozen=True, slots=True)
class FalseAlarmRate:
    """Share of false alarms among verdicts; `newest` is the id of the last one ("" without any)."""

    verdicts: int
    false_alarms: int
    newest: str

    @property
    def share(self) -> float:
        """Return false alarms per verdict, 0 without verdicts."""
        return self.false_alarms / self.verdicts if self.verdicts else 0.0


def give_verdict(workspace: Workspace, detection_id: str, right: bool, at: datetime) -> Verdict:
    """Store a verdict; a later one on the same detection replaces it.

    Raises:
        ContractError: no such detection in the lake.
    """
    if not workspace.lake.read("detections", columns=["detection_id"], where={"detection_id": [detection_id]}).num_rows:
        raise ContractError(f"detection_id {detection_id!r} is not in the lake; `aiops detections` lists them")
    row = pa.Table.from_pylist([{"given_at": at, "detection_id": detection_id, "right": right}], schema=VERDICTS)
    workspace.lake.write("verdicts", row, key=detection_id)
    return Verdict(detection_id, right, at)


def newest_detections(workspace: Workspace, limit: int, everything: bool = False) -> list[dict[str, Any]]:
    """Return the newest rows of `schemas.DETECTIONS`, each in its newest revision; anomalous ones unless `everything`.

    Opens no more days than hold them, the newest first: a revision has the time of what it revises.
    """
    collected: list[dict[str, Any]] = []
    for day in reversed(workspace.lake.days("detections")):
        start = datetime.combine(day, time(), UTC)
        rows = workspace.lake.read("detections", start, start + timedelta(days=1)).to_pandas()
        last = rows.sort_values("revision").drop_duplicates("detection_id", keep="last")
        chosen = last if everything else last[last["anomalous"]]
        newest = chosen.sort_values("timestamp", ascending=False).head(limit - len(collected))
        collected += pa.Table.from_pandas(newest, schema=DETECTIONS, preserve_index=False).to_pylist()
        if len(collected) >= limit:
            break
    return collected


def false_alarm_rate(workspace: Workspace, since: datetime | None) -> FalseAlarmRate:
    """Return the rate over verdicts given after `since` (all where None); of a detection the newest counts.

    A verdict on an incident counts once, however many detections it had: it is one word of one person about one page. An
    incident without any detection of ours (alerts from elsewhere, forecasts) does not count: retraining detectors mends nothing.
    """
    rows = workspace.lake.read("verdicts", since).to_pandas().sort_values("given_at").drop_duplicates("detection_id", keep="last")
    words = rows.assign(word=rows["incident_id"].fillna(rows["detection_id"])).drop_duplicates("word", keep="last")
    newest = str(words["detection_id"].iloc[-1]) if len(words) else ""
    return FalseAlarmRate(len(words), int((~words["right"]).sum()) if len(words) else 0, newest)
