"""Kernels of what remote write says beside points: exemplars, and the metadata of 1.0; values, and where their texts lie."""

from typing import Final

import numpy as np
import numpy.typing as npt

from aiops.jit import inlined, kernel
from serving.ingest.receive.wire.column_buffers import (
    MESSAGE_OFFSET,
    MESSAGE_SIZE,
    N_SYMBOLS,
    OWNER,
    SYMBOL_OFFSET,
    SYMBOL_SIZE,
    Tables,
    cell,
    counted,
)
from serving.ingest.receive.wire.machine_words import half_word_at, int64, word_at
from serving.ingest.receive.wire.wire_fields import microseconds, next_field, varint

Table = npt.NDArray[np.int64]

X_SERIES, X_VALUE, X_TIME, X_TRACE, X_TRACE_END, X_SPAN, X_SPAN_END = range(7)
"""Columns of the table of exemplars."""
M_KIND, M_FAMILY, M_FAMILY_END, M_HELP, M_HELP_END, M_UNIT, M_UNIT_END = range(7)
"""Columns of the table of metadata."""

_LABEL: Final = 1 << 3 | 2
_REFERENCE: Final = 1 << 3 | 0
_VALUE: Final = 2 << 3 | 1
_TIMESTAMP: Final = 3 << 3 | 0
_NAME: Final = 1 << 3 | 2
_TEXT: Final = 2 << 3 | 2
_METADATA: Final = 3 << 3 | 2
_TYPE: Final = 1 << 3 | 0
_TRACE_ID: Final = np.uint64(int.from_bytes(b"trace_id", "little"))
_SPAN: Final = np.uint64(int.from_bytes(b"span", "little"))
_N_ID: Final = np.uint64(int.from_bytes(b"n_id", "little"))
_UINT32: Final = np.uint64(0xFFFFFFFF)


@kernel
def column_of(begin: int, end: int) -> int:
    """Return X_TRACE or X_SPAN if that is the label's name, else -1."""
    size = end - begin
    if size == 8 and word_at(begin) == _TRACE_ID:
        return X_TRACE
    return X_SPAN if size == 7 and half_word_at(begin) == _SPAN and half_word_at(begin + 3) == _N_ID else -1


@kernel
def read_exemplars(body: int, messages: Table, columns: Table) -> int:
    """Fill columns (7, e) from (3, e) messages of 1.0; negative: a fault."""
    for row in range(messages.shape[1]):
        at = body + messages[MESSAGE_OFFSET, row]
        end = at + messages[MESSAGE_SIZE, row]
        columns[:, row] = 0
        columns[X_SERIES, row] = messages[OWNER, row]
        while at < end:
            tag, begin, at, value = next_field(at, end)
            status = _label(begin, at, body, columns[:, row]) if tag == _LABEL and at > 0 else 0
            if min(at, status) < 0:
                return min(at, status)
            if tag == _VALUE:
                columns[X_VALUE, row] = int64(value)
            elif tag == _TIMESTAMP:
                columns[X_TIME, row] = microseconds(int64(value))
    return 0


@kernel
def _label(at: int, end: int, body: int, columns: Table) -> int:
    """Keep where the value of a label lies if it is an id; return a negative fault or 0."""
    column, value, stop = -1, at, at
    while at < end:
        tag, begin, at, _ = next_field(at, end)
        if at < 0:
            return at
        if tag == _NAME:
            column = column_of(begin, at)
        elif tag == _TEXT:
            value, stop = begin, at
    if column >= 0:
        columns[column], columns[column + 1] = value - body, stop - body
    return 0


@kernel
def read_exemplars_by_reference(body: int, messages: Table, tables: Tables, columns: Table) -> int:
    """Fill columns (7, e) from (3, e) messages of 2.0, whose symbols are in `tables`; negative: a fault."""
    for row in range(messages.shape[1]):
        at = body + messages[MESSAGE_OFFSET, row]
        end, name = at + messages[MESSAGE_SIZE, row], -1
        columns[:, row] = 0
        columns[X_SERIES, row] = messages[OWNER, row]
        while at < end:
            tag, begin, at, value = next_field(at, end)
            if at < 0:
                return at
            if tag == _VALUE:
                columns[X_VALUE, row] = int64(value)
            elif tag == _TIMESTAMP:
                columns[X_TIME, row] = microseconds(int64(value))
            elif tag == _REFERENCE:
                name = _reference(body, value, name, tables, columns[:, row])
            while tag == _LABEL and begin < at:
                value, begin = varint(begin, at)
                if begin < 0:
                    return begin
                name = _reference(body, value, name, tables, columns[:, row])
    return 0


@kernel
def _reference(body: int, reference: np.uint64, name: int, tables: Tables, columns: Table) -> int:
    """Take one reference more of an exemplar's labels, if it is known; return the name that waits for its value, or -1."""
    symbol = int64(reference & _UINT32)
    if name < 0:
        return symbol
    symbols = counted(tables, N_SYMBOLS)
    if max(name, symbol) < symbols:
        begin = body + cell(tables, tables.symbols, SYMBOL_OFFSET, name)
        column = column_of(begin, begin + cell(tables, tables.symbols, SYMBOL_SIZE, name))
        if column >= 0:
            columns[column] = cell(tables, tables.symbols, SYMBOL_OFFSET, symbol)
            columns[column + 1] = columns[column] + cell(tables, tables.symbols, SYMBOL_SIZE, symbol)
    return -1


@inlined
def _metadata_column(tag: int) -> int:
    if tag == 2 << 3 | 2:
        return M_FAMILY
    if tag == 4 << 3 | 2:
        return M_HELP
    return M_UNIT if tag == 5 << 3 | 2 else 0


@kernel
def read_metadata(body: int, end: int, columns: Table) -> int:
    """Fill columns (7, m) from the metadata of a WriteRequest that was read before; negative: a fault."""
    at, row = body, 0
    while at < end:
        tag, inner, at, _ = next_field(at, end)
        if tag == _METADATA:
            columns[:, row] = 0
            while inner < at:
                tag, begin, inner, value = next_field(inner, at)
                if inner < 0:
                    return inner
                column = _metadata_column(tag)
                if tag == _TYPE:
                    columns[M_KIND, row] = int64(value & _UINT32)
                elif column > 0:
                    columns[column, row], columns[column + 1, row] = begin - body, inner - body
            row += 1
    return 0
