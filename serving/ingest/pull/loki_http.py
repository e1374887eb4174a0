"""Range queries for log lines over Loki's HTTP API: one page at a time, retried with back-off, every failure named.

Source: Grafana Loki, HTTP API, GET /loki/api/v1/query_range; `X-Scope-OrgID` names the tenant of a Loki with several. With
`X-Loki-Response-Encoding-Flags: categorize-labels` Loki 3 keeps structured metadata apart from labels; older ones ignore it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import orjson

from aiops.errors import SourceError
from serving.ingest.pull.prometheus_replies import checked_url, reason_of
from serving.ingest.pull.request_retries import Answered, RetryPolicy

_RANGE: Final = "/loki/api/v1/query_range"
_FLAGS: Final = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}


@dataclass(frozen=True, slots=True)
class LokiAccess:
    """Where a Loki is and who asks: tenant ("" = Loki has one), bearer token ("" = none), seconds until an answer."""

    url: str
    org: str = ""
    token: str = field(default="", repr=False)
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class LokiPage:
    """One range query: start <= t < end in ns since 1970, oldest first, at most `limit` lines."""

    query: str
    start_ns: int
    end_ns: int
    limit: int


@dataclass(frozen=True, slots=True)
class LokiResult:
    """One answered stream: labels, and entries [ns as text, line] or [ns, line, metadata], oldest first."""

    labels: Mapping[str, str]
    values: tuple[list[Any], ...]


class LokiHttp:
    """A client of one server. The token and a password in the address appear in no message."""

    def __init__(self, access: LokiAccess, policy: RetryPolicy) -> None:
        parsed = checked_url(access.url)
        auth = httpx.BasicAuth(parsed.username, parsed.password) if parsed.username else None
        base = parsed.path.rstrip("/").removesuffix(_RANGE).removesuffix("/loki/api/v1").rstrip("/")
        self._url = parsed.copy_with(userinfo=b"", path=base + _RANGE, query=None, fragment=None)
        headers = dict(_FLAGS)
        headers |= {"X-Scope-OrgID": access.org} if access.org else {}
        headers |= {"Authorization": f"Bearer {access.token}"} if access.token else {}
        self._client = httpx.Client(headers=headers, auth=auth, timeout=access.timeout_s)
        self._policy = policy

    @property
    def url(self) -> str:
        """Return the address of its range queries, without password and parameters."""
        return str(self._url)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def page(self, page: LokiPage) -> tuple[LokiResult, ...]:
        """Return the streams of one page.

        Raises:
            SourceError: the server refused, failed on every try, or answered something else than streams.
        """
        answered = self._asked(page)
        tries = answered.tries
        try:
            data = orjson.loads(answered.response.content)["data"]
            kind = data["resultType"]
            results = data["result"] or ()
            streams = tuple(_result(result) for result in results) if kind == "streams" else ()
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise self._failure(page, f"the answer is none of Loki's in JSON: {error!r}", tries) from error
        if kind != "streams":
            raise self._failure(page, f"the answer is a {kind}: the query counts lines, ask for lines themselves", tries)
        return streams

    def _asked(self, page: LokiPage) -> Answered:
        """Return a successful answer."""
        given = {"query": page.query, "start": page.start_ns, "end": page.end_ns, "limit": page.limit, "direction": "forward"}
        params = {name: str(value) for name, value in given.items()}
        answered = self._policy.answered(
            lambda: self._client.get(self._url, params=params), lambda what, tries: self._failure(page, what, tries)
        )
        status = answered.response.status_code
        if status == httpx.codes.OK:
            return answered
        what = f"status {status}: {reason_of(answered.response)}"
        if status in {401, 403}:
            raise self._failure(page, what, answered.tries, "give the tenant (--org) or a token that may query (--token-file)")
        raise self._failure(page, what, answered.tries)

    def _failure(self, page: LokiPage, what: str, tries: int, fix: str = "") -> SourceError:
        by_words = "give a smaller --limit" if "max entries limit" in what else "check address, server and query"
        often = "once" if tries == 1 else f"{tries} times"
        return SourceError(f"{self._url}: the query {page.query!r} failed: {what} (tried {often}); {fix or by_words}")


def _result(result: Mapping[str, Any]) -> LokiResult:
    labels = {str(name): str(text) for name, text in result["stream"].items()}
    for value in result["values"]:
        int(value[0])
    return LokiResult(labels, tuple(result["values"]))
