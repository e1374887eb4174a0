"""The decision on candidates: three tiers become detections, each with its reason. Pure.

A candidate is the worst point of a service since its previous tick; the route of that point's series says which tiers are asked.

- The first confirming tier that has an opinion judges. It finds the point strange, and tier 1 supports it (score >= 0.5, |z| at
  its alarm, or a static limit broken): anomalous. It does not: no alert, also where tier 1 raised the alarm.
- Without support of tier 1 two words suffice: tier 3's about a critical service, and tier 2's about a value twice as far from
  its expectation as its bound.
- Tier 1 alone is extreme (|z| >= twice its alarm), or certain of what no other tier can see (a series that is stuck, or at
  its hard limit): anomalous, whatever the others say.
- A tier that is unknown (missing, late, failing, season not established) is passed over, and the reason says so. Where all are,
  tier 1's alarm decides. So a flag is never dropped in silence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from aiops.detection import reasons
from aiops.detection.opinions import Band, BoolArray, Context, Opinion
from aiops.detection.routing import Route
from aiops.errors import ContractError
from aiops.types import FloatArray
from data_contracts.schemas.telemetry_schemas import DETECTIONS
from data_contracts.series.metric_texts import metric_texts

KIND: Final = "service"
SUPPORT_SCORE: Final = 0.5
EXTREME: Final = 2.0
"""Multiple of a series' alarm z from which tier 1 alone decides, and of a band's half width from which tier 2 alone does."""
_NUMBERS: Final = ("value", "z", "alarm_z", "score", "expected", "lower", "upper")


@dataclass(frozen=True, slots=True)
class Ruling:
    """What was decided on one candidate, by which tier, in words."""

    anomalous: bool
    tier: int
    score: float
    model_version: str
    words: str


def detection_id(service: str, timestamp_us: int, kind: str) -> str:
    """Return the 16 hex digits that name this finding in every replay.

    >>> detection_id("cart", 0, "service") == detection_id("cart", 0, "service")
    True
    """
    return blake2b(f"{service}\x1f{timestamp_us}\x1f{kind}".encode(), digest_size=8).hexdigest()


def decide(candidates: pa.RecordBatch, opinions: Mapping[int, Opinion], context: Context, revision: int = 0) -> pa.RecordBatch:
    """Return one row of schema `DETECTIONS` a candidate (schema `CANDIDATES`), in their order, anomalous or not.

    The same candidate has the same id in every revision: revision 0 is the first word, 1 follows when the models caught up.

    Args:
        candidates: n rows.
        opinions: by tier (2, 3), n rows each; a tier that is absent was not asked.
        context: of n rows.
        revision: of all rows.

    Raises:
        ContractError: an opinion or the context has another number of rows.
    """
    count = candidates.num_rows
    _refuse_other_lengths(count, opinions, context)
    points = _points(candidates)
    rulings = [_rule(point, row, opinions, route) for row, (point, route) in enumerate(zip(points, context.routes, strict=True))]
    bands = [_band_of(row, point, ruling, opinions) for row, (point, ruling) in enumerate(zip(points, rulings, strict=True))]
    services = [str(name) for name in candidates.column("service").to_pylist()]
    columns: dict[str, Any] = {
        "detection_id": _ids(services, candidates.column("event_timestamp")),
        "revision": np.full(count, revision, dtype=np.int32),
        "timestamp": candidates.column("event_timestamp"),
        "service": services,
        **_worst_series(candidates),
        "value": [point.value for point in points],
        "score": [ruling.score for ruling in rulings],
        "expected": [band[0] for band in bands],
        "lower": [band[1] for band in bands],
        "upper": [band[2] for band in bands],
        "tier": [ruling.tier for ruling in rulings],
        "model_version": [ruling.model_version for ruling in rulings],
        "anomalous": [ruling.anomalous for ruling in rulings],
        "reason": _reasons(points, rulings, context),
        "route": [reasons.route_text(route, context.version) for route in context.routes],
    }
    return pa.RecordBatch.from_pydict(columns, schema=DETECTIONS)


def _reasons(points: Sequence[reasons.Point], rulings: Sequence[Ruling], context: Context) -> list[str]:
    """Return of each candidate what was seen, what it is about, and who judged."""
    rows = enumerate(zip(points, context.characters, rulings, strict=True))
    return [
        f"{reasons.point_text(point, character, context.text_of(row))}; {ruling.words}"
        for row, (point, character, ruling) in rows
    ]


def _worst_series(candidates: pa.RecordBatch) -> dict[str, Any]:
    """Return series_id, metric and labels of the worst points; metric "" and labels "" where there is none."""
    if "labels" not in candidates.schema.names:  # candidates of version 0.1, put off then
        unknown = {"series_id": [None] * candidates.num_rows, "labels": [None] * candidates.num_rows}
        return {**unknown, "metric": metric_texts(candidates)}
    texts = {name: [str(cell or "") for cell in candidates.column(name).to_pylist()] for name in ("metric", "labels")}
    return {"series_id": candidates.column("series_id").to_pylist(), **texts}


def _ids(services: Sequence[str], ticks: "pa.Array[Any]") -> list[str]:
    times: list[int] = ticks.cast(pa.int64()).to_numpy().tolist()
    return [detection_id(service, tick, KIND) for service, tick in zip(services, times, strict=True)]


def _refuse_other_lengths(count: int, opinions: Mapping[int, Opinion], context: Context) -> None:
    for tier, opinion in opinions.items():
        if opinion.score.shape != (count,) or opinion.strange.shape != (count,):
            raise ContractError(
                f"opinion of tier {tier} has {opinion.score.size} rows for {count} candidates: give one a candidate, in order"
            )
    if len(context.routes) != count or len(context.characters) != count:
        raise ContractError(f"context has {len(context.routes)} routes for {count} candidates: give one a candidate, in order")


def _rule(point: reasons.Point, row: int, opinions: Mapping[int, Opinion], route: Route) -> Ruling:
    """Let the first confirming tier with an opinion judge; without any tier 1 speaks alone."""
    silences: list[tuple[int, str]] = []
    for tier in route.confirmers:
        opinion = opinions.get(tier)
        if opinion is not None and not np.isnan(opinion.score[row]):
            return _judged(point, row, _TierOpinion(tier, opinion), route, silences)
        silences.append((tier, "it was not asked" if opinion is None else opinion.silence_of(row)))
    words = reasons.alone_text(point.flagged or _extreme(point), silences)
    return Ruling(point.flagged or _extreme(point), 1, _score(point), point.tier1_version, words)


class _TierOpinion(NamedTuple):
    tier: int
    opinion: Opinion


def _judged(point: reasons.Point, row: int, judge: _TierOpinion, route: Route, silences: Sequence[tuple[int, str]]) -> Ruling:
    tier, opinion = judge.tier, judge.opinion
    score, strange = float(opinion.score[row]), bool(opinion.strange[row])
    supported = point.flagged or point.score >= SUPPORT_SCORE or abs(point.z) >= point.alarm_z
    alone = _far(point.value, opinion.band, row) if tier == 2 else route.critical
    confirmed = strange and (supported or alone)
    judgement = reasons.Judgement(tier, score, strange, supported, confirmed, opinion.detail_of(row), _numbers(opinion.band, row))
    before = reasons.passed_over(silences, tier)
    if (_extreme(point) or point.certain) and not confirmed:
        words = before + reasons.overruled_text(judgement, point.certain and not _extreme(point))
        return Ruling(True, 1, _score(point), point.tier1_version, words)
    return Ruling(confirmed, tier, score, opinion.version_of(row), before + reasons.judged_text(judgement, point.flagged))


def _score(point: reasons.Point) -> float:
    """Return tier 1's score: an alarm's where its second opinion raised one."""
    return float(np.fmax(point.score, SUPPORT_SCORE)) if point.finding else point.score


def _extreme(point: reasons.Point) -> bool:
    return abs(point.z) >= EXTREME * point.alarm_z


def _far(value: float, band: Band | None, row: int) -> bool:
    """Return whether a value is twice as far from its expectation as the bound on its side."""
    if band is None:
        return False
    expected, lower, upper = _numbers(band, row)
    reach = upper - expected if value > expected else expected - lower
    return bool(abs(value - expected) >= EXTREME * reach)


def _numbers(band: Band | None, row: int) -> tuple[float, float, float]:
    if band is None:
        return float("nan"), float("nan"), float("nan")
    return float(band.expected[row]), float(band.lower[row]), float(band.upper[row])


def _band_of(row: int, point: reasons.Point, ruling: Ruling, opinions: Mapping[int, Opinion]) -> tuple[float, float, float]:
    """Return expectation and bounds of the tier that decided; tier 3 has none of a series' own."""
    if ruling.tier == 2:
        return _numbers(opinions[2].band, row)
    return point.expected, point.lower, point.upper


