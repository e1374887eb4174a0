"""Routes of silences and maintenance windows: what nobody is to hear about."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, TypeVar

from pydantic import Field
from starlette.responses import Response

from aiops.errors import ConfigurationError
from aiops.incidents.correlation.suppression import MaintenanceWindow, Matcher, Silence
from serving.http.auth import Caller, Role
from serving.http.guarded_route import By
from serving.http.operations import Operation, answer
from serving.http.problem import not_found, refused
from serving.incidents.api.ports import TenantParts
from serving.incidents.api.request_fields import PLAIN, Moment, Name, Sent
from serving.incidents.api.tenant_parts import Parts

MOST_MATCHERS: Final = 20
_YEAR_S: Final = 366 * 86_400.0
Rule = TypeVar("Rule", Silence, MaintenanceWindow)


class MatcherBody(Sent):
    """A condition on one label: service, alertname, severity, source or any that alerts carry; ~ = whole match (RE2)."""

    label: str = Field(min_length=1, max_length=200, pattern=PLAIN, examples=["service"])
    """name of the label: service, alertname, severity, source or any that alerts carry"""
    operator: Literal["=", "!=", "=~", "!~"] = "="
    """equal, not equal, or a whole match of an expression (RE2), and not"""
    value: str = Field(max_length=500, pattern=PLAIN, examples=["cart"])
    """the text or the expression; a missing label is empty"""


class SilenceBody(Sent):
    """Alerts that fulfil all matchers are suppressed until `ends_at`; `starts_at` null = from now on."""

    name: str = Field(min_length=1, max_length=200, pattern=PLAIN, examples=["deploy-freeze"])
    """its name; one of the same name is replaced"""
    matchers: list[MatcherBody] = Field(min_length=1, max_length=MOST_MATCHERS)
    """conditions that an alert fulfils all"""
    starts_at: Moment | None = None
    """when it begins; null = now"""
    ends_at: Moment
    """when it ends (exclusive)"""


class MaintenanceBody(SilenceBody):
    """Planned work; again every `every_s` seconds (UTC) until `until`, null = once, and without end."""

    every_s: float | None = Field(None, gt=0, le=_YEAR_S, examples=[604_800])
    """period in seconds after which it comes again; null = once"""
    until: Moment | None = None
    """no repetition begins from then on; null = without end"""


@dataclass(frozen=True, slots=True)
class SilenceList:
    """All silences by name, past ones too."""

    items: tuple[Silence, ...]
    """the silences, by name"""


@dataclass(frozen=True, slots=True)
class MaintenanceView:
    """A maintenance window; `every_s` null = once."""

    name: str
    """its name"""
    matchers: tuple[Matcher, ...]
    """conditions that an alert fulfils all"""
    starts_at: datetime
    """when it first begins"""
    ends_at: datetime
    """when it first ends (exclusive)"""
    every_s: float | None
    """period in seconds after which it comes again; null = once"""
    until: datetime | None
    """no repetition begins from then on; null = without end"""


@dataclass(frozen=True, slots=True)
class MaintenanceList:
    """All maintenance windows by name, past ones too."""

    items: tuple[MaintenanceView, ...]
    """the windows, by name"""


class SilenceRoutes:
    """Silences and maintenance windows of a tenant; its desk puts them in force."""

    def operations(self) -> tuple[Operation, ...]:
        """Return the routes."""
        work, quiet = "/maintenance", "/silences"
        see, rule = Role.VIEWER, Role.ADMIN
        return (
            Operation("GET", quiet, self.silences, see, "All silences", SilenceList),
            Operation(
                "POST", quiet, self.silenced, rule, "Silence alerts; one of the same name is replaced", Silence, status=201
            ),
            Operation("DELETE", quiet + "/{name:path}", self.unsilenced, rule, "End a silence", problems=(404,), status=204),
            Operation("GET", work, self.windows, see, "All maintenance windows", MaintenanceList),
            Operation("POST", work, self.announced, rule, "Announce work; replaces its name", MaintenanceView, status=201),
            Operation("DELETE", work + "/{name:path}", self.recalled, rule, "Recall announced work", problems=(404,), status=204),
        )

    def silences(self, parts: Parts) -> Response:
        """Those that are over stay listed until retention drops them."""
        return answer(SilenceList(parts.store.silences()))

    def windows(self, parts: Parts) -> Response:
        """Those that are over stay listed until retention drops them."""
        return answer(MaintenanceList(tuple(_view(window) for window in parts.store.maintenance_windows())))

    def silenced(self, parts: Parts, by: By, body: SilenceBody) -> Response:
        """Incidents that are open stay; alerts that come from now on are kept, but suppressed."""
        now = parts.now()
        rule = _rule(lambda starts_at: Silence(body.name, _matchers(body), starts_at, body.ends_at), body, now)
        parts.desk.silence(rule, now, by.subject)
        return answer(rule, 201)

    def announced(self, parts: Parts, by: By, body: MaintenanceBody) -> Response:
        """Incidents that are open stay; alerts in its time are kept, but suppressed."""
        every = None if body.every_s is None else timedelta(seconds=body.every_s)
        now = parts.now()
        if body.until is not None and body.until <= (body.starts_at or now):
            raise refused("until", body.until.isoformat(), "must be after starts_at", "give a later time, or none")
        window = _rule(
            lambda starts_at: MaintenanceWindow(body.name, _matchers(body), starts_at, body.ends_at, every, body.until), body, now
        )
        parts.desk.silence(window, now, by.subject)
        return answer(_view(window), 201)

    def unsilenced(self, parts: Parts, name: Name, by: By) -> Response:
        """Alerts that it hid are not raised again by themselves."""
        return self._dropped(parts, "silence", name, by)

    def recalled(self, parts: Parts, name: Name, by: By) -> Response:
        """Alerts that it hid are not raised again by themselves."""
        return self._dropped(parts, "maintenance", name, by)

    def _dropped(self, parts: TenantParts, kind: str, name: str, by: Caller) -> Response:
        with parts.store.writing() as writer:
            there = writer.remove_silence(name) if kind == "silence" else writer.remove_window(name)
            if there:
                writer.audit(parts.now(), by.subject, f"{kind} removed", name, {})
        if not there:
            raise not_found("name", name, "list them with GET")
        return Response(status_code=204)


def _matchers(body: SilenceBody) -> tuple[Matcher, ...]:
    try:
        return tuple(Matcher(matcher.label, matcher.operator, matcher.value) for matcher in body.matchers)
    except ConfigurationError as error:
        raise refused("matchers", "", str(error), "mend the expression, or use =") from error


def _rule(make: Callable[[datetime], Rule], body: SilenceBody, now: datetime) -> Rule:
    starts_at = body.starts_at or now
    if body.ends_at <= starts_at:
        raise refused(
            "ends_at", body.ends_at.isoformat(), f"must be after starts_at = {starts_at.isoformat()}", "give a later end"
        )
    try:
        return make(starts_at)
    except ConfigurationError as error:
        raise refused("every_s", getattr(body, "every_s", ""), str(error), "give a longer period") from error


def _view(window: MaintenanceWindow) -> MaintenanceView:
    every_s = None if window.every is None else window.every.total_seconds()
    return MaintenanceView(window.name, window.matchers, window.starts_at, window.ends_at, every_s, window.until)
