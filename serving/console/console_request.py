"""What the console needs to know of a request: where it comes from, and whose it is."""

from starlette.requests import Request

from serving.console.sessions import cookie_token
from serving.http.loopback import is_local_peer


def is_local(request: Request) -> bool:
    """Return whether the caller is on this machine."""
    return is_local_peer(request.scope.get("client"))


def is_https(request: Request) -> bool:
    """Return whether the browser speaks HTTPS, by itself or with a proxy before the console.

    Believed without a check: who lies makes its own cookie stricter.
    """
    return request.url.scheme == "https" or request.headers.get("x-forwarded-proto", "").lower() == "https"


def token_of(request: Request) -> str:
    """Return the token in the request's cookie, "" where there is none."""
    return cookie_token(request.headers.get("cookie", ""))


def authorization_of(request: Request) -> str | None:
    """Return how the request says who calls: by its own header, else by the session's token."""
    given, token = request.headers.get("authorization"), token_of(request)
    return given if given is not None or not token else f"Bearer {token}"
