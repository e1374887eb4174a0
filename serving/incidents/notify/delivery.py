"""One attempt to deliver a notification over HTTP, and what came of it. Addresses hold secrets and are never repeated.

Source: RFC 9110, sections 10.2.3 (Retry-After) and 15 (status codes); RFC 6585 (429).
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final, Protocol

import httpx

from aiops.errors import ConfigurationError
from serving.http.problem import shown
from serving.incidents.store.records import OutboxMessage

TIMEOUT_S: Final = 10.0
MOST_WAIT_S: Final = 3600.0
"""The longest Retry-After that is honoured."""
MOST_READ: Final = 4096
"""Bytes of an answer that are read: its status counts, some words of it go into the error."""

_WORTH_ANOTHER: Final = frozenset({408, 425, 429})


class Outcome(StrEnum):
    """What came of an attempt: `RETRY` = it may work later, `REFUSED` = it never will."""

    DELIVERED = "delivered"
    RETRY = "retry"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one attempt; `wait_s` = how long the receiver asked to wait, None = it did not say."""

    outcome: Outcome
    detail: str = ""
    wait_s: float | None = None


class Channel(Protocol):
    """A channel to people. Thread-safe; `deliver` raises nothing that a receiver can cause."""

    @property
    def name(self) -> str:
        """The name that messages address."""

    def deliver(self, message: OutboxMessage) -> Attempt:
        """Try once to deliver a message."""

    def close(self) -> None:
        """Let go of connections."""


class Poster:
    """Posts JSON to one address. No redirects, no proxies of the environment; waits at most `timeout_s` for each step.

    The status decides; of the rest of an answer at most `MOST_READ` bytes are read, for about `timeout_s`.
    """

    def __init__(self, setting: str, url: str, timeout_s: float = TIMEOUT_S) -> None:
        """Check the address.

        Raises:
            ConfigurationError: it is no http:// or https:// address; the message does not repeat it.
        """
        self._url = _checked(setting, url)
        limits = httpx.Limits(max_connections=4, max_keepalive_connections=1, keepalive_expiry=30.0)
        self._timeout_s = timeout_s
        self._client = httpx.Client(timeout=timeout_s, limits=limits, trust_env=False, follow_redirects=False)

    def post(self, body: bytes, headers: Mapping[str, str]) -> Attempt:
        """Post a body once."""
        try:
            all_headers = {"content-type": "application/json", "accept-encoding": "identity", **headers}
            with self._client.stream("POST", self._url, content=body, headers=all_headers) as answer:
                return attempt_of(answer, self._reply_text(answer))
        except httpx.TransportError as error:
            return Attempt(Outcome.RETRY, f"no answer: {type(error).__name__}")
        except httpx.HTTPError as error:  # an answer that cannot be read, for example too many redirects or bad encoding
            return Attempt(Outcome.RETRY, f"no readable answer: {type(error).__name__}")

    def _reply_text(self, answer: httpx.Response) -> str:
        """Return the beginning of an answer's body; one that breaks off has come all the same."""
        reply, until = b"", time.monotonic() + self._timeout_s
        with suppress(httpx.TransportError):  # the status has come, and decides
            for chunk in answer.iter_raw():
                reply += chunk
                if len(reply) >= MOST_READ or time.monotonic() > until:
                    break
        return reply[:MOST_READ].decode(errors="replace")

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()


def attempt_of(answer: httpx.Response, reply: str) -> Attempt:
    """Return what an answer means: 2xx delivered; 408, 425, 429 and 5xx may work later; all others never will."""
    status = answer.status_code
    if answer.is_success:
        return Attempt(Outcome.DELIVERED, f"status {status}")
    detail = f"status {status}: {shown(reply.strip() or answer.reason_phrase)}"
    if status in _WORTH_ANOTHER or status >= 500:
        return Attempt(Outcome.RETRY, detail, _asked_wait_s(answer))
    return Attempt(Outcome.REFUSED, detail)


def _asked_wait_s(answer: httpx.Response) -> float | None:
    """Return the seconds of Retry-After: given as such, or as a date, measured against the answer's own date."""
    asked = answer.headers.get("retry-after", "").strip()
    if asked.isascii() and asked.isdecimal():
        return min(float(asked), MOST_WAIT_S)
    try:
        until, now = parsedate_to_datetime(asked), parsedate_to_datetime(answer.headers.get("date", ""))
        return min(max(0.0, (until - now).total_seconds()), MOST_WAIT_S)
    except (ValueError, TypeError):
        return None


def _checked(setting: str, url: str) -> httpx.URL:
    fix = "give one such as https://example.org/hook"
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"{setting}: is no address that can be read; {fix}") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ConfigurationError(f"{setting}: is no http:// or https:// address; {fix}")
    return parsed
