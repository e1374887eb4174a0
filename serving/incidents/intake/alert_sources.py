"""The mapping file: where a webhook of any JSON layout has what (TOML, `responder.alert_sources`).

    [alertmanager]
    service_labels = ["service", "job"]

    [sources.shop]                            # POST /alerts/webhook/shop
    secret = "…"                              # HMAC-SHA256; without one: callers of this machine, or with an operator's token
    tenant = "acme"                           # whose alerts these are; left out = default
    alerts = "events"                         # where the list of alerts is; left out = the body is the list, or the one alert
    service = ["tags.service", "host"]        # the first path that leads to a text counts
    name = 'check."display.name"'             # a key with dots stands in quotes
    status = "state"                          # one of `resolved` = it is over
    identity = "id"                           # the same when an alert begins and when it ends; left out = its labels
    starts_at = "$.sent_at"                   # $. = from the body, not from the alert
    labels = "tags"                           # an object, or a table of label = path
    severity = "colour"
    severity_words = { yellow = "warning", red = "critical" }
    defaults = { severity = "warning" }

A path that leads nowhere is an absent field.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from aiops.errors import ConfigurationError
from aiops.incidents.alert import Severity
from data_contracts.series.tenant import DEFAULT_TENANT, checked_tenant
from serving.incidents.intake.alertmanager import SERVICE_LABELS

RESOLVED_WORDS: Final = ("resolved", "ok", "closed", "recovered", "recovery", "normal", "inactive")
_SECRET_CHARACTERS: Final = 16
_STEP: Final = re.compile(r'"([^"]+)"|([^."\s]+)')

Steps = tuple[str, ...]
"""A path, key by key; a leading "$" = from the body."""


def steps_of(path: object) -> Steps:
    """Return the keys of a path.

    >>> steps_of('labels."app.kubernetes.io/name"'), steps_of("events.0.host")
    (('labels', 'app.kubernetes.io/name'), ('events', '0', 'host'))

    Raises:
        ValueError: it cannot be read.
    """
    if not isinstance(path, str):
        raise ValueError("a path must be a text such as labels.service")
    steps: list[str] = []
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            break
        steps.append(match.group(1) or match.group(2))
        at = match.end()
        if at < len(path) and path[at] == ".":
            at += 1
            if at == len(path):
                break
        elif at < len(path):
            break
    else:
        return tuple(steps)
    raise ValueError(f"the path {path!r} cannot be read; write keys with dots between them, and keys with dots in quotes")


def _paths(value: object) -> object:
    return tuple(steps_of(path) for path in (value if isinstance(value, list | tuple) else (value,)))


def _labels(value: object) -> object:
    return {name: steps_of(path) for name, path in value.items()} if isinstance(value, Mapping) else steps_of(value)


def _words(value: object) -> object:
    if not isinstance(value, Mapping):
        raise ValueError("must be a table of word = severity")
    return {str(word).strip().lower(): _severity(severity) for word, severity in value.items()}


def _severity(value: object) -> Severity:
    names = {severity.name.lower(): severity for severity in Severity}
    if not isinstance(value, str) or value.lower() not in names:
        raise ValueError(f"{value!r} is none of {', '.join(names)}")
    return names[value.lower()]


Paths = Annotated[tuple[Steps, ...], BeforeValidator(_paths)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AlertDefaults(_Table):
    """What counts where an alert does not say it; a service of "" is needed from the alert."""

    service: str = ""
    name: str = ""
    severity: Annotated[Severity, BeforeValidator(_severity)] = Severity.WARNING


class AlertSource(_Table):
    """Where a webhook has what."""

    secret: SecretStr | None = Field(None, min_length=_SECRET_CHARACTERS)
    tenant: Annotated[str, AfterValidator(checked_tenant)] = DEFAULT_TENANT
    alerts: Annotated[Steps, BeforeValidator(steps_of)] = ()
    service: Paths = ()
    name: Paths = ()
    severity: Paths = ()
    status: Paths = ()
    identity: Paths = ()
    resolved: tuple[str, ...] = RESOLVED_WORDS
    starts_at: Paths = ()
    ends_at: Paths = ()
    value: Paths = ()
    labels: Annotated[Steps | dict[str, Steps], BeforeValidator(_labels)] = ()
    stable: tuple[str, ...] = Field((), description="labels that distinguish alerts; none = all that do not only say where")
    severity_words: Annotated[dict[str, Severity], BeforeValidator(_words)] = {}
    defaults: AlertDefaults = AlertDefaults()

    @property
    def signed(self) -> bool:
        """Return whether requests must be signed; others need a token, or come from this machine."""
        return self.secret is not None


class AlertmanagerSource(_Table):
    """How Alertmanager's webhooks are read."""

    service_labels: tuple[str, ...] = Field(SERVICE_LABELS, min_length=1)


class AlertSources(_Table):
    """All of the mapping file."""

    alertmanager: AlertmanagerSource = AlertmanagerSource()
    sources: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")], AlertSource] = {}


def read_alert_sources(path: Path | None) -> AlertSources:
    """Read the mapping file; None = no webhooks but Alertmanager's.

    Raises:
        ConfigurationError: it cannot be read, or says something that cannot be used; secrets are not repeated.
    """
    if path is None:
        return AlertSources()
    try:
        document: Any = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"responder.alert_sources={str(path)!r} cannot be read: {error}; give a TOML file") from error
    try:
        sources = AlertSources.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise ConfigurationError(f"responder.alert_sources={str(path)!r}: {place}: {first['msg']}{more}; change it") from error
    for name, source in sources.sources.items():
        _check(path, name, source)
    return sources


def _check(path: Path, name: str, source: AlertSource) -> None:
    for field, paths, default in (
        ("service", source.service, source.defaults.service),
        ("name", source.name, source.defaults.name),
    ):
        if not paths and not default:
            raise ConfigurationError(
                f"responder.alert_sources={str(path)!r}: sources.{name}.{field} is missing; give a path, or defaults.{field}"
            )
