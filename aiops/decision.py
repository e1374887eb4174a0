"""The decision on candidates: tier 1 (a series' own past) and tier 3 (the service as a whole) become detections. Pure.

- Tier 3 finds the service strange and tier 1 supports it (score >= 0.5, |z| at its alarm, or a static limit broken): anomalous.
- Tier 1 alone is extreme (|z| >= twice its alarm): anomalous, whatever tier 3 says.
- Tier 3 is unknown (missing, late, failing): tier 1's alarm decides, and the reason says so.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.errors import ContractError
from aiops.types import FloatArray
from data_contracts.schemas import DETECTIONS

BoolArray = npt.NDArray[np.bool_]

KIND: Final = "service"
SUPPORT_SCORE: Final = 0.5
EXTREME: Final = 2.0
"""Multiple of a series' alarm z from which tier 1 alone decides."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What tier 3 says about candidates, aligned to their rows."""

    score: FloatArray
    """(n,) 0..1; NaN = unknown."""
    strange: BoolArray
    """(n,) score at or above the model's threshold; of no meaning where the score is unknown."""
    model_version: str
    silence: str = "tier 3 gave no score"
    """Why scores are unknown, in words."""

    @classmethod
    def of_scores(cls, score: FloatArray, threshold: float, model_version: str) -> "Opinion":
        """Return the opinion of a model with that threshold."""
        return cls(score, np.asarray(score >= threshold), model_version)

    @classmethod
    def unknown(cls, count: int, silence: str) -> "Opinion":
        """Return the opinion of a model that did not answer; `silence` says why."""
        return cls(np.full(count, np.nan), np.zeros(count, dtype=np.bool_), "", silence)


@dataclass(frozen=True, slots=True)
class _Ruling:
    """What was decided, (n,) each."""

    anomalous: BoolArray
    tier: npt.NDArray[np.int8]
    score: FloatArray


@dataclass(frozen=True, slots=True)
class _Points:
    """Tier 1 columns of candidates, NaN where null."""

    z: FloatArray
    alarm_z: FloatArray
    score: FloatArray
    flagged: BoolArray


def detection_id(service: str, timestamp_us: int, kind: str) -> str:
    """Return the 16 hex digits that name this finding in every replay.

    >>> detection_id("cart", 0, "service") == detection_id("cart", 0, "service")
    True
    """
    return blake2b(f"{service}\x1f{timestamp_us}\x1f{kind}".encode(), digest_size=8).hexdigest()


def decide(candidates: pa.RecordBatch, opinion: Opinion, revision: int = 0) -> pa.RecordBatch:
    """Return one row of schema `DETECTIONS` a candidate (schema `CANDIDATES`), in their order, anomalous or not.

    The same candidate has the same id in every revision: revision 0 is the first word, 1 follows when tier 3 caught up.

    Raises:
        ContractError: the opinion has another number of rows.
    """
    count = candidates.num_rows
    if opinion.score.shape != (count,) or opinion.strange.shape != (count,):
        raise ContractError(f"opinion has {opinion.score.size} rows for {count} candidates: give one a candidate, in order")
    points = _Points(
        _floats(candidates, "z"), _floats(candidates, "alarm_z"), _floats(candidates, "score"), _bools(candidates, "flagged")
    )
    ruling = _rule(points, opinion)
    metrics = ["" if metric is None else str(metric) for metric in candidates.column("metric").to_pylist()]
    services = [str(name) for name in candidates.column("service").to_pylist()]
    ticks: list[int] = candidates.column("event_timestamp").cast(pa.int64()).to_numpy().tolist()
    numbers = np.stack([_floats(candidates, name) for name in ("value", "expected", "lower", "upper")])
    columns = {
        "detection_id": [detection_id(service, tick, KIND) for service, tick in zip(services, ticks, strict=True)],
        "revision": np.full(count, revision, dtype=np.int32),
        "timestamp": candidates.column("event_timestamp"),
        "service": services,
        "metric": metrics,
        "value": numbers[0],
        "score": ruling.score,
        "expected": numbers[1],
        "lower": numbers[2],
        "upper": numbers[3],
        "tier": ruling.tier,
        "model_version": _versions(candidates, opinion, ruling),
        "anomalous": ruling.anomalous,
        "reason": _reasons(metrics, numbers, points, opinion, ruling),
        "route": pa.nulls(count, pa.string()),
    }
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, type=field.type)
        for field, column in zip(DETECTIONS, columns.values(), strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=DETECTIONS)


