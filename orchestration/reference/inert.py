"""The incident API with nothing behind it: enough to ask for its description and its metrics. It is never served."""

from datetime import UTC, datetime
from typing import Any, NoReturn

from prometheus_client import CollectorRegistry

from serving.http.auth import Authenticator
from serving.http.openapi import description
from serving.incidents.api.app import create_app
from serving.incidents.api.ports import ApiParts, ApiReadiness


def incident_api_description() -> dict[str, Any]:
    """Return the OpenAPI document of the incident API."""
    return description(create_app(_parts(CollectorRegistry())))


def add_incident_api_metrics(registry: CollectorRegistry) -> None:
    """Put the metrics of the incident API into a registry."""
    create_app(_parts(registry))


def _parts(registry: CollectorRegistry) -> ApiParts:
    auth = Authenticator("HS256", None)
    return ApiParts(_nobody, auth, lambda: datetime.now(UTC), registry, lambda: ApiReadiness(False, {}))


def _nobody(tenant: str) -> NoReturn:
    raise LookupError(f"{tenant}: there is nothing behind this API")
