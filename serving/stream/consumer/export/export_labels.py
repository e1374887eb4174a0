"""Labels of exported series: tenant, service and metric of the watched series, and its own labels beside them."""

import re
from typing import Final, NamedTuple

from data_contracts.series.key import labels_of
from data_contracts.series.series_name import SeriesName

_RESERVED: Final = frozenset({"__name__", "tenant", "service", "metric"})
_NOT_ALLOWED: Final = re.compile(r"[^a-zA-Z0-9_]")


class Label(NamedTuple):
    """One label of a series."""

    name: str
    value: str


def export_labels(tenant: str, series: SeriesName) -> tuple[Label, ...]:
    """Return the labels of an exported series, ascending by name, without `__name__`.

    A label of the series' own that is called like one of ours has `exported_` before it, as Prometheus does it; characters that
    Prometheus knows not in names of labels become `_`.

    >>> [tuple(label) for label in export_labels("default", SeriesName(1, "cart", "up", '{"metric":"a","k8s.pod":"b"}'))]
    [('exported_metric', 'a'), ('k8s_pod', 'b'), ('metric', 'up'), ('service', 'cart'), ('tenant', 'default')]
    """
    labels = {"tenant": tenant, "service": series.service, "metric": series.metric}
    for name, value in labels_of(series.labels):
        plain = _NOT_ALLOWED.sub("_", name)
        plain = f"_{plain}" if plain[:1].isdigit() else plain
        while plain in labels or plain in _RESERVED:
            plain = f"exported_{plain}"
        labels[plain] = value
    return tuple(Label(name, value) for name, value in sorted(labels.items()))
