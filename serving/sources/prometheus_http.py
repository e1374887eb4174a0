"""Range queries over Prometheus' HTTP API: one page at a time, retried with back-off, every failure named.

Source: https://prometheus.io/docs/prometheus/latest/querying/api/ (range queries)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx
import orjson

from aiops.errors import ConfigurationError, SourceError

MAX_POINTS: Final = 11_000
"""Points a series that Prometheus answers at most in one query."""

_RETRIED: Final = frozenset({408, 429, 500, 502, 503, 504})
_FIRST_DELAY_S: Final = 0.5
_LONGEST_DELAY_S: Final = 30.0
_LONGEST_RETRY_AFTER_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Page:
    """One range query: `points` steps of `step_s` from `start_s` (seconds since 1970) on."""

    query: str
    start_s: float
    step_s: int
    points: int


@dataclass(frozen=True, slots=True)
class RangeSeries:
    """One answered series: labels, times (seconds since 1970) and values as the text Prometheus sent."""

    labels: Mapping[str, str]
    times_s: tuple[float, ...]
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long to wait; `sleep` takes seconds, `uniform` returns a number in 0..1."""

    retries: int
    sleep: Callable[[float], None]
    uniform: Callable[[], float]

    def delay_s(self, attempt: int, asked_s: float | None) -> float:
        """Return the wait before attempt + 1: what the server asked for, else 0.5 s doubled each time, half of it by chance."""
        if asked_s is not None:
            return min(asked_s, _LONGEST_RETRY_AFTER_S)
        longest = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0**attempt)
        return longest * (0.5 + 0.5 * self.uniform())


class PrometheusHttp:
    """A client of one server. The token and a password in the URL appear in no message."""

    def __init__(self, url: str, token: str | None, timeout_s: float, policy: RetryPolicy) -> None:
        parsed = _checked(url)
        auth = httpx.BasicAuth(parsed.username, parsed.password) if parsed.username else None
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._url = parsed.copy_with(userinfo=b"", path=parsed.path.rstrip("/") + "/api/v1/query_range")
        self._policy = policy
        self._client = httpx.Client(headers=headers, auth=auth, timeout=timeout_s)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def query_range(self, page: Page) -> list[RangeSeries]:
        """Return the series of one page.

        Raises:
            SourceError: the server refused, failed on every try, or answered something else than a full matrix.
        """
        params = {
            "query": page.query,
            "start": f"{page.start_s:.3f}",
            "end": f"{page.start_s + (page.points - 1) * page.step_s:.3f}",
            "step": str(page.step_s),
        }
        for attempt in range(self._policy.retries + 1):
            asked_s: float | None = None
            try:
                response = self._client.get(self._url, params=params)
            except httpx.TransportError as error:
                failure = self._failure(page, f"{type(error).__name__}: {error}")
                failure.__cause__ = error
            else:
                if response.status_code not in _RETRIED:
                    return self._matrix(page, response)
                failure = self._failure(page, f"status {response.status_code}: {_reason(response)}")
                asked_s = _retry_after_s(response)
            if attempt < self._policy.retries:
                self._policy.sleep(self._policy.delay_s(attempt, asked_s))
        raise failure

    def _failure(self, page: Page, what: str) -> SourceError:
        return SourceError(
            f"{self._url}: the query {page.query!r} failed: {what} (tried up to {self._policy.retries + 1} times); "
            f"check the server, the query and the option url"
        )

    def _matrix(self, page: Page, response: httpx.Response) -> list[RangeSeries]:
        status = response.status_code
        if status != httpx.codes.OK:
            raise self._failure(page, f"status {status}: {_reason(response)}")
        try:
            answer = orjson.loads(response.content)
            if answer["status"] != "success" or answer.get("warnings"):
                raise self._failure(page, f"status {status}: {answer.get('error') or answer.get('warnings') or answer['status']}")
            if answer["data"]["resultType"] != "matrix":
                raise self._failure(page, f"status {status}: the answer is a {answer['data']['resultType']}, not a matrix")
            return [_series(one) for one in answer["data"]["result"]]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._failure(page, f"status {status}: the answer is no matrix in JSON: {error!r}") from error


def _checked(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"url: cannot be read: {error}; write for example http://prometheus:9090") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ConfigurationError("url: is no http:// or https:// address; write for example http://prometheus:9090")
    return parsed


def _series(one: Mapping[str, Any]) -> RangeSeries:
    pairs = [(float(at), str(value)) for at, value in one["values"]]
    labels = {str(key): str(value) for key, value in one["metric"].items()}
    return RangeSeries(labels, tuple(at for at, _ in pairs), tuple(value for _, value in pairs))


def _reason(response: httpx.Response) -> str:
    """Return what the server says, in at most 300 characters."""
    try:
        said = orjson.loads(response.content)
        return str(said["error"])[:300]
    except (ValueError, KeyError, TypeError):
        return response.text.strip()[:300] or response.reason_phrase


def _retry_after_s(response: httpx.Response) -> float | None:
    """Return the seconds of Retry-After: given as such, or as a date, measured against the answer's own date."""
    asked = response.headers.get("Retry-After", "").strip()
    if asked.isdecimal():
        return float(asked)
    try:
        until, now = parsedate_to_datetime(asked), parsedate_to_datetime(response.headers.get("Date", ""))
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):
        return None
