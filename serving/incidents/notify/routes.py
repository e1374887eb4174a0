"""Where a tenant's notifications go: routes of its own (TOML, `responder.notification_routes`), else those of the settings.

[acme]                                    # a tenant; what it leaves out goes nowhere
webhook_url = "https://…"
webhook_secret = "…"
slack_url = "https://…"
pagerduty_key = "…"
escalation_url = "https://…"
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr, TypeAdapter, ValidationError

from aiops.errors import ConfigurationError
from aiops.settings.responder_settings import ResponderSettings
from data_contracts.series.tenant import checked_tenant


class Route(BaseModel):
    """Channels of one tenant: settings of `ResponderSettings` of the same names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    webhook_url: SecretStr | None = None
    webhook_secret: SecretStr | None = None
    slack_url: SecretStr | None = None
    pagerduty_key: SecretStr | None = None
    escalation_url: SecretStr | None = None


_ROUTES: TypeAdapter[dict[str, Route]] = TypeAdapter(dict[Annotated[str, AfterValidator(checked_tenant)], Route])


def read_routes(path: Path | None) -> Mapping[str, Route]:
    """Read the routes of tenants; None = no tenant has its own.

    Raises:
        ConfigurationError: the file cannot be read, or says something that cannot be used; secrets are not repeated.
    """
    if path is None:
        return {}
    named = f"responder.notification_routes={str(path)!r}"
    try:
        document: Any = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{named} cannot be read: {error}; give a TOML file") from error
    try:
        return _ROUTES.validate_python(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{named}: {place}: {first['msg']}; change it") from error


def routed(settings: ResponderSettings, tenant: str) -> ResponderSettings:
    """Return the settings with the channels of a tenant.

    Raises:
        ConfigurationError: the file of routes cannot be used.
    """
    route = read_routes(settings.notification_routes).get(tenant)
    return settings if route is None else settings.model_copy(update={name: getattr(route, name) for name in Route.model_fields})
