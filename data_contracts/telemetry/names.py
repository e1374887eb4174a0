"""Names of services and metrics, checked once a distinct name, and the valid range of each metric.

Rules: not null, not empty, valid UTF-8, at most `max_bytes` of the schema, no control characters, no '|' (it separates service
from metric where people read a series).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.schemas.metrics import CATALOGUE
from data_contracts.schemas.telemetry_schemas import TELEMETRY
from data_contracts.values.coerce import AnyArray, filled, read_codes
from data_contracts.values.kernels import Float64s, Int32s, Int64s, Uint8s, unusual
from data_contracts.values.last_made import LastMade
from data_contracts.values.texts import stray_character


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a name is refused: the column and, in words, the value, the rule and the fix."""

    field: str
    text: str


@dataclass(frozen=True, slots=True)
class Names:
    """`codes` (n,) int32 indexes into `values` (distinct text), -1 = null; `faults` by code: their text is '' in `values`."""

    codes: Int32s
    values: AnyArray
    faults: Mapping[int, Fault]

    def bad(self) -> Uint8s:
        """Return (len(values),) 1 where the name is refused."""
        flags = np.zeros(len(self.values), np.uint8)
        flags[list(self.faults)] = 1
        return flags


def max_bytes(field: str) -> int:
    """Return the longest name the contract allows in `field`, in bytes."""
    metadata = TELEMETRY.field(field).metadata or {}
    return int(metadata[b"max_bytes"])


def shown(value: object, limit: int = 80) -> str:
    """Return `value` quoted and cut for a message."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def read_names(column: AnyArray, field: str) -> Names:
    """Read a text column and check each distinct name once.

    Raises:
        SchemaError: the column does not hold text.
    """
    cells = read_codes(column, field, repeats=True)
    checked = _CHECKED[field].of(cells.values, field)
    return Names(cells.codes, checked.values, checked.faults)


@dataclass(frozen=True, slots=True)
class _Checked:
    """Distinct names as text, and the faults of some."""

    values: AnyArray
    faults: Mapping[int, Fault]


def _checked(cells: AnyArray, field: str) -> _Checked:
    offsets, data = bytes_of(cells)
    length = np.diff(offsets)
    suspects = np.flatnonzero((length == 0) | (length > max_bytes(field)) | (unusual(data, offsets) != 0))
    faults = {}
    for code in suspects.tolist():
        fault = name_fault(cells[code].as_py(), field)
        if fault is not None:
            faults[code] = fault
    return _Checked(_as_text(cells, faults), faults)


_CHECKED: Final = {"service": LastMade(_checked), "metric": LastMade(_checked)}


def bytes_of(values: AnyArray) -> tuple[Int64s, Uint8s]:
    """Return the (k + 1,) bounds of k texts (string or binary) and the bytes that they bound."""
    _, offsets, data = values.buffers()
    if len(values) == 0 or offsets is None:
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    limits = np.frombuffer(memoryview(offsets), np.int32, count=len(values) + 1, offset=4 * values.offset).astype(np.int64)
    content = np.frombuffer(memoryview(data), np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
    return limits, content


def _as_text(values: AnyArray, faults: Mapping[int, Fault]) -> AnyArray:
    if not faults:  # each text that is not ASCII was read
        return values.view(pa.string())
    texts = [b"" if text is None or code in faults else text for code, text in enumerate(values.to_pylist())]
    return pa.array([text.decode() for text in texts], pa.string())


def name_fault(name: bytes, field: str) -> Fault | None:
    """Return why `name` cannot stand in `field`, or None."""
    if not name:
        return Fault(field, f"{field} is empty; every row needs one: fill it in at the source")
    limit = max_bytes(field)
    if len(name) > limit:
        return Fault(field, f"{field} {shown(name)} has {len(name)} bytes; at most {limit} are allowed: shorten it")
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return Fault(
            field, f"{field} {shown(name)} is not valid UTF-8; names are UTF-8 text: re-encode it, or say the file's encoding"
        )
    return text_fault(text, field)


def text_fault(text: str, field: str) -> Fault | None:
    """Return the control or reserved character that keeps `text` out of `field`, or None."""
    control = stray_character(text, single_line=True)
    if control is not None:
        return Fault(field, f"{field} {shown(text)} contains control character U+{ord(control):04X}; none is allowed: remove it")
    if "|" in text:
        return Fault(field, f"{field} {shown(text)} contains '|', which is reserved as a separator: replace it")
    return None


def ranges(metrics: AnyArray) -> tuple[Float64s, Float64s]:
    """Return (k,) lowest and highest valid value of metrics; unbounded where the catalogue does not know one."""
    return _RANGES.of(metrics)


def _ranges(metrics: AnyArray, _: str) -> tuple[Float64s, Float64s]:
    known = list(CATALOGUE.values())
    lows = np.array([*(spec.low for spec in known), -np.inf])
    highs = np.array([*(spec.high for spec in known), np.inf])
    places = pc.index_in(metrics, pa.array(list(CATALOGUE), pa.string()))
    index = np.array(filled(places, -1), np.int64)
    return lows[index], highs[index]


_RANGES: Final = LastMade(_ranges)
