"""Blocks of a table, long or wide, as loose telemetry columns: which column is what, and what a wide cell is called."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aiops.errors import ConfigurationError, FileError, legible
from data_contracts.values.coerce import SchemaError, is_text
from serving.ingest.pull.source_options import SourceOptions
from serving.ingest.pull.source_rows import Mask

_LOOKED_AT: Final = 1000
_WITH_COMMA: Final = re.compile(r"[+-]?\d+(?:[.\s\u00a0']\d{3})*(?:,\d+)+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Layout:
    """How one file is read. `series` holds (column, service, metric) of a wide file and is empty for a long one."""

    timestamp: str
    service: str | None = None
    metric: str = ""
    value: str = ""
    tenant: str | None = None
    labels: tuple[str, ...] = ()
    label_map: str | None = None
    constant_service: str | None = None
    series: tuple[tuple[str, str, str], ...] = ()
    decimal: str = "."
    thousands: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns of the file that are read."""
        named = (self.timestamp, self.tenant, self.label_map, *self.labels)
        cells = tuple(column for column, _, _ in self.series) or (self.service, self.metric, self.value)
        return tuple(name for name in (*named, *cells) if name is not None)


def layout_of(names: Sequence[str], options: SourceOptions, file: str) -> Layout:
    """Return how a file with these column names is read.

    Raises:
        FileError: a column that the mapping names is not in the file.
        ConfigurationError: the service of a wide column is not known.
    """
    columns = options.columns
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise FileError(f"{file}: the column {twice[0]!r} is there twice; columns need unique names: rename one")
    long = options.form == "long" or (options.form == "auto" and {columns.metric, columns.value} <= set(names))
    needed = [columns.timestamp, *columns.labels]
    if long:
        needed += [columns.metric, columns.value, *([] if options.service else [columns.service])]
    missing = [name for name in needed if name not in names]
    if missing:
        raise FileError(
            f"{file}: no column {missing[0]!r}; its columns are {legible(', '.join(names), 1000) or '(none)'}. "
            f"Say which is which, for example --set columns=timestamp=ts,service=svc,metric=name,value=v"
        )
    return Layout(
        columns.timestamp,
        columns.service if long and not options.service else None,
        columns.metric,
        columns.value,
        columns.tenant if columns.tenant in names else None,
        columns.labels,
        "labels" if long and "labels" in names and "labels" not in columns.labels else None,
        options.service,
        () if long else _wide_series(names, options, file),
        options.decimal,
        options.thousands,
    )


def _wide_series(names: Sequence[str], options: SourceOptions, file: str) -> tuple[tuple[str, str, str], ...]:
    """Return (column, service, metric) of each wide column: by `series`, else all of `service`, else `service.metric`."""
    columns = options.columns
    unknown = sorted(set(options.series) - set(names))
    if unknown:
        raise FileError(f"{file}: series names the column {unknown[0]!r}, which is not there; correct the name")
    series = []
    for name in names:
        if name in {columns.timestamp, columns.tenant, *columns.labels}:
            continue
        service, dot, metric = name.rpartition(".")
        if name in options.series:
            service, metric = options.series[name]
        elif options.service is not None:
            service, metric = options.service, name
        elif not dot or not service or not metric:
            raise ConfigurationError(
                f"{file}: the column {name!r} is not called service.metric; give --set service=NAME for all columns, "
                f"or --set series={name}=service.metric"
            )
        series.append((name, service, metric))
    if not series:
        raise FileError(f"{file}: there is no column beside {columns.timestamp!r}; a wide file has one for each series")
    return tuple(series)


def loose_rows(block: pa.Table, layout: Layout) -> pa.Table:
    """Return a block as loose telemetry: timestamp, service, metric, value and, where there are any, labels and tenant.

    In wide form an empty cell (null or empty text) is no sample of that series and gives no row; all other cells do.
    """
    block = block.combine_chunks()
    return _melted(block, layout) if layout.series else _long(block, layout)


def _long(block: pa.Table, layout: Layout) -> pa.Table:
    count = block.num_rows
    loose: dict[str, Any] = {"timestamp": block[layout.timestamp]}
    constant = pa.array([layout.constant_service], pa.string()).take(np.zeros(count, np.int64))
    loose["service"] = constant if layout.service is None else _names(block, layout.service)
    loose["metric"] = _names(block, layout.metric)
    loose["value"] = _plain_numbers(block[layout.value].combine_chunks(), layout)
    return pa.table(loose | _attributes(block, layout))


def _attributes(block: pa.Table, layout: Layout) -> dict[str, Any]:
    """Return the columns labels and tenant as far as the layout has them."""
    columns: dict[str, Any] = {}
    if layout.labels:
        columns["labels"] = _label_map(block, layout.labels)
    elif layout.label_map is not None:
        columns["labels"] = _read_labels(block[layout.label_map].combine_chunks())
    if layout.tenant is not None:
        tenant = _names(block, layout.tenant)
        columns["tenant"] = pc.call_function("if_else", [pa.array(_filled(tenant)), tenant, pa.scalar(None, tenant.type)])
    return columns


