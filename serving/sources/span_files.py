"""Files of spans in blocks: CSV and Parquet tables with one row a span, OTLP exports in JSON and protobuf."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from aiops.errors import SourceError, legible
from aiops.span_calls import SPANS, TraceCalls, calls_in
from data_contracts.schemas import TIMESTAMP
from serving.sources.options import SpanColumns
from serving.sources.otlp_spans import JSON_ENDINGS, PROTOBUF_ENDINGS, json_blocks, protobuf_blocks
from serving.sources.time_columns import read_epochs

_BLOCK_BYTES: Final = 16 << 20
"""Of CSV: a hundred thousand spans or more. Two blocks are in memory, and parents are found that far away."""
_ENDINGS: Final = (".csv", ".csv.gz", ".parquet", *JSON_ENDINGS, *PROTOBUF_ENDINGS)
_POD_SUFFIX: Final = r"-[^-]*-[^-]*$"
_UNREADABLE: Final = np.iinfo(np.int64).min


def read_calls(path: Path, columns: SpanColumns | None = None) -> TraceCalls:
    """Return the calls between services in a file of spans, or in all such files below a folder, in order of their names.

    Args:
        path: .csv, .csv.gz, .parquet, .json, .jsonl, .ndjson, .pb, .binpb or .otlp.
        columns: of a table; an OTLP export has its own names.

    Raises:
        SourceError: the file, or a column of it, cannot be read, or no span names its service.
    """
    files = sorted(file for file in path.rglob("*") if file.name.endswith(_ENDINGS)) if path.is_dir() else [path]
    found = calls_in(block for file in files for block in _blocks_of(file, columns or SpanColumns()))
    if found.counts.spans == found.counts.unnamed:
        raise SourceError(
            f"{path}: {found.counts.spans} spans, none with trace, span and service; check the columns, or that the export "
            f"holds resourceSpans with service.name"
        )
    return found


def _blocks_of(path: Path, columns: SpanColumns) -> Iterator[pa.Table]:
    if path.suffix in JSON_ENDINGS:
        return json_blocks(path)
    if path.suffix in PROTOBUF_ENDINGS:
        return protobuf_blocks(path)
    return _table_blocks(path, columns)


def _table_blocks(path: Path, columns: SpanColumns) -> Iterator[pa.Table]:
    try:
        blocks = _parquet(path, columns) if path.suffix == ".parquet" else _csv(path, columns)
        for block in blocks:
            yield _spans(block, columns)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(
            f"{path}: cannot be read as {path.suffix or 'CSV'}: {legible(error)}; give CSV, Parquet or OTLP"
        ) from error


def _csv(path: Path, columns: SpanColumns) -> Iterator[pa.Table]:
    options = pyarrow.csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False)
    with pyarrow.csv.open_csv(path, read_options=pyarrow.csv.ReadOptions(block_size=1 << 20)) as head:
        wanted = _wanted(head.schema.names, columns, path)
    texts = pyarrow.csv.ConvertOptions(include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string()))
    with pyarrow.csv.open_csv(path, read_options=options, convert_options=texts) as reader:
        for batch in reader:
            yield pa.Table.from_batches([batch])


def _parquet(path: Path, columns: SpanColumns) -> Iterator[pa.Table]:
    with pyarrow.parquet.ParquetFile(path) as file:
        wanted = _wanted(file.schema_arrow.names, columns, path)
        for batch in file.iter_batches(batch_size=250_000, columns=wanted):
            yield pa.Table.from_batches([batch])


def _wanted(names: list[str], columns: SpanColumns, path: Path) -> list[str]:
    needed = [columns.trace, columns.span, columns.parent, columns.pod or columns.service]
    missing = [name for name in needed if name not in names]
    if missing:
        raise SourceError(
            f"{path}: no column {missing[0]!r}; its columns are {legible(', '.join(names), 1000)}. "
            f"Say which is which, for example --columns trace=TraceID,span=SpanID,parent=ParentID,service=Service"
        )
    return needed + [name for name in (columns.peer, columns.time) if name in names]


def _spans(block: pa.Table, columns: SpanColumns) -> pa.Table:
    given = {"trace_id": columns.trace, "span_id": columns.span, "parent_id": columns.parent}
    given["service"] = columns.pod or columns.service
    cells: dict[str, Any] = {name: block[column].cast(pa.string()) for name, column in given.items()}
    if columns.pod:
        cells["service"] = pc.replace_substring_regex(cells["service"], _POD_SUFFIX, "")
    absent = pa.nulls(block.num_rows, pa.string())
    cells["peer"] = block[columns.peer].cast(pa.string()) if columns.peer in block.column_names else absent
    cells["at"] = pa.nulls(block.num_rows, TIMESTAMP)
    if columns.time in block.column_names:
        at = read_epochs(block[columns.time].combine_chunks())
        cells["at"] = pa.array(at, pa.int64(), mask=at == _UNREADABLE).cast(TIMESTAMP)
    return pa.table(cells, schema=SPANS)
