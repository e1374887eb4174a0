"""Sessions of browsers: the token lies in a cookie that no script can read; what changes something needs a second sign.

The second sign is a keyed digest of the token. A page of another site can make a browser send the cookie at most, never the
header with the digest, which only the console's own page has been told.
Source: OWASP, Cross-Site Request Forgery Prevention (signed double submit).
"""

import hmac
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from serving.http.auth import Authenticator, Caller, Role
from serving.http.problem import Problem, ProblemError, refused

COOKIE: Final = "aiops_session"
CSRF_HEADER: Final = "x-aiops-csrf"
MOST_CHARACTERS: Final = 3800
"""Browsers keep no cookie of more than 4,096 bytes, its name and attributes included."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9_.-]*")
_LAST: Final = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())
_ABOUT: Final = b"aiops-console-csrf\0"


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session as the API answers it; `tenants` None = every one, `expires_at` None = it does not end."""

    subject: str
    role: str
    tenants: tuple[str, ...] | None
    expires_at: datetime | None
    csrf: str


@dataclass(frozen=True, slots=True)
class Sessions:
    """Checks tokens, makes cookies of them. Keeps nothing: a session is its token, and ends with it."""

    auth: Authenticator
    secure: bool = False

    def opened(self, token: str, local: bool) -> SessionView:
        """Return the session of a token; `local` = the caller is on this machine.

        Raises:
            ProblemError: 400 (no token, or too long for a cookie), 401, 403 or 503, as the token's check says.
        """
        if not _TOKEN.fullmatch(token):
            raise refused("token", "", "must be a JSON Web Token", "send it as it was made, without Bearer")
        if len(token) > MOST_CHARACTERS:
            rule = f"at most {MOST_CHARACTERS} characters, for browsers keep no longer cookie"
            raise refused("token", "", rule, "use a token with fewer claims")
        authorization = f"Bearer {token}" if token else None
        caller = self.auth.check(authorization, Role.VIEWER, local)
        return self._view(caller, self.auth.end_of(authorization), token)

    def csrf(self, token: str) -> str:
        """Return the second sign of a token; "" where no key is set."""
        key = self.auth.key
        return "" if key is None else hmac.digest(key.encode(), _ABOUT + token.encode(), "sha256").hex()

    def check_csrf(self, token: str, sent: str) -> None:
        """Check that a change comes from the console's own page.

        Raises:
            ProblemError: 403.
        """
        if not hmac.compare_digest(self.csrf(token).encode(), sent.encode()):
            rule = "must be the csrf of GET /session where a cookie says who calls"
            fix = "load the page again, or send the token in the header authorization"
            detail = f"{CSRF_HEADER}: {rule}. {fix[:1].upper()}{fix[1:]}."
            raise ProblemError(Problem(403, "csrf", detail, CSRF_HEADER, "", rule, fix))

    def cookie(self, token: str, ends_at: datetime | None, https: bool) -> str:
        """Return the header Set-Cookie that opens a session; it lasts as long as its token."""
        left_s = max(0, int(ends_at.timestamp() - time.time())) if ends_at is not None else 0
        return self._set_cookie(token, left_s, https)

    def ended_cookie(self, https: bool) -> str:
        """Return the header Set-Cookie that ends a session."""
        return self._set_cookie("", 0, https)

    def _set_cookie(self, value: str, seconds: int, https: bool) -> str:
        secure = "; Secure" if https or self.secure else ""
        return f"{COOKIE}={value}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Strict{secure}"

    def _view(self, caller: Caller, end_s: int | None, token: str) -> SessionView:
        names = caller.tenants.names
        tenants = None if names is None else tuple(sorted(names))
        ends_at = None if end_s is None else datetime.fromtimestamp(min(end_s, _LAST), UTC)
        return SessionView(caller.subject, caller.role.name.lower(), tenants, ends_at, self.csrf(token))


def cookie_token(header: str) -> str:
    """Return the token in a header Cookie, "" where there is none.

    >>> cookie_token("a=b; aiops_session=abc.d; c=e"), cookie_token("")
    ('abc.d', '')
    """
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return ""
