"""Routes by which alerts of other systems come in. They are on disk, in the store's inbox, before the answer is sent."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from fastapi import Request
from prometheus_client import CollectorRegistry, Counter
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from aiops.errors import DiskFull, Unavailable
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.http.auth import Authenticator, Role
from serving.http.content import JSON
from serving.http.guarded_route import By
from serving.http.loopback import is_local_peer
from serving.http.operations import Operation, answer
from serving.http.problem import not_found
from serving.http.request_tenant import FIELD as TENANT_FIELD
from serving.http.request_tenant import TenantScope, tenant_of_request
from serving.http.signature import SIGNATURE_HEADER, TIMESTAMP_HEADER
from serving.incidents.api.ports import TenantParts
from serving.incidents.api.request_fields import Name, TenantName
from serving.incidents.api.tenant_parts import parts_of
from serving.incidents.intake import alert_webhook, alertmanager
from serving.incidents.intake.alert_sources import AlertSource, AlertSources
from serving.incidents.intake.alert_webhook import SignedBody
from serving.incidents.intake.received_alerts import Received, RefusedAlert

AT_ONCE: Final = 8
"""Requests that are read and written at once; more wait, so that a database that hangs leaves threads for those who look."""
WAIT_S: Final = 10.0
"""How long a request may wait for its place; senders try again."""

_SIGNED: Final = "operator, or a signature where the source has a secret"
_ALERTMANAGER_BODY: Final[dict[str, Any]] = {
    "required": True,
    "description": "Alertmanager's webhook payload, version 4.",
    "content": {
        JSON: {
            "schema": {
                "type": "object",
                "required": ["version", "alerts"],
                "properties": {
                    "version": {"const": "4", "description": "version of the payload"},
                    "alerts": {
                        "type": "array",
                        "items": {"type": "object"},
                        "description": "the alerts, as Alertmanager sends them",
                    },
                },
            }
        }
    },
}
_ANY_BODY: Final[dict[str, Any]] = {
    "required": True,
    "description": f"JSON as the source's mapping says. With a secret: {TIMESTAMP_HEADER} and {SIGNATURE_HEADER} sign it.",
    "content": {JSON: {"schema": {}}},
}


@dataclass(frozen=True, slots=True)
class AlertsTaken:
    """`accepted` alerts are stored, `known` of them were before; `refused` ones with the reason; `truncated` were left out."""

    accepted: int
    """alerts of the request that are stored"""
    known: int
    """those of them that were stored before"""
    refused: tuple[RefusedAlert, ...]
    """alerts that were refused, with the reason"""
    truncated: int
    """alerts that the sender, or the limit of a request, left out"""


class AlertRoutes:
    """Puts alerts into the inbox of their tenant, from which its desk takes them."""

    def __init__(self, sources: AlertSources, clock: Callable[[], datetime], registry: CollectorRegistry) -> None:
        self._sources = sources
        self._clock = clock
        self._places = asyncio.Semaphore(AT_ONCE)
        self._alerts = Counter("aiops_alerts_in", "Alerts that came in", ["tenant", "source", "fate"], registry=registry)

    def operations(self) -> tuple[Operation, ...]:
        """Return the routes."""
        first, any_other = "Alerts of Prometheus' Alertmanager", "Alerts of any system, by the mapping of its source"
        alertmanager_route = Operation(
            "POST", "/alerts/alertmanager", self.from_alertmanager, Role.OPERATOR, first, AlertsTaken, status=202
        )
        webhook_route = Operation(
            "POST", "/alerts/webhook/{name}", self.from_webhook, None, any_other, AlertsTaken, (401, 404), status=202
        )
        return replace(alertmanager_route, body=_ALERTMANAGER_BODY), replace(webhook_route, body=_ANY_BODY, role_text=_SIGNED)

    async def from_alertmanager(self, request: Request, by: By, tenant: TenantName = "") -> Response:
        """One bad alert does not cost the others; the same delivery again doubles nothing."""
        parts = await parts_of(request, _tenant_of(request, tenant, by.tenants))
        body = await request.body()
        async with self._place():
            return await run_in_threadpool(self._of_alertmanager, parts, body)

    async def from_webhook(self, request: Request, name: Name, tenant: TenantName = "") -> Response:
        """Sources are set up by responder.alert_sources; a signed request needs no token and is of its source's tenant."""
        source = self._sources.sources.get(name)
        if source is not None and source.signed:
            scope = TenantScope(frozenset({source.tenant}))
        else:
            auth: Authenticator = request.app.state.auth
            local = is_local_peer(request.scope.get("client"))
            scope = auth.check(request.headers.get("authorization"), Role.OPERATOR, local).tenants
        if source is None:
            raise not_found("name", name, "set it up in responder.alert_sources")
        whose = _tenant_of(request, tenant, scope, source.tenant)
        timestamp, signature = request.headers.get(TIMESTAMP_HEADER), request.headers.get(SIGNATURE_HEADER)
        sent = SignedBody(await request.body(), timestamp, signature)
        async with self._place():
            received, at = await run_in_threadpool(self._of_webhook, name, source, sent)
            parts = await parts_of(request, whose)
            return await run_in_threadpool(self._kept, parts, name, received, at)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """Hold one of the places.

        Raises:
            Unavailable: none became free in time.
        """
        try:
            await asyncio.wait_for(self._places.acquire(), WAIT_S)
        except TimeoutError as error:
            raise Unavailable(
                f"alerts in: {AT_ONCE} requests wait for the incident store already; send it again, or check the database"
            ) from error
        try:
            yield
        finally:
            self._places.release()

    def _of_alertmanager(self, parts: TenantParts, body: bytes) -> Response:
        now = self._clock()
        labels = self._sources.alertmanager.service_labels
        return self._kept(parts, alertmanager.SOURCE, alertmanager.alerts_of(body, now, labels), now)

    def _of_webhook(self, name: str, source: AlertSource, sent: SignedBody) -> tuple[Received, datetime]:
        at = alert_webhook.signed_at(source, sent, self._clock())
        return alert_webhook.alerts_of(name, source, sent.body, at), at

    def _kept(self, parts: TenantParts, source: str, received: Received, at: datetime) -> Response:
        new = 0
        if received.alerts:
            try:
                new = _added(parts, received, at)
            except DiskFull:  # the store goes on in memory from now on
                new = _added(parts, received, at)
        accepted, refused = len(received.alerts), len(received.refused)
        self._alerts.labels(parts.tenant, source, "accepted").inc(accepted)
        self._alerts.labels(parts.tenant, source, "refused").inc(refused)
        self._alerts.labels(parts.tenant, source, "truncated").inc(received.truncated)
        return answer(AlertsTaken(accepted, accepted - new, received.refused, received.truncated), 202)


def _added(parts: TenantParts, received: Received, at: datetime) -> int:
    with parts.store.writing() as writer:
        return writer.inbox_add(received.alerts, at)


def _tenant_of(request: Request, named: str, scope: TenantScope, default: str = DEFAULT_TENANT) -> str:
    """Return whose alerts a request brings: as its header or its query names, else the `default` tenant.

    Raises:
        ProblemError: 400, it names none, or several; 403, the sender may not send alerts of this tenant.
    """
    tenants = dict.fromkeys([*request.headers.getlist(TENANT_FIELD), *([named] if named else [])])
    return tenant_of_request(list(tenants) or [default], scope)
