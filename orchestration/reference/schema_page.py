"""The page of tables: every Arrow schema of `data_contracts`, column by column."""

import ast
import importlib
import inspect
import math
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Final

import pyarrow as pa

import data_contracts
from data_contracts.schemas.feature_views import FEATURE_SERVICES, VIEWS, describe
from data_contracts.schemas.metrics import CATALOGUE, MetricSpec
from data_contracts.schemas.telemetry_schemas import KINDS, REJECT_REASONS, TEMPORALITIES, TIMESTAMP
from data_contracts.schemas.wire_schemas import ROLES
from orchestration.reference.markdown import code, items, link, page, sentences, slug, table, text

_OPENING: Final = """\
Every table that crosses a process or a disk has one schema. Its version is in the schema's metadata; older versions that are
still read are named below. Times are UTC. A column that may be null says what null means; NaN in a feature is "unknown"."""
_KNOWN: Final = """\
What the suite knows of a metric by its name. Another name may have any finite value; its golden signal is guessed from the words
of the name."""
_PLAIN: Final = {
    "timestamp": "event time",
    "service": "name of the service",
    "metric": "name of the metric",
    "labels": "labels of the series",
    "value": "the measured value",
    "series_id": "id of the series",
    "expected": "expected value",
    "lower": "lower bound",
    "upper": "upper bound",
    "score": "how anomalous; null = unknown",
    "anomalous": "whether the score reached the threshold",
    "reason": "in words",
    "model": "registered name of the model",
    "model_version": "version that answered",
    "request_id": "id of the request that was answered",
    "caller": "the service that calls",
    "callee": "the service that is called",
    "kind": "kind, a word",
    "source": "name of the source that delivered the row",
    "field": "name of the field that breaks the contract",
    "rejected_at": "wall clock",
    "redriven_at": "wall clock",
    "reject_id": "id of the rejected row",
    "incident_id": "id of the incident",
    "detection_id": "id of the detection",
    "deployment_id": "id of the deployment",
    "check_id": "id of the check",
    "at": "when it was done",
    "starts_at": "when it begins",
    "ends_at": "when it ends",
    "deployed_at": "when the version took over",
    "given_at": "when the verdict was given",
    "served_at": "when it was answered",
    "drifted": "whether it is called drift",
    "rows": "how many rows",
}
_LISTS: Final = {"ROLES": ROLES, "REJECT_REASONS": REJECT_REASONS, "TEMPORALITIES": TEMPORALITIES, "KINDS": KINDS}
_KINDS: Final = {
    "timestamp[us, tz=UTC]": "timestamp, µs, UTC",
    "dictionary<values=string, indices=int32, ordered=0>": "string, coded",
}


@dataclass(frozen=True, slots=True)
class Table:
    """A schema with what its source says of it."""

    schema: pa.Schema
    about: str

    @property
    def name(self) -> str:
        """Return the name that the schema carries."""
        return _metadata(self.schema.metadata)["name"]

    @property
    def version(self) -> str:
        """Return the version that the schema carries."""
        return _metadata(self.schema.metadata)["version"]


def schemas_page() -> str:
    """Return the page."""
    tables = list(_tables())
    contents = items(
        f"{link(code(contract.name), f'#{slug(contract.name)}')} (version {contract.version})" for contract in tables
    )
    sections = (
        part
        for contract in tables
        for part in (f"## {contract.name}", sentences(f"Version {contract.version}", contract.about), _columns(contract.schema))
    )
    return page("Schemas", _OPENING, contents, *sections, *_views(), *_metrics())


def _tables() -> Iterator[Table]:
    """Yield each schema of `data_contracts` once, in the order of modules and of their lines."""
    seen: set[str] = set()
    for module in _modules():
        for name, about in _constants(module):
            schema = getattr(module, name, None)
            if isinstance(schema, pa.Schema) and b"version" in (schema.metadata or {}):
                contract = Table(schema, about)
                if contract.name not in seen:
                    seen.add(contract.name)
                    yield contract


def _modules() -> Iterator[ModuleType]:
    walked = pkgutil.walk_packages(data_contracts.__path__, "data_contracts.")
    names = sorted((info.name for info in walked), key=lambda name: (not name.endswith(".schemas"), name))
    yield from map(importlib.import_module, names)


def _constants(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Yield the names that a module assigns, each with the string that follows it."""
    body = ast.parse(inspect.getsource(module)).body
    for statement, following in zip(body, [*body[1:], ast.Pass()], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            docstring = following.value if isinstance(following, ast.Expr) else None
            about = docstring.value if isinstance(docstring, ast.Constant) and isinstance(docstring.value, str) else ""
            yield statement.target.id, text(inspect.cleandoc(about))


def _columns(schema: pa.Schema) -> str:
    return table(("column", "type", "null", "unit or range", "meaning"), (_column(field) for field in schema))


def _column(field: "pa.Field[pa.DataType]") -> tuple[str, str, str, str, str]:
    metadata = _metadata(field.metadata)
    kind = _KINDS.get(str(field.type), str(field.type))
    limits = [metadata[name] for name in ("unit", "range") if name in metadata and field.type != TIMESTAMP]
    limits += [f"at most {metadata['max_bytes']} bytes"] if "max_bytes" in metadata else []
    return (
        code(field.name),
        text(kind),
        "yes" if field.nullable else "",
        ", ".join(dict.fromkeys(limits)),
        _meaning(field.name, metadata),
    )


def _meaning(name: str, metadata: dict[str, str]) -> str:
    """Return what a column means; KeyError where neither its schema nor the lists here say it."""
    if "meaning" in metadata:
        return _listed(metadata["meaning"])
    return _PLAIN[name] if name in _PLAIN else describe(name)


def _listed(meaning: str) -> str:
    """Return a meaning with the words that a constant holds in place of its name."""
    for name, words in _LISTS.items():
        meaning = re.sub(rf"\b{name}\b", ", ".join(words), meaning)
    return text(meaning)


def _metadata(metadata: dict[bytes, bytes] | None) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in (metadata or {}).items()}


def _views() -> Iterator[str]:
    yield "## Feature views"
    yield "What Feast serves of these tables. Online, a row older than its time to live is unknown."
    rows = ((code(v.name), code(v.entity), code(v.table_name), f"{v.ttl_s / 3600:g} h", text(v.description)) for v in VIEWS)
    yield table(("view", "entity", "table", "time to live", "what it holds"), rows)
    yield "## Feature services"
    services = ((code(s.name), ", ".join(map(code, s.views)), text(s.description)) for s in FEATURE_SERVICES)
    yield table(("service", "views", "question"), services)


def _metrics() -> Iterator[str]:
    yield "## Known metrics"
    yield _KNOWN
    rows = ((code(spec.name), spec.unit, spec.signal, _range(spec), _number(spec.limit)) for spec in CATALOGUE.values())
    yield table(("metric", "unit", "golden signal", "range", "limit"), rows)


def _range(spec: MetricSpec) -> str:
    return f"{_number(spec.low)} to {_number(spec.high)}" if math.isfinite(spec.high) else f"≥ {_number(spec.low)}"


def _number(value: float) -> str:
    return f"{value:g}" if math.isfinite(value) else ""
