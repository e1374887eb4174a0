"""The page of the metrics that the processes export to Prometheus."""

from collections.abc import Iterable
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from data_contracts.series.finding_metrics import FINDING_METRICS
from orchestration.reference.inert import add_automation_api_metrics, add_explore_api_metrics, add_incident_api_metrics
from orchestration.reference.markdown import code, page, table, text
from serving.automation.runner.automation_metrics import AutomationMetrics
from serving.http.answer_metrics import AnswerMetrics
from serving.incidents.desk.desk_metrics import MetricFamilies
from serving.incidents.notify.notify_metrics import NotificationCounts
from serving.ingest.receive.ingest_metrics import IngestMetrics
from serving.ingest.receive.topics.topic_metrics import TopicMetrics
from serving.ingest.receive.writer_metrics import WriterMetrics
from serving.scoring.answers.scoring_metrics import ScoringMetrics
from serving.signal_minutes.signal_metrics import SignalMetrics
from serving.stream.consumer.consumer_metrics import ConsumerMetrics
from serving.stream.consumer.export.export_metrics import ExportMetrics
from serving.stream.ownership.ownership_metrics import OwnershipMetrics

_OPENING: Final = """\
Each process counts for itself and starts at zero; exact totals lie on the broker and in the incident store. A histogram `x`
has the series `x_bucket`, `x_sum` and `x_count`. Labels come from fixed sets, tenants, writers and names of services' routes,
never from telemetry."""
_SECTIONS: Final = (
    ("Consumer", "`http://127.0.0.1:3102/metrics`, port by `AIOPS_CONSUMER__METRICS_PORT`."),
    (
        "Scoring service",
        "`http://127.0.0.1:3100/metrics`, role `viewer`. With several workers the page adds them up. BentoML and Python "
        "add metrics of their own.",
    ),
    ("Responder", "`http://127.0.0.1:3103/metrics`, role `viewer`. A caller sees the series of the tenants of its token."),
    ("Receivers", "`http://127.0.0.1:3104/metrics`, role `viewer`. A caller sees the series of the tenants of its token."),
    ("Series of signals", "`http://127.0.0.1:3106/metrics`, port by `AIOPS_SIGNALS__METRICS_PORT`."),
    ("Plans and runs", "`http://127.0.0.1:3107/metrics`, role `viewer`, port by `AIOPS_AUTOMATION__PORT`."),
    ("Console", "`http://127.0.0.1:3108/metrics`, role `viewer`, port by `AIOPS_CONSOLE__PORT`."),
    ("Data", "`http://127.0.0.1:3109/metrics`, role `viewer`, port by `AIOPS_EXPLORE__PORT`."),
)

_FINDINGS: Final = """\
Gauges about watched series, on the consumer's page `http://127.0.0.1:3102/findings` and by remote write to `AIOPS_EXPORT__URL`:
see [The band in your Grafana](../how-to/grafana.md). Labels are `tenant`, `service`, `metric` and those of the series."""


class Recorded(CollectorRegistry):
    """A registry that knows its collectors in the order in which they came."""

    def __init__(self) -> None:
        super().__init__()
        self.collectors: list[Collector] = []

    def register(self, collector: Collector) -> None:
        """Keep a collector."""
        super().register(collector)
        self.collectors.append(collector)


def registries() -> tuple[Recorded, ...]:
    """Return the metrics of each process, in the order of the sections of the page."""
    return (_consumer(), _scoring(), _responder(), _receivers(), _signals(), _automation(), _console(), _explore())


def metrics_page() -> str:
    """Return the page."""
    parts = [
        part
        for (title, about), registry in zip(_SECTIONS, registries(), strict=True)
        for part in (f"## {title}", about, _table(registry.collectors))
    ]
    rows = [(code(name), text(meaning)) for name, meaning in FINDING_METRICS.items()]
    findings = ("## Findings", _FINDINGS, table(("metric", "meaning"), rows))
    return page("Metrics", _OPENING, *parts, *findings)


def _consumer() -> Recorded:
    registry = Recorded()
    ConsumerMetrics(registry)
    ExportMetrics(registry)
    OwnershipMetrics(registry)
    return registry


def _scoring() -> Recorded:
    registry = Recorded()
    ScoringMetrics(registry)
    return registry


def _responder() -> Recorded:
    registry = Recorded()
    MetricFamilies(registry)
    add_incident_api_metrics(registry)
    registry.register(NotificationCounts(dict))
    return registry


def _receivers() -> Recorded:
    registry = Recorded()
    IngestMetrics(registry)
    TopicMetrics(registry)
    WriterMetrics(registry)
    OwnershipMetrics(registry)
    return registry


def _signals() -> Recorded:
    registry = Recorded()
    SignalMetrics(registry)
    return registry


def _automation() -> Recorded:
    registry = Recorded()
    add_automation_api_metrics(registry)
    AutomationMetrics(registry)
    return registry


def _console() -> Recorded:
    registry = Recorded()
    AnswerMetrics(registry, "aiops_console")
    return registry


def _explore() -> Recorded:
    registry = Recorded()
    add_explore_api_metrics(registry)
    return registry


def _table(collectors: Iterable[Collector]) -> str:
    rows = (_row(family, _labels(collector, family)) for collector in collectors for family in collector.collect())
    return table(("metric", "type", "labels", "meaning"), rows)


def _row(family: Any, labels: Iterable[str]) -> tuple[str, str, str, str]:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return code(name), family.type, ", ".join(map(code, labels)), text(family.documentation)


def _labels(collector: Collector, family: Any) -> tuple[str, ...]:
    """Return the names of labels; the client library publishes them only with a first value, which nothing has here."""
    names: tuple[str, ...] = getattr(collector, "_labelnames", ()) or getattr(family, "_labelnames", ())
    return names
