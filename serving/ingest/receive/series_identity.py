"""What a series is, read once: its service, key, labels as text and role, or the rule that it breaks."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isnan
from typing import Final, NamedTuple

from aiops.normalise.kinds import SampleShape, metadata_names, role_of
from aiops.normalise.service_labels import ServiceName, ServiceRules, matches
from data_contracts.series.finding_metrics import is_finding_metric
from data_contracts.series.key import Labels, SeriesKey, labels_text
from data_contracts.series.text import metric_text
from data_contracts.telemetry.names import Fault, max_bytes, name_fault, shown, text_fault
from serving.ingest.receive.receipts import BAD_NAME, LABEL_TOO_LONG, TOO_MANY_LABELS, reason_of, rule_text
from serving.ingest.receive.slot_kernels import OWN_FINDING
from serving.ingest.receive.tenant_limits import TenantLimits
from serving.ingest.receive.wire.decoded import (
    Description,
    MetricMetadata,
    Pairs,
    SeriesDescription,
    SeriesFault,
    SeriesKind,
)

SCOPE_LABEL: Final = "otel_scope_name"
_RESERVED: Final = frozenset('{}=",')
_MOST_SERVICE: Final = max_bytes("service")
_MOST_FAMILIES: Final = 100_000
_MOST_RESOURCES: Final = 4096
_TYPES: Final = {
    SeriesKind.UNKNOWN: "",
    SeriesKind.COUNTER: "counter",
    SeriesKind.GAUGE: "gauge",
    SeriesKind.HISTOGRAM: "histogram",
    SeriesKind.GAUGE_HISTOGRAM: "gaugehistogram",
    SeriesKind.SUMMARY: "summary",
    SeriesKind.INFO: "info",
    SeriesKind.STATE_SET: "stateset",
    SeriesKind.DELTA: "delta",
    SeriesKind.HISTOGRAM_DELTA: "histogram",
}


class Identity(NamedTuple):
    """A series and its definition; `pair` and `replica` are those of an HA pair, replica "" = of none.

    `named_by`: the label that its service was taken from and that is left out, "" = no single one, None = of a resource.
    """

    key: SeriesKey
    labels: str
    role: str
    why: str
    family: SeriesKey | None
    bound: float | None
    unit: str | None
    pair: str
    replica: str
    named_by: str | None = None


class Unfit(NamedTuple):
    """Why a series is refused: a reason, and series, rule and fix in words."""

    reason: int
    text: str


class _Resource(NamedTuple):
    service: ServiceName
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """`resource_labels` are globs.

    `replica_label` tells the members of an HA pair apart; `cluster_label` names the pair, where it is absent `pair_labels` do.
    """

    services: ServiceRules = field(default_factory=ServiceRules)
    resource_labels: tuple[str, ...] = ()
    replica_label: str = "__replica__"
    cluster_label: str = "cluster"
    pair_labels: tuple[str, ...] = ()


class Families:
    """What metadata requests say of metrics, of one tenant; at most 100,000 families, then nothing new is taken."""

    def __init__(self) -> None:
        self._known: dict[str, MetricMetadata] = {}

    def learn(self, metadata: tuple[MetricMetadata, ...]) -> bool:
        """Keep what is said; return whether a type or unit is new, so that series may have another role.

        Targets that disagree on a family come in one request, in any order: the same one of them counts each time. An unknown
        type takes none away.
        """
        changed = False
        for said in {said.family: said for said in sorted(metadata, key=lambda said: (said.kind, said.unit))}.values():
            before = self._known.get(said.family)
            if before is not None and said.kind == SeriesKind.UNKNOWN:
                continue
            if before is None and len(self._known) >= _MOST_FAMILIES:
                continue
            changed |= before is None or (before.kind, before.unit) != (said.kind, said.unit)
            self._known[said.family] = replace(said, help="")
        return changed

    def of(self, metric: str) -> MetricMetadata | None:
        """Return what is said of a metric, by its own name or its family's."""
        if not self._known:
            return None
        return next((self._known[name] for name in metadata_names(metric) if name in self._known), None)


