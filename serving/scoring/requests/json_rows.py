"""JSON bodies to rows, and refusals that name the exact place.

The body is decoded by msgspec straight into typed records; only a refused body is read again to show the offending value.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Final, Protocol, cast

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_contracts.schemas.telemetry_schemas import SEQUENCE, SEQUENCE_FEATURES, SERVICE_FEATURES, TIMESTAMP
from serving.http.problem import ProblemError, refused
from serving.scoring.requests.vector_rows import MAX_NAME_BYTES, RequestRows, check_row_count, check_service, check_times

_PLACE: Final = re.compile(r"^(?P<rule>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_UNKNOWN_FIELD: Final = re.compile(r"unknown field `(?P<name>.*)`", re.DOTALL)
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_FIELDS: Final = f"send service, event_timestamp and features ({SERVICE_FEATURES[0]}, …)"
LARGEST: Final = float(np.finfo(np.float32).max)
_SKIPPED: Final = 3  # service, event_timestamp and available_at stand before the features, the sequence after


class _Row(Protocol):
    service: str
    event_timestamp: datetime | None
    sequence: list[float | None] | None


class _Body(Protocol):
    rows: Sequence[_Row]


@dataclass(frozen=True, slots=True)
class JsonRequest:
    """A decoded body; `model` is only ever set by /explain."""

    rows: RequestRows
    model: str = ""


@cache
def _decoder(explain: bool) -> msgspec.json.Decoder[Any]:
    name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_BYTES)]
    moment = Annotated[datetime, msgspec.Meta(tz=True)]
    fields: list[Any] = [("service", name), ("event_timestamp", moment | None, None), ("available_at", moment | None, None)]
    fields += [(feature, float | None, None) for feature in SERVICE_FEATURES]
    whole = msgspec.Meta(min_length=len(SEQUENCE_FEATURES), max_length=len(SEQUENCE_FEATURES))
    fields.append((SEQUENCE, Annotated[list[float | None], whole] | None, None))
    row = msgspec.defstruct("Row", fields, frozen=True, forbid_unknown_fields=True, gc=False)
    members: list[Any] = [("rows", list[row])]  # type: ignore[valid-type]
    if explain:
        members.append(("model", str, ""))
    return msgspec.json.Decoder(msgspec.defstruct("Body", members, frozen=True, forbid_unknown_fields=True))


def parse_json(body: bytes, max_rows: int, explain: bool = False) -> JsonRequest:
    """Decode `{"rows": [{"service", "event_timestamp"?, <feature>?: number | null, …}]}`.

    A feature that is absent or null is unknown; a row without any known feature is marked `looked_up`.

    Raises:
        ProblemError: 400 naming field, value, rule and fix.
    """
    try:
        decoded = _decoder(explain).decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise refusal(error, body, _FIELDS) from error
    records = cast(_Body, decoded).rows
    check_row_count(len(records), max_rows)
    services = [record.service for record in records]
    for number, service in enumerate(services):
        check_service(service, f"rows[{number}].service")
    features = np.array([msgspec.structs.astuple(cast(Any, record))[_SKIPPED:-1] for record in records], dtype=np.float64)
    times = [record.event_timestamp for record in records]
    looked_up = np.asarray(np.isnan(features).all(axis=1), dtype=np.bool_)
    rows = RequestRows(pa.array(services, pa.string()), _timestamps(times), features, looked_up, _sequences(records))
    return JsonRequest(rows, getattr(decoded, "model", ""))


def _sequences(records: Sequence[_Row]) -> npt.NDArray[np.float32] | None:
    """Return (n, len(SEQUENCE_FEATURES)), unknown = NaN; None where no row brings one."""
    if all(record.sequence is None for record in records):
        return None
    unknown = [None] * len(SEQUENCE_FEATURES)
    entries = np.array([record.sequence or unknown for record in records], dtype=np.float64)
    return np.clip(entries, -LARGEST, LARGEST).astype(np.float32)


def _timestamps(times: Sequence[datetime | None]) -> pa.TimestampArray:
    array = cast(pa.TimestampArray, pa.array(times, TIMESTAMP))
    check_times(array)
    return array


def refusal(error: Exception, body: bytes, fields: str) -> ProblemError:
    """Return the problem of a body that msgspec did not take; `fields` says which a row has, as a fix."""
    if isinstance(error, msgspec.ValidationError):
        return _refusal(str(error), body, fields)
    return _not_json(body, str(error))


def _refusal(message: str, body: bytes, fields: str) -> ProblemError:
    match = _PLACE.match(message)
    rule, path = (match["rule"], match["path"] or "$") if match else (message, "$")
    value = _value_at(path, body)
    value = "" if value is None else value
    unknown = _UNKNOWN_FIELD.search(rule)
    if unknown:
        field = f"{path}.{unknown['name']}".removeprefix("$").lstrip(".")
        inside = value.get(unknown["name"], "") if isinstance(value, dict) else ""
        return refused(field, inside, "no such field", fields, "unknown-field")
    field = path.removeprefix("$").lstrip(".") or "body"
    if isinstance(value, float) and not math.isfinite(value):
        return _not_finite(field, value)
    return refused(field, value, rule[:1].lower() + rule[1:], _fix_for(field))


def _fix_for(field: str) -> str:
    name = field.rpartition(".")[2]
    if name in SERVICE_FEATURES or name == "value":
        return "send a finite number, or null where it is unknown"
    if name in {"event_timestamp", "available_at", "timestamp"}:
        return "send RFC 3339 with an offset, such as 2025-01-31T12:00:00Z"
    return 'send {"rows": [{"service": "checkout", …}]}'


def _not_finite(field: str, value: float) -> ProblemError:
    return refused(field, str(value), "numbers are finite", "send null where a value is unknown", "not-finite")


def _not_json(body: bytes, message: str) -> ProblemError:
    place = _non_finite(_lenient(body), "")
    if place is not None:
        return _not_finite(*place)
    return refused("body", "", f"the body is JSON in UTF-8 ({message[:120]})", "send application/json", "not-json")


def _lenient(body: bytes) -> Any:
    """Return the body as Python's parser reads it (it takes NaN and Infinity); None where it cannot."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _non_finite(value: Any, path: str) -> tuple[str, float] | None:
    """Return place and value of the first non-finite number in a body's rows."""
    rows = value.get("rows") if isinstance(value, dict) else None
    for number, row in enumerate(rows if isinstance(rows, list) else []):
        for name, cell in row.items() if isinstance(row, dict) else ():
            if isinstance(cell, float) and not math.isfinite(cell):
                return f"{path}rows[{number}].{name}", cell
    return None


def _value_at(path: str, body: bytes) -> Any:
    value = _lenient(body)
    for name, index in _STEP.findall(path):
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and index and int(index) < len(value):
            value = value[int(index)]
        else:
            return ""
    return value
