"""The pages of the HTTP interfaces, from the OpenAPI documents that the services themselves publish."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from orchestration.reference.inert import automation_api_description, explore_api_description, incident_api_description
from orchestration.reference.json_types import facts, properties, type_of
from orchestration.reference.markdown import code, items, link, page, sentences, slug, table, text
from serving.http.openapi_parts import PROBLEM, REQUEST_ID, TENANT
from serving.http.problem import TITLES
from serving.ingest.receive.ingest_openapi import ingest_api
from serving.scoring.answers.root_cause_answers import ROOT_CAUSE
from serving.scoring.answers.scoring import endpoints
from serving.scoring.answers.season_answers import SEASON
from serving.scoring.http_api.scoring_openapi import openapi as scoring_api

_METHODS: Final = ("get", "post", "delete")
_ROLES: Final = {endpoint.path.strip("/"): endpoint.role.name.lower() for endpoint in (*endpoints(), SEASON, ROOT_CAUSE)}
"""Roles of the calls whose description does not say them."""
_OPENING: Final = """\
Five services answer HTTP with an interface of their own; the consumer answers probes. Each publishes its description as
OpenAPI 3.1 at `/docs.json`, from which these pages are made."""
_PROBES: Final = """\
`http://127.0.0.1:3102` (`AIOPS_CONSUMER__METRICS_PORT`) answers `GET /metrics`, `GET /livez` (503 names loops that stand
still) and `GET /readyz` (503 until its partitions are its own and their state is restored)."""
_PROBLEMS: Final = """\
A refusal is `application/problem+json` (RFC 9457). It says which field is wrong, which value it had, which rule that breaks
and how to mend it."""


@dataclass(frozen=True, slots=True)
class Service:
    """One interface: its page, its address and its OpenAPI document."""

    title: str
    file: str
    about: str
    document: dict[str, Any]


def http_pages() -> dict[str, str]:
    """Return the pages by file name."""
    services = (
        Service(
            "Scoring service", "http-scoring.md", "`http://127.0.0.1:3100`, port by `AIOPS_SERVING__HTTP_PORT`.", scoring_api()
        ),
        Service(
            "Incidents",
            "http-incidents.md",
            "The responder's interface: `http://127.0.0.1:3103`, port by `AIOPS_RESPONDER__PORT`.",
            incident_api_description(),
        ),
        Service(
            "Plans and runs",
            "http-automation.md",
            "Acting on incidents: `http://127.0.0.1:3107`, port by `AIOPS_AUTOMATION__PORT`.",
            automation_api_description(),
        ),
        Service(
            "Data",
            "http-explore.md",
            "The data, read only: `http://127.0.0.1:3109`, port by `AIOPS_EXPLORE__PORT`.",
            explore_api_description(),
        ),
        Service("Receivers", "http-receivers.md", "`http://127.0.0.1:3104`, port by `AIOPS_INGEST__PORT`.", ingest_api()),
    )
    return {"http.md": _overview(services), **{service.file: _page(service) for service in services}}


def _overview(services: Iterable[Service]) -> str:
    parts = [part for service in services for part in (f"## {service.title}", service.about, _list(service))]
    headers = table(
        ("header", "meaning"), ((code(header["name"]), text(header["description"])) for header in (TENANT, REQUEST_ID))
    )
    codes = table(("status", "title"), ((str(status), text(title)) for status, title in sorted(TITLES.items())))
    problem = table(("field", "type", "meaning"), properties(PROBLEM, ""))
    common = ["## Headers", headers, "## Refusals", _PROBLEMS, codes, problem, "## Probes of the consumer", _PROBES]
    return page(
        "HTTP",
        _OPENING,
        *parts,
        *common,
        "```{toctree}\n:hidden:\n\nhttp-scoring\nhttp-incidents\nhttp-automation\nhttp-explore\nhttp-receivers\n```",
    )


def _list(service: Service) -> str:
    rows = (
        (link(code(name), f"{service.file}#{slug(name)}"), text(operation["summary"]), _role(operation))
        for name, operation in _operations(service)
    )
    return table(("call", "what it does", "role"), rows)


def _page(service: Service) -> str:
    calls = [part for name, operation in _operations(service) for part in _call(name, operation)]
    bodies = [part for name, schema in sorted(service.document["components"]["schemas"].items()) for part in _body(name, schema)]
    opening = sentences(
        service.about, text(service.document["info"].get("description", "")), f"See {link('HTTP', 'http.md')} for headers"
    )
    return page(service.title, opening, *calls, "## Bodies", *bodies)


def _operations(service: Service) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in service.document["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield f"{method.upper()} {path}", methods[method]


def _role(operation: dict[str, Any]) -> str:
    _, mark, role = operation.get("description", "").rpartition("Role: ")
    if mark:
        return text(role.removesuffix("."))
    return "none" if operation.get("security") == [] else _ROLES.get(operation.get("operationId", ""), "viewer")


def _call(name: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"## {name}"
    role = "" if "Role: " in operation.get("description", "") else f"Role: {_role(operation)}"
    yield sentences(text(operation["summary"]), " ".join(text(operation.get("description", "")).split()), role)
    parameters = operation.get("parameters", ())
    yield table(
        ("parameter", "in", "type", "meaning"), (_parameter(parameter) for parameter in parameters if parameter != REQUEST_ID)
    )
    yield items([*_request(operation), *_answers(operation)])


def _parameter(parameter: dict[str, Any]) -> tuple[str, str, str, str]:
    required = "required" if parameter.get("required") else ""
    notes = ", ".join(part for part in (required, *facts(parameter["schema"])) if part)
    meaning = text(parameter.get("description", ""))
    return code(parameter["name"]), parameter["in"], type_of(parameter["schema"]), f"{meaning} ({notes})" if notes else meaning


def _request(operation: dict[str, Any]) -> Iterator[str]:
    body = operation.get("requestBody")
    if body is not None:
        yield sentences(f"Body: {_content(body)}", text(body.get("description", "")))


def _answers(operation: dict[str, Any]) -> Iterator[str]:
    refused = []
    for status, response in sorted(operation["responses"].items()):
        if "application/problem+json" in response.get("content", {}):
            refused.append(code(status))
        else:
            yield f"{code(status)}: {_content(response) or text(response['description'])}"
    if refused:
        yield f"Refusals: {', '.join(refused)}"


def _content(message: dict[str, Any]) -> str:
    return " or ".join(
        f"{type_of(content['schema'])} as {code(media)}" if content.get("schema") else code(media)
        for media, content in message.get("content", {}).items()
    )


def _body(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}"
    yield " ".join(text(schema.get("description", "")).split())
    if "properties" in schema:
        yield table(("field", "type", "meaning"), properties(schema))
    else:
        yield type_of(schema)