def _rule(points: _Points, opinion: Opinion) -> _Ruling:
    size = np.abs(points.z)
    known = ~np.isnan(opinion.score)
    support = points.flagged | (points.score >= SUPPORT_SCORE) | (size >= points.alarm_z)
    confirmed = known & opinion.strange & support
    extreme = size >= EXTREME * points.alarm_z
    anomalous = confirmed | extreme | (~known & points.flagged)
    by_models = known & (confirmed | ~extreme)
    return _Ruling(
        np.asarray(anomalous),
        np.where(by_models, np.int8(3), np.int8(1)),
        np.where(by_models, opinion.score, points.score),
    )


def _versions(candidates: pa.RecordBatch, opinion: Opinion, ruling: _Ruling) -> list[str]:
    """Return the version of the model that decided: tier 3's, or tier 1's of when the tick closed."""
    tier1 = [str(version) for version in candidates.column("tier1_version").to_pylist()]
    return [opinion.model_version if tier == 3 else own for tier, own in zip(ruling.tier.tolist(), tier1, strict=True)]


def _reasons(metrics: list[str], numbers: FloatArray, points: _Points, opinion: Opinion, ruling: _Ruling) -> list[str]:
    return [
        f"{_point_text(metric, numbers[:, row], float(points.z[row]), float(points.alarm_z[row]))}; "
        f"{_verdict_text(row, points, opinion, ruling)}"
        for row, metric in enumerate(metrics)
    ]


def _point_text(metric: str, numbers: FloatArray, z: float, alarm_z: float) -> str:
    value, expected, lower, upper = numbers.tolist()
    if not metric:
        return "no scored point since the previous tick"
    if np.isnan(z):
        return f"{metric} is {value:.6g}, its normal course is not known yet"
    bounds = "" if np.isnan(lower) or np.isnan(upper) else f", bounds {lower:.6g} to {upper:.6g}"
    return f"{metric} is {value:.6g}, expected {expected:.6g}{bounds} (z {z:.1f}, alarm at {alarm_z:.1f})"


def _verdict_text(row: int, points: _Points, opinion: Opinion, ruling: _Ruling) -> str:
    score = float(opinion.score[row])
    if np.isnan(score):
        alarm = "raises the alarm" if ruling.anomalous[row] else "raises no alarm"
        return f"tier 1 alone {alarm}: {opinion.silence}"
    if ruling.tier[row] == 1:
        return f"so extreme that tier 1 decides alone; tier 3 scores the service {score:.2f}"
    if ruling.anomalous[row]:
        return f"tier 3 finds the service strange too, score {score:.2f}"
    if opinion.strange[row]:
        return f"tier 3 finds the service strange, score {score:.2f}, but no metric of it is"
    if points.flagged[row]:
        return f"tier 3 finds the service as a whole normal, score {score:.2f}"
    return f"normal to both tiers, tier 3 score {score:.2f}"


def _floats(rows: pa.RecordBatch, name: str) -> FloatArray:
    return np.asarray(rows.column(name).to_numpy(zero_copy_only=False), dtype=np.float64)


def _bools(rows: pa.RecordBatch, name: str) -> BoolArray:
    return np.asarray(rows.column(name).to_numpy(zero_copy_only=False), dtype=np.bool_)
