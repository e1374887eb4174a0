"""What the adapters of public corpora share: files of one table each, small enough to be sorted in memory as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from aiops.errors import SourceError
from data_contracts.schemas.telemetry_schemas import TELEMETRY
from data_contracts.values.coerce import read_numbers
from serving.ingest.pull.file_merge import joined
from serving.ingest.pull.source_rows import Rows, read_rows
from serving.ingest.pull.tabular import Layout, loose_rows


@dataclass(frozen=True, slots=True)
class CorpusSeries:
    """One column of a corpus file: whose metric it is, and its labels."""

    column: str
    service: str
    metric: str
    labels: tuple[tuple[str, str], ...] = ()


def read_cells(path: Path, skip_lines: int = 0, names: Sequence[str] | None = None) -> pa.Table:
    """Return a CSV file with every cell as text; `names` replace a header that was skipped.

    Raises:
        SourceError: the file is absent or no CSV.
    """
    options = pyarrow.csv.ReadOptions(use_threads=False, skip_rows=skip_lines, column_names=list(names) if names else None)
    try:
        header = names or _header(path)
        convert = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False)
        return pyarrow.csv.read_csv(path, read_options=options, convert_options=convert)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise SourceError(f"{path}: cannot be read as CSV: {error}; restore the file of the corpus") from error


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig") as lines:
        return next(lines, "").strip().split(",")


def melted(block: pa.Table, timestamp: str, series: Sequence[CorpusSeries]) -> Rows:
    """Return one row for each cell of these columns that is not empty, typed where it can be read."""
    layout = Layout(timestamp, series=tuple((column.column, column.service, column.column) for column in series))
    loose = loose_rows(block, layout)
    columns = pc.SetLookupOptions(_array([column.column for column in series]))
    places = pc.call_function("index_in", [loose["metric"].combine_chunks()], columns)
    maps: Any = pa.array([list(column.labels) for column in series], TELEMETRY.field("labels").type)
    loose = loose.set_column(2, "metric", _array([column.metric for column in series]).take(places))
    return read_rows(loose.append_column("labels", maps.take(places)) if any(column.labels for column in series) else loose)


def _array(texts: Sequence[str]) -> "pa.Array[Any]":
    return pa.array(list(texts), pa.string())


def texts_of(block: pa.Table, column: str) -> list[str]:
    """Return the cells of a text column; null is empty text."""
    return [str(cell or "") for cell in block[column].to_pylist()]


def without_nan(cells: "pa.ChunkedArray[Any]") -> "pa.Array[Any]":
    """Return text cells with "NaN" emptied: in the corpora it says that there was nothing to measure."""
    texts = cells.combine_chunks()
    is_nan = pc.call_function("equal", [pc.call_function("utf8_lower", [texts]), pa.scalar("nan")])
    emptied: pa.Array[Any] = pc.call_function("if_else", [is_nan, pa.scalar(""), texts])
    return emptied


def complement(texts: "pa.Array[Any]") -> "pa.Array[Any]":
    """Return percent of failure for text cells with percent of success; a cell that is no number stays as it is.

    Errors then have one direction everywhere: higher is worse.
    """
    read = read_numbers(texts, "value")
    failed = pa.array(100.0 - read.value, pa.float64(), mask=read.missing.astype(np.bool_)).cast(pa.string())
    turned: pa.Array[Any] = pc.call_function("coalesce", [failed, texts])
    return turned


def is_constant_zero(cells: "pa.ChunkedArray[Any]") -> bool:
    """Return whether every cell is 0: such a column was never measured."""
    read = read_numbers(cells.combine_chunks(), "value")
    return bool(np.all((read.missing == 0) & (read.value == 0.0)))


def replaced(block: pa.Table, column: str, cells: "pa.Array[Any]") -> pa.Table:
    """Return the block with other cells in one column."""
    return block.set_column(block.column_names.index(column), column, cells)


def arranged(parts: Sequence[Rows]) -> Rows:
    """Return all rows in order of arrival: by the newest time seen so far in their part, so that a late row stays late."""
    rows = joined(parts)
    arrival = np.concatenate([np.maximum.accumulate(part.readable_at) for part in parts])
    raw_arrival = np.concatenate([np.maximum.accumulate(part.raw_at) for part in parts])
    order, raw_order = np.argsort(arrival, kind="stable"), np.argsort(raw_arrival, kind="stable")
    return Rows(rows.readable.take(order), rows.readable_at[order], rows.raw.take(raw_order), rows.raw_at[raw_order])
