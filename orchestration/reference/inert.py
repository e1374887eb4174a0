"""The APIs with nothing behind them: enough to ask for descriptions and metrics. Never served."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from prometheus_client import CollectorRegistry

from serving.automation.api.automation_app import create_app as create_automation_app
from serving.automation.api.automation_ports import AutomationApiParts
from serving.explore.explore_app import create_app as create_explore_app
from serving.explore.explore_ports import ExploreParts
from serving.http.auth import Authenticator
from serving.http.openapi import description
from serving.incidents.api.app import create_app
from serving.incidents.api.ports import ApiParts, ApiReadiness
from serving.lake.opening import open_lake


def incident_api_description() -> dict[str, Any]:
    """Return the OpenAPI document of the incident API."""
    return description(create_app(_parts(CollectorRegistry())))


def automation_api_description() -> dict[str, Any]:
    """Return the OpenAPI document of the API of plans and runs."""
    return description(create_automation_app(_automation_parts(CollectorRegistry())))


def explore_api_description() -> dict[str, Any]:
    """Return the OpenAPI document of the API of the data."""
    return description(create_explore_app(_explore_parts(CollectorRegistry())))


def add_explore_api_metrics(registry: CollectorRegistry) -> None:
    """Put the metrics of the API of the data into a registry."""
    create_explore_app(_explore_parts(registry))


def add_automation_api_metrics(registry: CollectorRegistry) -> None:
    """Put the metrics of the API of plans and runs into a registry."""
    create_automation_app(_automation_parts(registry))


def add_incident_api_metrics(registry: CollectorRegistry) -> None:
    """Put the metrics of the incident API into a registry."""
    create_app(_parts(registry))


def _parts(registry: CollectorRegistry) -> ApiParts:
    auth = Authenticator("HS256", None)
    return ApiParts(_nobody, auth, lambda: datetime.now(UTC), registry, lambda: ApiReadiness(False, {}))


def _automation_parts(registry: CollectorRegistry) -> AutomationApiParts:
    return AutomationApiParts(_nobody, Authenticator("HS256", None), registry, lambda: ApiReadiness(False, {}))


def _explore_parts(registry: CollectorRegistry) -> ExploreParts:
    lakes = open_lake(Path("unused"))
    return ExploreParts(lakes, Authenticator("HS256", None), registry, lambda: ApiReadiness(False, {}))


def _nobody(tenant: str) -> NoReturn:
    raise LookupError(f"{tenant}: there is nothing behind this API")
