"""One page for people on call, without anything from elsewhere: open incidents with cause, evidence and buttons.

Its script and style are allowed by their hashes, nothing else is; what it shows comes from the API with the reader's own token.
"""

import hashlib
import re
from base64 import b64encode
from importlib.resources import files
from typing import Final

from starlette.responses import Response

from serving.http.operations import Operation

_INLINE: Final = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


class OnCallPage:
    """The page; it says nothing by itself, so that everybody may load it."""

    def __init__(self) -> None:
        self._html = files("serving.api").joinpath("page.html").read_text(encoding="utf-8")
        self._headers = {"content-security-policy": policy(self._html)}

    def operations(self) -> tuple[Operation, ...]:
        """Return the routes."""
        return (Operation("GET", "/", self.shown, None, "A page of open incidents for people on call", media="text/html"),)

    async def shown(self) -> Response:
        """Without a key it works as it is; with one it asks for a token, which it keeps for the browser's session."""
        return Response(self._html, media_type="text/html", headers=self._headers)


def policy(html: str) -> str:
    """Return the content security policy that lets a page's own script and style run, and it talk to this service only."""
    hashes = {kind: b64encode(hashlib.sha256(text.encode()).digest()).decode() for kind, text in _INLINE.findall(html)}
    allowed = "; ".join(f"{kind}-src 'sha256-{digest}'" for kind, digest in sorted(hashes.items()))
    shut = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return f"default-src 'none'; {allowed}; connect-src 'self'; img-src blob:; {shut}"
