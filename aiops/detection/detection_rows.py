"""From candidates to the rows that the models are asked about, and from their answers to rows of detections and predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.detection.decision import decide
from aiops.detection.opinions import Band, BoolArray, Context, Opinion
from aiops.detection.routing import Router
from aiops.signals.signal_sentences import SignalText
from aiops.types import FloatArray
from data_contracts.schemas import telemetry_schemas
from data_contracts.series.metric_texts import metric_texts
from data_contracts.series.series_name import SeriesName

BOUND: Final = 0.5
"""Seasonal score of a value at the bound of its band."""
_SHARE: Final = "share_"


class ScoredRows(Protocol):
    """Answer of the models: `rows` has service, event_timestamp, the outputs and `anomalous`, in the order asked."""

    @property
    def rows(self) -> pa.RecordBatch:
        """Return the answered rows."""
        ...

    @property
    def model_version(self) -> str:
        """Return the version that answered."""
        ...


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Rows to commit; empty batches where there is nothing to say."""

    detections: pa.RecordBatch
    predictions: pa.RecordBatch


def feature_rows(candidates: pa.RecordBatch) -> pa.RecordBatch:
    """Return the feature columns of candidates as `telemetry_schemas.SERVICE_FEATURES_TABLE`."""
    names = telemetry_schemas.SERVICE_FEATURES_TABLE.names
    return pa.RecordBatch.from_arrays(
        [candidates.column(name) for name in names], schema=telemetry_schemas.SERVICE_FEATURES_TABLE
    )


def season_question(candidates: pa.RecordBatch) -> pa.RecordBatch:
    """Return the worst points of candidates as /season reads them: service, metric with its labels, timestamp, value."""
    metric = pa.array(metric_texts(candidates), pa.string())
    columns = [candidates.column("service"), metric, candidates.column("point_timestamp"), candidates.column("value")]
    return pa.RecordBatch.from_arrays(columns, names=["service", "metric", "timestamp", "value"])


