"""Files of spans in blocks: CSV and Parquet tables with one row a span, OTLP exports in JSON and protobuf."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from aiops.errors import FileError, legible
from aiops.topology.span_calls import SPANS, TraceCalls, calls_in
from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from serving.ingest.pull.csv_blocks import CsvBlocks, Dialect
from serving.ingest.pull.file_bytes import is_parquet
from serving.ingest.pull.otlp_spans import JSON_ENDINGS, PROTOBUF_ENDINGS, json_blocks, protobuf_blocks
from serving.ingest.pull.source_options import SpanColumns
from serving.ingest.pull.time_columns import AUTO, UNREADABLE, TimeForm, read_epochs, recognised_form

_BLOCK_BYTES: Final = 16 << 20
"""Of CSV: a hundred thousand spans or more. Two blocks are in memory, and parents are found that far away."""
_ENDINGS: Final = (".csv", ".csv.gz", ".tsv", ".parquet", ".pq", *JSON_ENDINGS, *PROTOBUF_ENDINGS)
_POD_SUFFIX: Final = r"-[^-]*-[^-]*$"


def read_calls(path: Path, columns: SpanColumns | None = None, encoding: str | None = None) -> TraceCalls:
    """Return the calls between services in a file of spans, or in all such files below a folder, in order of their names.

    Args:
        path: .csv, .csv.gz, .tsv, .parquet, .pq, .json, .jsonl, .ndjson, .pb, .binpb or .otlp.
        columns: of a table; an OTLP export has its own names.
        encoding: of texts that are not UTF-8.

    Raises:
        SourceError: the file, or a column of it, cannot be read, or no span names its service.
    """
    files = sorted(file for file in path.rglob("*") if file.name.endswith(_ENDINGS)) if path.is_dir() else [path]
    calls = calls_in(block for file in files for block in _blocks_of(file, columns or SpanColumns(), encoding))
    if calls.counts.spans == calls.counts.unnamed:
        raise FileError(
            f"{path}: {calls.counts.spans} spans, none with trace, span and service; check the columns, or that the export "
            f"holds resourceSpans with service.name"
        )
    return calls


def _blocks_of(path: Path, columns: SpanColumns, encoding: str | None) -> Iterator[pa.Table]:
    kind = Path(path.name.lower().removesuffix(".gz")).suffix
    if kind in JSON_ENDINGS:
        return json_blocks(path, encoding)
    if kind in PROTOBUF_ENDINGS:
        return protobuf_blocks(path)
    return _table_blocks(path, columns, encoding)


def _table_blocks(path: Path, columns: SpanColumns, encoding: str | None) -> Iterator[pa.Table]:
    try:
        form: TimeForm | None = None
        for block in _parquet(path, columns) if is_parquet(path) else _csv(path, columns, encoding):
            if form is None:
                form = _time_form(block, columns, path)
            yield _spans(block, columns, form)
    except (OSError, pa.ArrowException) as error:
        raise FileError(
            f"{path}: cannot be read as {path.suffix or 'CSV'}: {legible(error)}; give CSV, Parquet or OTLP"
        ) from error


def _csv(path: Path, columns: SpanColumns, encoding: str | None) -> Iterator[pa.Table]:
    file = CsvBlocks(path, Dialect(encoding=encoding), _BLOCK_BYTES)
    yield from file.blocks(_wanted(list(file.names), columns, path))


def _time_form(block: pa.Table, columns: SpanColumns, path: Path) -> TimeForm:
    if columns.time not in block.column_names:
        return AUTO
    return recognised_form(block[columns.time].combine_chunks(), AUTO, f"{path}: {columns.time}")


def _parquet(path: Path, columns: SpanColumns) -> Iterator[pa.Table]:
    with pyarrow.parquet.ParquetFile(path) as file:
        names = _wanted(file.schema_arrow.names, columns, path)
        for batch in file.iter_batches(batch_size=250_000, columns=names):
            yield pa.Table.from_batches([batch])


def _wanted(names: list[str], columns: SpanColumns, path: Path) -> list[str]:
    needed = [columns.trace, columns.span, columns.parent, columns.pod or columns.service]
    missing = [name for name in needed if name not in names]
    if missing:
        raise FileError(
            f"{path}: no column {missing[0]!r}; its columns are {legible(', '.join(names), 1000)}. "
            f"Say which is which, for example --columns trace=TraceID,span=SpanID,parent=ParentID,service=Service"
        )
    return needed + [name for name in (columns.peer, columns.time) if name in names]


def _spans(block: pa.Table, columns: SpanColumns, form: TimeForm) -> pa.Table:
    given = {"trace_id": columns.trace, "span_id": columns.span, "parent_id": columns.parent}
    given["service"] = columns.pod or columns.service
    cells: dict[str, Any] = {name: _texts(block, column) for name, column in given.items()}
    if columns.pod:
        cells["service"] = pc.replace_substring_regex(cells["service"], _POD_SUFFIX, "")
    absent = pa.nulls(block.num_rows, pa.string())
    cells["peer"] = _texts(block, columns.peer) if columns.peer in block.column_names else absent
    cells["at"] = pa.nulls(block.num_rows, TIMESTAMP)
    if columns.time in block.column_names:
        at = read_epochs(block[columns.time].combine_chunks(), form)
        cells["at"] = pa.array(at, pa.int64(), mask=at == UNREADABLE).cast(TIMESTAMP)
    return pa.table(cells, schema=SPANS)


def _texts(block: pa.Table, column: str) -> "pa.Array[Any]":
    """Return ids or names as text: whole numbers by their digits; an empty cell is null, bytes that are no text are marked.

    Raises:
        FileError: they are numbers with a fraction, whose text nobody knows.
    """
    cells = block[column].combine_chunks()
    if pa.types.is_floating(cells.type) and cells.null_count < len(cells):
        raise FileError(f"the column {column!r} holds ids or names and has type {cells.type}; write the column as text")
    try:
        texts: Any = cells.cast(pa.string())
    except pa.ArrowInvalid:
        texts = pa.array(
            [None if cell is None else cell.decode(errors="backslashreplace") for cell in cells.to_pylist()], pa.string()
        )
    return cast(
        "pa.Array[Any]",
        pc.call_function("if_else", [pc.call_function("equal", [texts, pa.scalar("")]), pa.scalar(None, pa.string()), texts]),
    )