class SeriesIdentities:
    """Identifies series. About 20 µs each."""

    def __init__(self, rules: IdentityRules) -> None:
        self._rules = rules
        self._resources: dict[tuple[Pairs, bool], _Resource] = {}

    def identify(
        self, tenant: str, series: Description, whole: bool, limits: TenantLimits, families: Families
    ) -> Identity | Unfit:
        """Return what a series of a tenant is; `whole` = its values are whole histograms."""
        if isinstance(series, SeriesFault):
            return Unfit(reason_of(series.rule), f"{shown(series.series)}: {rule_text(series.rule)}")
        if is_finding_metric(series.metric):
            return Unfit(OWN_FINDING, f"{series.metric}: the suite says it itself")
        labels = dict(series.labels)
        replica = labels.pop(self._rules.replica_label, "")
        pair = self._pair(labels) if replica else ""
        if series.resource or series.scope:
            service = self._with_resource(series, labels)
        else:
            service = self._rules.services.of_labels(series.metric, labels)
        labels.pop(service.label, None)
        present = tuple(sorted([label for label in labels.items() if label[1]]))
        key = SeriesKey(tenant, service.service, series.metric, present)
        unfit = _unfit(key, limits)
        named_by = None if series.resource or series.scope else service.label
        defined = unfit or self._defined(key, series, whole, families)
        return defined if isinstance(defined, Unfit) else defined._replace(pair=pair, replica=replica, named_by=named_by)

    def _pair(self, labels: Mapping[str, str]) -> str:
        """Return the name of an HA pair: that of the cluster, else what its other external labels say."""
        cluster = labels.get(self._rules.cluster_label, "")
        if cluster:
            return cluster
        return ",".join(f"{name}={labels[name]}" for name in self._rules.pair_labels if labels.get(name))

    def _with_resource(self, series: SeriesDescription, labels: dict[str, str]) -> ServiceName:
        of_host = matches(self._rules.services.host_metrics, series.metric)
        resource = self._resources.get((series.resource, of_host))
        if resource is None:
            attributes = dict(series.resource)
            service = self._rules.services.of_resource(series.metric, attributes)
            kept = {
                name: text
                for name, text in attributes.items()
                if name != service.label and matches(self._rules.resource_labels, name)
            }
            if len(self._resources) >= _MOST_RESOURCES:
                self._resources.clear()
            resource = self._resources[series.resource, of_host] = _Resource(service, kept)
        for name, text in resource.labels.items():
            labels.setdefault(name, text)
        if series.scope:
            labels.setdefault(SCOPE_LABEL, series.scope)
        return ServiceName(resource.service.service)

    @staticmethod
    def _defined(key: SeriesKey, series: SeriesDescription, whole: bool, families: Families) -> Identity:
        labels = dict(key.labels)
        bound = _bound(labels.get("le"))
        shape = SampleShape(has_le=bound is not None, whole=whole, delta=series.kind == SeriesKind.HISTOGRAM_DELTA)
        said = families.of(key.metric) if series.kind == SeriesKind.UNKNOWN else None
        role = role_of(key.metric, _TYPES[series.kind], _TYPES[said.kind] if said else "", shape)
        family = None
        if role.base:
            labels.pop("le", None) if role.role == "bucket" else None
            family = SeriesKey(key.tenant, key.service, role.base, tuple(sorted(labels.items())))
        unit = series.unit or (said.unit if said else "")
        return Identity(
            key,
            _json_of(key.labels),
            role.role,
            role.why,
            family,
            bound if role.role == "bucket" else None,
            unit or None,
            "",
            "",
        )


def _json_of(labels: Labels) -> str:
    """Return what `labels_text` returns, sooner where nothing is to be escaped."""
    if not labels:
        return ""
    text = ",".join([f'"{name}":"{value}"' for name, value in labels])
    plain = text.isascii() and text.isprintable() and "\\" not in text and text.count('"') == 4 * len(labels)
    return f"{{{text}}}" if plain else labels_text(labels)


def _bound(text: str | None) -> float | None:
    """Return the upper bound that a label `le` says, None where it says none."""
    try:
        bound = float(text) if text else float("nan")
    except ValueError:
        return None
    return None if isnan(bound) else bound


def _unfit(key: SeriesKey, limits: TenantLimits) -> Unfit | None:
    """Return which rule a key breaks: the contract's for names, the tenant's for sizes."""
    names = "".join([name for name, _ in key.labels])
    joined = "".join([key.service, key.metric, names, *[text for _, text in key.labels]])
    at_most = 2 * len(joined) + 4 * len(key.labels) + 2
    """Of metric and labels as text, where every character is escaped."""
    if (
        joined.isascii()
        and joined.isprintable()
        and "|" not in key.service
        and "|" not in key.metric
        and "|" not in names
        and _RESERVED.isdisjoint(names)
        and at_most <= limits.max_label_bytes
        and len(key.labels) <= limits.max_labels
        and 0 < len(key.service) <= _MOST_SERVICE
        and key.metric
    ):
        return None
    whole = metric_text(key.metric, key.labels)
    size = len(whole.encode())
    series = f"{shown(key.service)} {shown(whole, 200)}"
    if len(key.labels) > limits.max_labels:
        return Unfit(
            TOO_MANY_LABELS, f"{series}: it has {len(key.labels)} labels; at most {limits.max_labels} are allowed: drop some"
        )
    if size > limits.max_label_bytes:
        longest = max(key.labels or (("__name__", key.metric),), key=lambda label: len(label[1]))
        rule = f"metric and labels have {size} bytes; at most {limits.max_label_bytes} are allowed: drop or shorten labels"
        return Unfit(LABEL_TOO_LONG, f"{series}: {rule}; the longest is {shown(longest[0])} with {len(longest[1].encode())}")
    fault = _name_fault(key)
    return Unfit(BAD_NAME, f"{series}: {fault.text}") if fault else None


def _name_fault(key: SeriesKey) -> Fault | None:
    fault = name_fault(key.service.encode(), "service") or name_fault(key.metric.encode(), "metric")
    for name, _ in key.labels:
        if fault is not None:
            break
        if not name or not _RESERVED.isdisjoint(name):
            words = f'label key {shown(name)} is empty or contains one of {{}}=",, which are reserved: rename it'
            fault = Fault("labels", words)
        fault = fault or text_fault(name, "labels")
    return fault
