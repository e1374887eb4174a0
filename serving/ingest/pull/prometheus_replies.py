"""What a Prometheus server's address and answers say beside the data: errors in words, how long to wait."""

from email.utils import parsedate_to_datetime

import httpx
import orjson

from aiops.errors import ConfigurationError


def checked_url(url: str) -> httpx.URL:
    """Return an address as its parts.

    Raises:
        ConfigurationError: it cannot be read, or is none of HTTP.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"url: cannot be read: {error}; write for example http://prometheus:9090") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ConfigurationError("url: is no http:// or https:// address; write for example http://prometheus:9090")
    return parsed


def reason_of(response: httpx.Response) -> str:
    """Return what the server says, in at most 300 characters."""
    try:
        body = orjson.loads(response.content)
        return str(body["error"])[:300] or response.reason_phrase
    except (ValueError, KeyError, TypeError):
        return response.text.strip()[:300] or response.reason_phrase


def retry_after_s(response: httpx.Response) -> float | None:
    """Return the seconds of Retry-After: given as such, or as a date, measured against the answer's own date."""
    header = response.headers.get("Retry-After", "").strip()
    if header.isdecimal():
        return float(header)
    try:
        until, now = parsedate_to_datetime(header), parsedate_to_datetime(response.headers.get("Date", ""))
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):
        return None
