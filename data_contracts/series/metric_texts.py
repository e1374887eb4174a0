"""Columns of metrics as people read them: what alerts, evidence and requests show in the place of metric and labels."""

from typing import Any

import pyarrow as pa

from data_contracts.series.text import metric_with_labels


def metric_texts(rows: "pa.Table | pa.RecordBatch") -> list[str]:
    """Return metric and labels of each row as people read them, "" where there is no metric.

    Rows of version 0.1 have no column labels: there they stand in the metric already.
    """
    metrics: list[Any] = rows.column("metric").to_pylist()
    labels: list[Any] = rows.column("labels").to_pylist() if "labels" in rows.schema.names else [""] * len(metrics)
    return [_text(metric, held) for metric, held in zip(metrics, labels, strict=True)]


def _text(metric: Any, labels: Any) -> str:
    if metric is None:
        return ""
    return metric_with_labels(str(metric), str(labels)) if labels else str(metric)


def with_metric_texts(points: pa.Table) -> pa.Table:
    """Return points whose column metric says the labels too, as people read them, without labels. Python once a distinct text."""
    if "labels" not in points.schema.names:
        return points
    coded: list[Any] = [points[name].combine_chunks() for name in ("metric", "labels")]
    coded = [column if pa.types.is_dictionary(column.type) else column.dictionary_encode() for column in coded]
    metrics, labels = (column.dictionary.to_pylist() for column in coded)
    if any(labels):
        width = len(labels)
        pair = coded[0].indices.to_numpy(zero_copy_only=False).astype("int64") * width
        pair += coded[1].indices.to_numpy(zero_copy_only=False)
        pairs = pa.array(pair).dictionary_encode()
        texts = [_text(metrics[code // width], labels[code % width]) for code in pairs.dictionary.to_pylist()]
        place = points.schema.get_field_index("metric")
        points = points.set_column(place, "metric", pa.array(texts, pa.string()).take(pairs.indices))
    return points.drop_columns(["labels"])
