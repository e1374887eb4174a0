"""Opens, shows and ends the session of a browser."""

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from serving.console.console_request import is_https, is_local, token_of
from serving.console.sessions import Sessions, SessionView
from serving.http.content import JSON, content_type, limited
from serving.http.problem import refused

_ENCODER: Final = msgspec.json.Encoder()
_MOST_BYTES: Final = 16_384
_BODY_S: Final = 20.0


class _Login(msgspec.Struct, forbid_unknown_fields=True):
    token: str


class SessionRoutes:
    """`/session`. A login that another site makes is kept out by the gate: by Origin, and by what browsers say of it."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def shown(self, request: Request) -> Response:
        """Whose session it is, and the sign with which its changes are sent."""
        return _answer(self._sessions.opened(token_of(request), is_local(request)))

    async def opened(self, request: Request) -> Response:
        """The token is checked, and kept by the browser in a cookie that no script reads."""
        content_type(request, (JSON,))
        body = await Request(request.scope, limited(request, _MOST_BYTES, _BODY_S)).body()
        try:
            token = msgspec.json.decode(body, type=_Login).token.strip()
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise refused("body", "", "must be a JSON object with the text token", 'send {"token": "…"}') from error
        view = self._sessions.opened(token, is_local(request))
        answer = _answer(view)
        if view.expires_at is not None:
            answer.headers["set-cookie"] = self._sessions.cookie(token, view.expires_at, is_https(request))
        return answer

    async def ended(self, request: Request) -> Response:
        """The browser forgets the token, which holds on elsewhere until it ends or is revoked."""
        return Response(status_code=204, headers={"set-cookie": self._sessions.ended_cookie(is_https(request))})


def _answer(view: SessionView) -> Response:
    return Response(_ENCODER.encode(view), media_type=JSON)
