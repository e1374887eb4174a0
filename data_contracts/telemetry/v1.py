r"""Rows of version 0.1, where a series was (service, metric) and its labels stood in the metric: `name{key="value",…}`.

Keys ascended and held none of `{}=",`; a backslash stood before quotes and backslashes of values; the name itself was written as
it is. A service `acme/cart` may have been the tenant's or the service's own name, which nobody can tell: it stays a service.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import pyarrow as pa

from data_contracts.schemas.telemetry_schemas import LAKE_TELEMETRY
from data_contracts.series.key import Labels, labels_text
from data_contracts.series.text import text_of
from data_contracts.telemetry.series_rows import ids_of_columns
from data_contracts.values.coerce import whole

_LABEL: Final = r'([^{}=",]+)="((?:[^"\\]|\\.)*)"'
_FOLDED: Final = re.compile(rf"(.+?)\{{({_LABEL}(?:,{_LABEL})*)\}}", re.DOTALL)
_LABEL_PAIR: Final = re.compile(_LABEL, re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


def folded_metric(text: str) -> tuple[str, Labels]:
    """Return metric and labels of a folded metric; what is none is a metric without labels.

    >>> folded_metric('http_requests{code="500"}'), folded_metric("odd{name")
    (('http_requests', (('code', '500'),)), ('odd{name', ()))
    """
    match = _FOLDED.fullmatch(text)
    if match is None:
        return text, ()
    labels = {key: _ESCAPED.sub(r"\1", value) for key, value in _LABEL_PAIR.findall(match[2])}
    return match[1], tuple(sorted((key, value) for key, value in labels.items() if value))


def telemetry_v2_of_v1(table: pa.Table, tenant: str) -> pa.Table:
    """Return lake telemetry of version 1 as `schemas.LAKE_TELEMETRY`: the same rows, identified. Python once a metric."""
    return rows_v2_of_v1(LAKE_TELEMETRY, table, tenant)


def rows_v2_of_v1(schema: pa.Schema, table: pa.Table, tenant: str) -> pa.Table:
    """Return rows about one series each (service, folded metric) with the columns of `schema`.

    Adds series_id and labels, takes the labels out of the metric, and writes the text `series` anew where the schema has it.
    Columns that the table lacks are null. Rows without a metric have no id.

    Raises:
        ValueError: a column that may not be null is absent from the table.
    """
    service, folded = (whole(table.column(name)).cast(pa.string()) for name in ("service", "metric"))
    coded: Any = folded.dictionary_encode()
    split = [folded_metric(str(text)) for text in coded.dictionary.to_pylist()]
    metric, labels = (_taken(texts, coded.indices) for texts in ([m for m, _ in split], [labels_text(held) for _, held in split]))
    columns: dict[str, Any] = {name: table.column(name) for name in table.column_names}
    columns |= {"metric": metric, "labels": labels, "series_id": _ids(service, metric, labels, tenant)}
    if "series" in schema.names:
        rows = zip(service.to_pylist(), metric.to_pylist(), labels.to_pylist(), strict=True)
        columns["series"] = pa.array([text_of(*(str(part) for part in row)) for row in rows], pa.string())
    missing = [field.name for field in schema if field.name not in columns and not field.nullable]
    if missing:
        raise ValueError(f"columns {missing} are missing from rows of version 1; they have {table.column_names}")
    made = [columns.get(field.name, pa.nulls(table.num_rows, field.type)) for field in schema]
    return pa.table(made, names=schema.names).cast(schema)


def _taken(texts: Iterable[str], indices: Any) -> Any:
    return pa.array(list(texts), pa.string()).take(indices)


def _ids(service: Any, metric: Any, labels: Any, tenant: str) -> Any:
    known = np.asarray(metric.is_valid())
    ids = np.zeros(len(known), np.int64)
    kept = pa.array(known)
    if known.any():
        services, metrics, sets = (column.filter(kept) for column in (service, metric, labels))
        ids[known] = ids_of_columns(services, metrics, sets, tenant)
    return pa.array(ids, mask=~known)
