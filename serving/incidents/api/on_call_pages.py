"""Pages for people on call, without anything from elsewhere: open incidents with cause, evidence and buttons, and each by itself.

What notifications link to is a page. It says nothing by itself, so it needs no token: where the API needs one, the page asks for
it. Browsers that follow a link to the JSON of an incident are led to its page.
Its script and style are allowed by their hashes, nothing else is; what it shows comes from the API with the reader's own token.
"""

import hashlib
import re
from base64 import b64encode
from importlib.resources import files
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.http.operations import Operation
from serving.incidents.api.request_fields import IncidentId, TenantName

_INCIDENT: Final = re.compile(r"/incidents/([A-Za-z0-9._:-]{1,80})")
_INLINE: Final = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


class OnCallPage:
    """The page; it says nothing by itself, so that everybody may load it."""

    def __init__(self) -> None:
        self._html = files("serving.incidents.api").joinpath("page.html").read_text(encoding="utf-8")
        self._headers = {"content-security-policy": policy(self._html)}

    def operations(self) -> tuple[Operation, ...]:
        """Return the routes."""
        html = "text/html"
        return (
            Operation("GET", "/", self.shown, None, "A page of open incidents for people on call", media=html),
            Operation("GET", "/open/{incident_id}", self.opened, None, "A page of one incident, for people", media=html),
        )

    async def shown(self, tenant: TenantName = "") -> Response:
        """Without a key it works as it is; with one it asks for a token, which it keeps for the browser's session.

        It shows the incidents of `tenant`, by the header that it sends with each call.
        """
        del tenant  # the page's script reads it
        return Response(self._html, media_type="text/html", headers=self._headers)

    async def opened(self, incident_id: IncidentId, tenant: TenantName = "") -> Response:
        """The page asks the API for the incident, with the reader's own token; whether there is one it says then."""
        return await self.shown(tenant)


class BrowsersToPages:
    """ASGI middleware: who opens an incident's JSON in a browser, as links of former releases do, gets its page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Redirect people; pass everything else on."""
        match = _INCIDENT.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        if match is not None and _by_browser(Headers(scope=scope)):
            query = f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""
            await RedirectResponse(f"/open/{match.group(1)}{query}", 303)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _by_browser(headers: Headers) -> bool:
    """Return whether a person opens an address: only browsers ask for HTML before anything else."""
    return headers.get("accept", "").startswith("text/html")


def policy(html: str) -> str:
    """Return the content security policy that lets a page's own script and style run, and it talk to this service only."""
    hashes = {kind: b64encode(hashlib.sha256(text.encode()).digest()).decode() for kind, text in _INLINE.findall(html)}
    allowed = "; ".join(f"{kind}-src 'sha256-{digest}'" for kind, digest in sorted(hashes.items()))
    shut = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return f"default-src 'none'; {allowed}; connect-src 'self'; img-src blob:; {shut}"