def prediction_rows(candidates: pa.RecordBatch, predicted: ScoredRows | None, reason: str) -> pa.RecordBatch:
    """Return `telemetry_schemas.PREDICTIONS` of the scheduled candidates."""
    if predicted is None:
        return pa.RecordBatch.from_pylist([], schema=telemetry_schemas.PREDICTIONS)
    rows = predicted.rows
    size = rows.num_rows
    scheduled = candidates.filter(candidates.column("scheduled"))
    columns: list[pa.Array[Any]] = [
        scheduled.column("event_timestamp"),
        scheduled.column("service"),
        rows.column("p_5min") if "p_5min" in rows.schema.names else pa.nulls(size, pa.float64()),  # a champion of before
        rows.column("p_15min"),
        rows.column("p_60min"),
        pa.array(_flags(rows)),
        pa.array([predicted.model_version] * size, pa.string()),
        pa.array([reason] * size, pa.string()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=telemetry_schemas.PREDICTIONS)


def _flags(rows: pa.RecordBatch) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    """Return `anomalous` as (n,) bool; unknown is no alarm."""
    return np.array([flag is True for flag in rows.column("anomalous").to_pylist()], dtype=np.bool_)


def learned(answer: ScoredRows, where: BoolArray) -> Opinion:
    """Return tier 3's opinion about the rows `where` (n,) that were asked about; columns `share_*` become words."""
    rows = answer.rows
    members = [name for name in rows.schema.names if name.startswith(_SHARE)]
    shares = zip(*(rows.column(name).to_pylist() for name in members), strict=True) if members else [()] * rows.num_rows
    details = [_shares_text(members, row) for row in shares]
    return Opinion(
        _spread(_numbers(rows, "score"), where),
        _spread(_flags(rows), where, False),
        _versions(answer, where),
        "tier 3 gave no score",
        _texts(details, where) if members else (),
    )


def _shares_text(members: Sequence[str], shares: Sequence[float | None]) -> str:
    known = [(name.removeprefix(_SHARE), share) for name, share in zip(members, shares, strict=True) if share is not None]
    known.sort(key=lambda named: -abs(named[1]))
    return "shares: " + ", ".join(f"{name} {share:.2f}" for name, share in known) if known else ""


def seasonal(answer: ScoredRows, where: BoolArray) -> Opinion:
    """Return tier 2's opinion about the rows `where` (n,) that were asked about; its status says why a score is unknown."""
    rows = answer.rows
    score = _numbers(rows, "score")
    expected, lower, upper = (_spread(_numbers(rows, name), where) for name in ("expected", "lower", "upper"))
    return Opinion(
        _spread(score, where),
        _spread(score >= BOUND, where, False),
        _versions(answer, where),
        _texts([str(status) for status in rows.column("status").to_pylist()], where),
        _texts([_rarity_text(share) for share in rows.column("rarity").to_pylist()], where),
        band=Band(expected, lower, upper),
    )


def _rarity_text(share: float | None) -> str:
    if share is None:
        return ""
    return f"{100 * share:.2g} % of the held-out history lay as far out" if share > 0 else "no held-out history lay as far out"


def _versions(answer: ScoredRows, where: BoolArray) -> list[str]:
    """Return the version that answered each row: a model may be swapped in between."""
    if "model_version" not in answer.rows.schema.names:
        return _texts([answer.model_version] * answer.rows.num_rows, where)
    return _texts([str(version) for version in answer.rows.column("model_version").to_pylist()], where)


def _numbers(rows: pa.RecordBatch, name: str) -> FloatArray:
    return np.asarray(rows.column(name).to_numpy(zero_copy_only=False), dtype=np.float64)


def _spread(values: npt.NDArray[Any], where: BoolArray, elsewhere: float | bool = np.nan) -> npt.NDArray[Any]:
    """Return (n,): `values` in the places `where`, `elsewhere` in the others."""
    spread = np.full(where.shape, elsewhere, dtype=values.dtype)
    spread[where] = values
    return spread


def _texts(values: Sequence[str], where: BoolArray) -> list[str]:
    spread = [""] * where.size
    for place, value in zip(np.flatnonzero(where).tolist(), values, strict=True):
        spread[place] = value
    return spread


def context_of(candidates: pa.RecordBatch, router: Router, texts: Sequence[SignalText | None] = ()) -> Context:
    """Return the routes of the candidates' worst metrics, what was measured of them, and what they are about (`texts`, (n,))."""
    series = _series_of(candidates)
    return Context([router.route(name) for name in series], [router.character(name) for name in series], router.version, texts)


def _series_of(candidates: pa.RecordBatch) -> list[SeriesName]:
    """Return the series of the worst points; metric "" where there is none, id 0 also where version 0.1 made the candidates."""
    count = candidates.num_rows
    known = "labels" in candidates.schema.names
    ids = candidates.column("series_id").to_pylist() if known else [0] * count
    labels = candidates.column("labels").to_pylist() if known else [""] * count
    names = (candidates.column(name).to_pylist() for name in ("service", "metric"))
    rows = zip(ids, *names, labels, strict=True)
    return [
        SeriesName(int(series_id or 0), str(service), str(metric or ""), str(label_text or ""))
        for series_id, service, metric, label_text in rows
    ]


def judged(candidates: pa.RecordBatch, opinions: Mapping[int, Opinion], context: Context, revision: int = 0) -> pa.RecordBatch:
    """Return the detections (schema `DETECTIONS`) of all tiers together; revision 1 where a tier was late before.

    Every candidate that is anomalous, and every one that tier 1 flagged (so that its alarm is taken back where the others
    disagree).
    """
    detections = decide(candidates, opinions, context, revision)
    flagged = candidates.column("flagged").to_numpy(zero_copy_only=False)
    return detections.filter(pa.array(flagged | _flags(detections)))