def _points(candidates: pa.RecordBatch) -> list[reasons.Point]:
    numbers = np.stack([_floats(candidates, name) for name in _NUMBERS], axis=1).tolist()
    metrics = metric_texts(candidates)
    flagged = _bools(candidates, "flagged").tolist()
    versions = [str(version) for version in candidates.column("tier1_version").to_pylist()]
    rows = zip(metrics, flagged, versions, numbers, _findings(candidates), strict=True)
    made = ((reasons.Point(metric, flag, version, *figures), finding) for metric, flag, version, figures, finding in rows)
    return [replace(point, finding=words, certain=certain) if words else point for point, (words, certain) in made]


def _findings(candidates: pa.RecordBatch) -> list[tuple[str, bool]]:
    """Return (words, certain) a row; nothing where an earlier version made the candidates."""
    if "finding" not in candidates.schema.names:
        return [("", False)] * candidates.num_rows
    words, certain = (candidates.column(name).to_pylist() for name in ("finding", "certain"))
    return [(str(word or ""), sure is True) for word, sure in zip(words, certain, strict=True)]


def _floats(rows: pa.RecordBatch, name: str) -> FloatArray:
    return np.asarray(rows.column(name).to_numpy(zero_copy_only=False), dtype=np.float64)


def _bools(rows: pa.RecordBatch, name: str) -> BoolArray:
    return np.asarray(rows.column(name).to_numpy(zero_copy_only=False), dtype=np.bool_)
