"""Metrics of the export of findings."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class ExportMetrics:
    """What became of points of watched series, and how many series are exported."""

    def __init__(self, registry: CollectorRegistry) -> None:
        meaning = "Points of watched series for remote write, by what became of them"
        self.samples = Counter("aiops_export_samples_total", meaning, ["outcome"], registry=registry)
        meaning = "Watched series that are exported, or left out for want of room"
        self.series = Gauge("aiops_export_series", meaning, ["state"], registry=registry)
