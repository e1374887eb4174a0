"""The guard before applications of others: callers who leave are one line, whatever the application makes of them."""

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.http.cross_site import SiteRules
from serving.http.cross_site_guard import SiteGuard


async def reads_all(request: Request) -> Response:
    """Read the body, and let the caller's leaving out, as Dagster's GraphQL does."""
    return Response(await request.body())


def guarded() -> SiteGuard:
    return SiteGuard(Starlette(routes=[Route("/graphql", reads_all, methods=["POST"])]), SiteRules(()))


def called(app: SiteGuard, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what is sent to a caller of whom these messages come."""
    headers = [(b"host", b"127.0.0.1:3000"), (b"content-type", b"application/json")]
    base = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b"", "headers": headers}
    coming, sent = iter(messages), []

    async def receive() -> dict[str, Any]:
        return next(coming)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(base, receive, send))
    return sent


def test_callers_who_leave_while_they_send_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    app = guarded()
    begun = {"type": "http.request", "body": b'{"query', "more_body": True}
    for _ in range(20):
        called(app, [begun, {"type": "http.disconnect"}])
    assert [record.getMessage() for record in caplog.records] == ["POST '/graphql': the caller left before it was answered"]
    assert not caplog.records[0].exc_info
    whole = called(app, [begun, {"type": "http.request", "body": b'": 1}', "more_body": False}])
    assert whole[0]["status"] == 200, "the control: who stays is answered"
