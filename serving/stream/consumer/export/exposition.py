"""Exported series as a page of Prometheus' text format: the newest point of each, with its own time."""

import math
from collections.abc import Iterable, Sequence

from data_contracts.series.finding_metrics import FINDING_METRICS
from serving.stream.consumer.export.export_labels import Label
from serving.stream.consumer.export.exported_series import ExportedSeries


def exposition(series: Iterable[ExportedSeries]) -> bytes:
    """Return the page; what tier 1 says nothing of is left out."""
    shown = [(_label_text(held.labels), held.newest) for held in series if held.newest is not None]
    lines: list[str] = []
    for place, (metric, meaning) in enumerate(FINDING_METRICS.items()):
        lines += [f"# HELP {metric} {meaning}", f"# TYPE {metric} gauge"]
        lines += [
            f"{metric}{labels} {sample.figures[place]!r} {sample.timestamp_ms}"
            for labels, sample in shown
            if math.isfinite(sample.figures[place])
        ]
    return ("\n".join(lines) + "\n").encode()


def _label_text(labels: Sequence[Label]) -> str:
    return "{" + ",".join(f'{label.name}="{_escaped(label.value)}"' for label in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
