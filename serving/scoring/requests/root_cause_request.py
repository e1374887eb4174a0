"""Bodies of /root_cause: a service and a time to look up in the lake, or telemetry and calls sent along."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import orjson
import pyarrow as pa

from data_contracts.values.moments import microseconds_of, moment_of_us
from serving.http.problem import refused
from serving.scoring.requests.json_rows import refusal
from serving.scoring.requests.season_rows import SeasonRows, parse_season_json

MOST_MINUTES: Final = 24 * 60
MOST_EDGES: Final = 100_000
MOST_CELLS: Final = 4_000_000
"""Cells (steps x series) of a grid that rows may spread over: what an analysis holds in memory."""
_FORMS: Final = 'send {"service", "at"} to read the lake, or {"rows", "edges", "window_start"} to bring telemetry along'


@dataclass(frozen=True, slots=True)
class LakeQuestion:
    """Why is `service` in trouble as of `at`, which began `minutes` before."""

    service: str
    at: datetime
    minutes: float


@dataclass(frozen=True, slots=True)
class SentChange:
    """A change that the caller knows of."""

    at: Annotated[datetime, msgspec.Meta(tz=True)]
    service: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    kind: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    what: Annotated[str, msgspec.Meta(max_length=2000)] = ""


@dataclass(frozen=True, slots=True)
class InlineQuestion:
    """Telemetry sent along; all before `window_start` is what it is compared with. `changes` None = not recorded."""

    rows: SeasonRows
    edges: tuple[tuple[str, str], ...]
    window_start: datetime
    at: datetime
    step_s: int
    service: str = ""
    changes: tuple[SentChange, ...] | None = None

    def table(self) -> pa.Table:
        """Return the rows whose value is known: timestamp, service, metric, value."""
        rows = self.rows
        columns: dict[str, Any] = {"timestamp": rows.timestamps, "service": rows.services, "metric": rows.metrics}
        return pa.table({**columns, "value": pa.array(rows.value)}).filter(pa.array(np.isfinite(rows.value)))


def parse_root_cause(body: bytes, max_rows: int) -> LakeQuestion | InlineQuestion:
    """Decode one of the two forms.

    Raises:
        ProblemError: 400 naming field, value, rule and fix.
    """
    try:
        request = _decoder().decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise refusal(error, body, _FORMS) from error
    if request.rows is None:
        return _lake_question(request)
    return _inline_question(request, parse_season_json(orjson.dumps({"rows": request.rows}), max_rows))


@cache
def _decoder() -> msgspec.json.Decoder[Any]:
    name = Annotated[str, msgspec.Meta(max_length=200)]
    moment = Annotated[datetime, msgspec.Meta(tz=True)]
    fields: list[Any] = [
        ("service", name, ""),
        ("at", moment | None, None),
        ("minutes", Annotated[float, msgspec.Meta(gt=0, le=MOST_MINUTES)] | None, None),
        ("rows", list[dict[str, Any]] | None, None),
        ("edges", Annotated[list[tuple[name, name]], msgspec.Meta(max_length=MOST_EDGES)] | None, None),
        ("window_start", moment | None, None),
        ("step_s", Annotated[int, msgspec.Meta(ge=1, le=3600)] | None, None),
        ("changes", list[SentChange] | None, None),
    ]
    return msgspec.json.Decoder(msgspec.defstruct("Body", fields, frozen=True, forbid_unknown_fields=True))


def _lake_question(request: Any) -> LakeQuestion:
    for field in ("edges", "window_start", "step_s", "changes"):
        if getattr(request, field) is not None:
            raise refused(field, "", "it goes with rows only", _FORMS)
    if not request.service:
        raise refused("service", request.service, "without rows, a service is needed", _FORMS)
    if request.at is None:
        raise refused("at", "", "without rows, a time is needed", _FORMS)
    return LakeQuestion(request.service, request.at, request.minutes or 10.0)


def _inline_question(request: Any, rows: SeasonRows) -> InlineQuestion:
    if request.window_start is None:
        raise refused("window_start", "", "with rows, it says when the trouble began", _FORMS)
    if request.minutes is not None:
        raise refused("minutes", request.minutes, "it goes with service and at only", _FORMS)
    step_s = request.step_s or 60
    _check_spread(rows, step_s)
    last_us = int(rows.time_us.max())
    begin: datetime = request.window_start
    at: datetime = request.at or moment_of_us(last_us)
    if not int(rows.time_us.min()) < microseconds_of(begin) <= last_us:
        rule = "it lies within the time of the rows, so that there are some before and some after it"
        raise refused("window_start", begin.isoformat(), rule, "send telemetry of hours before the trouble, and of the trouble")
    changes = None if request.changes is None else tuple(request.changes)
    if at < begin:
        raise refused("at", at.isoformat(), "it is not before window_start", "send the moment as of which to explain")
    edges = tuple((caller, callee) for caller, callee in request.edges or ())
    return InlineQuestion(rows, edges, begin, at, step_s, request.service, changes)


def _check_spread(rows: SeasonRows, step_s: int) -> None:
    """Refuse rows that would make a huge grid although they are few."""
    cells = np.unique(rows.time_us // (step_s * 1_000_000)).size * len(rows.series()[0])
    if cells > MOST_CELLS:
        rule = f"steps x series are at most {MOST_CELLS}"
        raise refused("rows", f"{cells} cells", rule, "send fewer series, a shorter time, or a greater step_s")
