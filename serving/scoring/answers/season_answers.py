"""Seasonal verdicts without a transport: points in, expected value, bounds and score out. Bands are looked up, never fitted."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

import numpy as np
import orjson
import pyarrow as pa

from aiops.errors import ContractError, Unavailable
from aiops.features.bands import Judged, SeriesBands, judge, words
from aiops.ports import BandReader
from aiops.types import FloatArray, IntArray
from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from serving.http.auth import Role
from serving.http.problem import Problem, ProblemError
from serving.scoring.answers.request_origin import RequestOrigin
from serving.scoring.answers.scoring import Endpoint
from serving.scoring.answers.scoring_metrics import ScoringMetrics
from serving.scoring.requests.season_rows import SeasonRows

MODEL: Final = "seasonal-bands"
SEASON: Final = Endpoint("/season", MODEL, Role.OPERATOR, looks_up=True)
ROLE: Final = "bands"
AT_BOUND: Final = 0.5
_NUMBERS: Final = ("expected", "lower", "upper", "score")


@dataclass(frozen=True, slots=True)
class SeasonAnswer:
    """Verdicts in request order; `versions` of the series' bands ("" = none) and `code` (n,) which of them a row's is.

    `version` is the newest bands' start: what the answer as a whole goes back to.
    """

    request_id: str
    version: str
    rows: SeasonRows
    judged: Judged
    versions: tuple[str, ...]
    code: IntArray


class TenantBands(Protocol):
    """Seasonal bands of all tenants; each reader counts what it met for all."""

    def for_tenant(self, tenant: str) -> BandReader:
        """Return the reader of a tenant's bands."""
        ...


class Season:
    """Answers /season from the online store. Every method may be called from several threads."""

    def __init__(self, bands: TenantBands, metrics: ScoringMetrics, clock: Callable[[], datetime]) -> None:
        self._bands = bands
        self._metrics = metrics
        self._clock = clock

    def answer(self, rows: SeasonRows, origin: RequestOrigin) -> SeasonAnswer:
        """Judge points by the tenant's bands of their series. O(n log n) and one read of the bands that are not held yet.

        Raises:
            ProblemError: 503, the online store does not answer.
        """
        names, code = rows.series()
        reader = self._bands.for_tenant(origin.tenant)
        try:
            bands = reader.read_bands(names, self._clock())
        except (Unavailable, ContractError) as error:
            detail = "the online store of seasonal bands does not answer; try again, or go on without the season."
            raise ProblemError(Problem(503, "bands-unavailable", detail, "rows", "", "", "try again")) from error
        judged = judge(bands, code, rows.time_us, rows.value)
        self._metrics.rows.labels(MODEL, ROLE).inc(len(rows))
        self._metrics.season_unknown.inc(int(np.isnan(judged.score).sum()))
        self._metrics.views.note(reader.read_statistics)
        newest = max((band for band in bands if band is not None), key=lambda band: band.starts_us, default=None)
        return SeasonAnswer(origin.request_id, _version(newest), rows, judged, tuple(map(_version, bands)), code)


def _version(bands: SeriesBands | None) -> str:
    return "" if bands is None else bands.version


def season_json(answer: SeasonAnswer) -> bytes:
    """Return `{"model", "model_version", "request_id", "rows": [...]}`, one object a row in request order."""
    judged, rows = answer.judged, answer.rows
    texts = zip(
        rows.services.to_pylist(), rows.metrics.to_pylist(), rows.timestamps.to_pylist(), rows.value.tolist(), strict=True
    )
    records: list[dict[str, Any]] = []
    for number, (service, metric, timestamp, value) in enumerate(texts):
        record: dict[str, Any] = {"service": service, "metric": metric, "timestamp": timestamp, "value": value}
        record |= {name: float(getattr(judged, name)[number]) for name in (*_NUMBERS, "rarity")}
        score = record["score"]
        record["anomalous"] = None if np.isnan(score) else score >= AT_BOUND
        record |= {"status": judged.status[number], "words": words(value, judged, number)}
        records.append(record | {"model_version": answer.versions[answer.code[number]]})
    envelope = {"model": MODEL, "model_version": answer.version, "request_id": answer.request_id, "rows": records}
    return orjson.dumps(envelope)


def sentences(answer: SeasonAnswer) -> list[str]:
    """Return a sentence about each point, in order."""
    return [words(value, answer.judged, number) for number, value in enumerate(answer.rows.value.tolist())]


def season_arrow(answer: SeasonAnswer) -> bytes:
    """Return the columns of the request, then expected, lower, upper, score, rarity, anomalous, status, words, model_version."""
    judged, rows = answer.judged, answer.rows
    known = ~np.isnan(judged.score)
    columns: dict[str, Any] = {
        "service": rows.services,
        "metric": rows.metrics,
        "timestamp": rows.timestamps,
        "value": _nullable(rows.value),
        **{name: _nullable(getattr(judged, name)) for name in (*_NUMBERS, "rarity")},
        "anomalous": pa.array(judged.score >= AT_BOUND, mask=~known),
        "status": pa.array(judged.status, pa.string()),
        "words": pa.array(sentences(answer), pa.string()),
        "model_version": pa.array(answer.versions, pa.string()).take(answer.code),
    }
    metadata = {"model": MODEL, "model_version": answer.version, "request_id": answer.request_id}
    schema = pa.schema([pa.field(name, _TYPES.get(name, pa.float64())) for name in columns], metadata)  # type: ignore[arg-type]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(list(columns.values()), schema=schema))
    return sink.getvalue().to_pybytes()


_TYPES: Final[dict[str, Any]] = {
    "timestamp": TIMESTAMP,
    "anomalous": pa.bool_(),
    **dict.fromkeys(("service", "metric", "status", "words", "model_version"), pa.string()),
}


def _nullable(values: FloatArray) -> "pa.Array[Any]":
    return pa.array(values, mask=np.isnan(values))
