"""Nezha's traces and logs of one day: a file a minute, all spans and lines of it, beside one minute without a fault.

Identifiers are text; clocks are read from the columns in nanoseconds (UTC), not from the lines. A cell with a line may hold
commas that are not quoted: it is what follows the seventh comma.
"""

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, cast

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from aiops.errors import FileError
from aiops.signals.span_rows import SPAN_ROWS
from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from serving.ingest.pull.nezha import service_of

_LINE_COLUMNS: Final = ("Timestamp", "TimeUnixNano", "Node", "PodName", "Container", "TraceID", "SpanID", "Log")
_ROOT: Final = "root"
_LINE_TYPES: Final[dict[str, pa.DataType]] = {
    "timestamp": TIMESTAMP,
    **dict.fromkeys(("trace_id", "span_id", "text"), pa.string()),
}
_LINES: Final = pa.schema(_LINE_TYPES)


@dataclass(frozen=True, slots=True)
class RequestFiles:
    """Spans (`SPAN_ROWS`) and lines (timestamp, trace_id, span_id, text) of files."""

    spans: pa.Table
    lines: pa.Table


class _Cell(msgspec.Struct):
    log: str


def read_request_files(folders: Sequence[Path]) -> RequestFiles | None:
    """Return what lies in `trace/` and `log/` of the folders; None where there is no trace.

    Raises:
        FileError: a file is damaged.
    """
    traces, logs = ([path for folder in folders for path in sorted((folder / kind).glob("*.csv*"))] for kind in ("trace", "log"))
    if not traces:
        return None
    spans, lines = ([read(path) for path in paths] for read, paths in ((_spans, traces), (_lines, logs)))
    return RequestFiles(pa.concat_tables(spans), pa.concat_tables(lines) if lines else _LINES.empty_table())


def _spans(path: Path) -> pa.Table:
    try:
        with pyarrow.csv.open_csv(
            path, convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(_header(path), pa.string()))
        ) as reader:
            cells = reader.read_all()
        start, end = (_microseconds(cells[name]) for name in ("StartTimeUnixNano", "EndTimeUnixNano"))
        parent = cells["ParentID"]
    except (OSError, pa.ArrowException, KeyError) as error:
        raise FileError(f"{path}: cannot be read as spans: {error}; restore the file of the corpus") from error
    absent = pa.nulls(cells.num_rows, pa.string())
    columns: dict[str, Any] = {
        "timestamp": start.cast(TIMESTAMP),
        "duration_us": pc.call_function("subtract", [end, start]),
        "service": _services(cells["PodName"]),
        "name": cells["OperationName"],
        "kind": absent,
        "trace_id": cells["TraceID"],
        "span_id": cells["SpanID"],
        "parent_id": pc.call_function(
            "replace_with_mask", [parent.combine_chunks(), _is_root(parent), pa.scalar(None, pa.string())]
        ),
        "status": absent,
        "trace_state": absent,
    }
    return pa.table(columns, schema=SPAN_ROWS)


def _lines(path: Path) -> pa.Table:
    try:
        rows = list(_cells(path))
    except (OSError, UnicodeError) as error:
        raise FileError(f"{path}: cannot be read as lines: {error}; restore the file of the corpus") from error
    nanoseconds, traces, spans, texts = (pa.array([row[place] for row in rows], pa.string()) for place in (1, 5, 6, 7))
    columns: dict[str, Any] = {
        "timestamp": _microseconds(pa.chunked_array([nanoseconds])).cast(TIMESTAMP),
        "trace_id": traces,
        "span_id": spans,
        "text": texts,
    }
    return pa.table(columns, schema=_LINES)


def _cells(path: Path) -> Iterator[list[str]]:
    """Yield the rows of a file of lines whose times are numbers, the line itself as its program wrote it."""
    with _text_of(path) as file:
        next(file, "")
        for text in file:
            row = text.rstrip("\r\n").split(",", len(_LINE_COLUMNS) - 1)
            if len(row) == len(_LINE_COLUMNS) and row[1].isdigit():
                row[-1] = _written(row[-1])
                yield row


def _written(cell: str) -> str:
    if cell.startswith('"') and cell.endswith('"'):
        cell = cell[1:-1].replace('""', '"')
    try:
        return msgspec.json.decode(cell, type=_Cell).log.rstrip("\n")
    except msgspec.MsgspecError:
        return cell


def _text_of(path: Path) -> IO[str]:
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")


def _header(path: Path) -> list[str]:
    with _text_of(path) as file:
        return file.readline().strip().split(",")


def _microseconds(nanoseconds: "pa.ChunkedArray[Any]") -> "pa.Array[Any]":
    whole = nanoseconds.combine_chunks().cast(pa.int64())
    return cast("pa.Array[Any]", pc.call_function("divide", [whole, pa.scalar(1000, pa.int64())]))


def _services(pods: "pa.ChunkedArray[Any]") -> "pa.Array[Any]":
    coded: Any = pods.combine_chunks().dictionary_encode()
    names = pa.array([service_of(pod or "") for pod in coded.dictionary.to_pylist()], pa.string())
    return cast("pa.Array[Any]", pa.DictionaryArray.from_arrays(coded.indices, names).cast(pa.string()))


def _is_root(parent: "pa.ChunkedArray[Any]") -> "pa.Array[Any]":
    return cast("pa.Array[Any]", pc.call_function("equal", [parent.combine_chunks(), pa.scalar(_ROOT)]))