def _names(block: pa.Table, column: str) -> "pa.Array[Any]":
    """Return a column of names as text or bytes, never as numbers: whole numbers by their digits.

    Raises:
        SchemaError: it holds numbers with a fraction or anything else whose text is not known.
    """
    cells = block[column].combine_chunks()
    kind = cells.type.value_type if pa.types.is_dictionary(cells.type) else cells.type
    if is_text(kind) or pa.types.is_null(kind):
        return cells.cast(kind) if pa.types.is_dictionary(cells.type) else cells
    if pa.types.is_integer(kind):
        return cells.cast(kind).cast(pa.string())
    raise SchemaError(f"the column {column!r} holds names and has type {kind}; names are text: write the column as text")


def _plain_numbers(cells: "pa.Array[Any]", layout: Layout) -> "pa.Array[Any]":
    """Return text cells with a point before the fraction and no marks between thousands."""
    if not is_text(cells.type) or (layout.decimal == "." and layout.thousands is None):
        return cells
    for mark, instead in ((layout.thousands, ""), (layout.decimal, ".")):
        if mark not in {None, instead}:
            options = pc.ReplaceSubstringOptions(str(mark), instead)
            cells = pc.call_function("replace_substring", [cells.view(pa.string())], options)
    return cells


def check_marks(block: pa.Table, layout: Layout, file: str) -> None:
    """Check that most values of a file's first rows hold no commas that nobody explained.

    Raises:
        FileError: they do; what they mean is not guessed.
    """
    columns = [column for column, _, _ in layout.series] or [layout.value]
    if layout.decimal == "," or layout.thousands == ",":
        return
    for column in columns:
        cells = block[column].combine_chunks()
        if not is_text(cells.type):
            continue
        texts = [
            text.decode(errors="replace") if isinstance(text, bytes) else text for text in cells[:_LOOKED_AT].to_pylist() if text
        ]
        commas = [text for text in texts if _WITH_COMMA.fullmatch(text.strip())]
        if commas and 2 * len(commas) > len(texts):
            raise FileError(
                f"{file}: {column} {commas[0]!r} holds a comma; give decimal=, if it begins the fraction, "
                f"or thousands=, if it groups digits"
            )


def _read_labels(column: "pa.Array[Any]") -> "pa.Array[Any]":
    """Return the column `labels` as map<string, string>: it is one, or JSON text; other text becomes the label `labels`."""
    kind = pa.map_(pa.string(), pa.string())
    if not is_text(column.type):
        return column.cast(kind)
    texts = column.cast(pa.string()).dictionary_encode()
    maps: Any = pa.array([_labels_of(str(text)) for text in texts.dictionary.to_pylist()], kind)
    return cast("pa.Array[Any]", maps.take(texts.indices))


def _labels_of(text: str) -> list[tuple[str, str]]:
    try:
        labels = json.loads(text or "{}")
    except ValueError:
        return [("labels", text)]
    return [(str(key), str(value)) for key, value in labels.items()] if isinstance(labels, dict) else [("labels", text)]


def _label_map(block: pa.Table, names: Sequence[str]) -> "pa.Array[Any]":
    """Return map<string, string> of the label columns; null or empty cells give no label."""
    items = [block[name].combine_chunks().cast(pa.string()) for name in names]
    present = np.stack([_filled(item) for item in items], axis=1)
    offsets: Any = pa.array(np.concatenate([[0], np.cumsum(present.sum(axis=1))]), pa.int32())
    row, column = np.nonzero(present)
    keys = pa.array(list(names), pa.string()).take(column)
    values = pa.concat_arrays(items).take(column * block.num_rows + row)
    return cast("pa.Array[Any]", pa.MapArray.from_arrays(offsets, keys, values))


def _melted(block: pa.Table, layout: Layout) -> pa.Table:
    """Return one row a filled cell, in order of the block's rows, then of its columns."""
    cells = [block[column].combine_chunks() for column, _, _ in layout.series]
    kinds = {cell.type for cell in cells}
    if len(kinds) > 1:
        numeric = not any(is_text(kind) for kind in kinds)
        cells = [cell.cast(pa.float64() if numeric else pa.string(), safe=False) for cell in cells]
    cells = [_plain_numbers(cell, layout) for cell in cells]
    filled = np.stack([_filled(cell) for cell in cells], axis=1)
    row, column = np.nonzero(filled)
    loose: dict[str, Any] = {
        "timestamp": block[layout.timestamp].take(row),
        "service": pa.array([service for _, service, _ in layout.series]).take(column),
        "metric": pa.array([metric for _, _, metric in layout.series]).take(column),
        "value": pa.concat_arrays(cells).take(column * block.num_rows + row),
    }
    return pa.table(loose | {name: array.take(row) for name, array in _attributes(block, layout).items()})


def _filled(cell: "pa.Array[Any]") -> Mask:
    """Return (n,) bool: the cell is neither null nor empty text."""
    filled = np.asarray(cell.is_valid()).astype(np.bool_)
    if is_text(cell.type):
        lengths = np.asarray(pc.call_function("binary_length", [cell]).fill_null(0))
        filled &= lengths > 0
    return filled
