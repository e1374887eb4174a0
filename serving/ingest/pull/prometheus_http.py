"""Queries over Prometheus' HTTP API, as Prometheus, Thanos, Mimir and VictoriaMetrics speak it.

One page at a time, retried with back-off, every failure named. An answer that its server calls partial is a failure unless the
user accepts it; what PromQL remarks about an expression is kept as a remark.

Source: https://prometheus.io/docs/prometheus/latest/querying/api/ (range queries, warnings and infos);
https://docs.victoriametrics.com/cluster-victoriametrics/ (isPartial)
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx
import orjson

from aiops.errors import SourceError
from serving.ingest.pull.prometheus_replies import checked_url, reason_of
from serving.ingest.pull.request_retries import Answered, RetryPolicy

MAX_POINTS: Final = 11_000
"""Points a series that Prometheus answers at most in one query."""

_RANGE: Final = "/api/v1/query_range"
_ANNOTATIONS: Final = ("PromQL info:", "PromQL warning:")
"""How remarks about an expression begin, whether sent as warnings or as infos; other warnings are about storage."""
_TOO_MUCH: Final = ("too many samples", "exceeded maximum resolution", "too many points", "exceeds -search.max")


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
class Answer:
    """What one page gave: `series` with their samples, `histograms` = names of series of native histograms, `remarks`."""

    series: tuple[RangeSeries, ...]
    histograms: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InstantSample:
    """One series of an instant query: labels, and the value it has now."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class _Request:
    """Where something is asked, what it is in words, and with which parameters."""

    url: httpx.URL
    subject: str
    parameters: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Asked:
    """An answer: its status, how often it was asked for, media type, body in JSON."""

    status: int
    tries: int
    kind: str
    body: Any


class TooMuchAsked(SourceError):
    """The server would load more samples for a page than it may; a shorter page may pass."""


class PrometheusHttp:
    """A client of one server. The token, a password and the parameters of the URL appear in no message."""

    def __init__(self, url: str, token: str | None, timeout_s: float, policy: RetryPolicy, accept_partial: bool = False) -> None:
        parsed = checked_url(url)
        auth = httpx.BasicAuth(parsed.username, parsed.password) if parsed.username else None
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        base = parsed.path.rstrip("/").removesuffix(_RANGE).removesuffix("/api/v1").rstrip("/")
        self._base = parsed.copy_with(userinfo=b"", path=base or "/", query=None, fragment=None)
        self._url = parsed.copy_with(userinfo=b"", path=base + _RANGE, query=None, fragment=None)
        self._own = parsed.params.multi_items()
        self._policy = policy
        self._accept_partial = accept_partial
        self._client = httpx.Client(headers=headers, auth=auth, timeout=timeout_s)

    @property
    def url(self) -> str:
        """Return the address of the server, without password and parameters."""
        return str(self._base)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def query_range(self, page: Page) -> Answer:
        """Return the series of one page; parameters of the URL go with the query.

        Raises:
            TooMuchAsked: the page is too long for the server.
            SourceError: the server refused, failed on every try, or answered something else than a full matrix.
        """
        request = _Request(
            self._url,
            f"the query {page.query!r}",
            (
                ("query", page.query),
                ("start", f"{page.start_s:.3f}"),
                ("end", f"{page.start_s + (page.points - 1) * page.step_s:.3f}"),
                ("step", str(page.step_s)),
            ),
        )
        answer = self._asked(request)
        with self._readable(request, "matrix", answer):
            if answer.body["data"]["resultType"] != "matrix":
                kind = answer.body["data"]["resultType"]
                raise self._failure(request, f"status {answer.status}: the answer is a {kind}, not a matrix", answer.tries)
            remarks = self._remarks(request, page.query, answer)
            results = answer.body["data"]["result"] or ()
            series = tuple(_series(result) for result in results if "values" in result or "histograms" not in result)
            return Answer(series, tuple(_name(result) for result in results if result.get("histograms")), remarks)

    def query(self, expression: str) -> tuple[InstantSample, ...]:
        """Return what an expression gives now: one sample a series. A partial answer is taken as it is.

        Raises:
            SourceError: the server refused, failed on every try, or answered something else than a vector.
        """
        request = _Request(self._address("query"), f"the query {expression!r}", (("query", expression),))
        answer = self._asked(request)
        with self._readable(request, "vector", answer):
            if answer.body["data"]["resultType"] != "vector":
                kind = answer.body["data"]["resultType"]
                raise self._failure(request, f"status {answer.status}: the answer is a {kind}, not a vector", answer.tries)
            return tuple(
                InstantSample({str(key): str(text) for key, text in result["metric"].items()}, float(result["value"][1]))
                for result in answer.body["data"]["result"] or ()
                if "value" in result
            )

    def names(self, what: str, matching: str = "") -> tuple[str, ...]:
        """Return names that the server knows, at `what` below its API: `labels`, `label/__name__/values`; of a selector's series.

        Raises:
            SourceError: the server refused, failed on every try, or answered something else than a list.
        """
        parameters = (("match[]", matching),) if matching else ()
        request = _Request(self._address(what), f"the list of {what}", parameters)
        answer = self._asked(request)
        with self._readable(request, "list", answer):
            return tuple(str(name) for name in answer.body["data"] or ())

    def _address(self, what: str) -> httpx.URL:
        return self._url.copy_with(path=self._url.path.removesuffix("query_range") + what)

    def _asked(self, request: "_Request") -> "_Asked":
        """Return the body of a successful answer, tried again where that may help."""
        given = {name for name, _ in request.parameters}
        own = ((name, value) for name, value in self._own if name not in given | {"query", "start", "end", "step"})
        params = httpx.QueryParams([*own, *request.parameters])
        answered = self._policy.answered(
            lambda: self._client.get(request.url, params=params), lambda what, tries: self._failure(request, what, tries)
        )
        return self._answered(request, answered)

    def _failure(
        self, request: "_Request", what: str, tries: int, fix: str = "check the address, the server and the query"
    ) -> SourceError:
        often = "once" if tries == 1 else f"{tries} times"
        return SourceError(f"{request.url}: {request.subject} failed: {what} (tried {often}); {fix}")

    def _answered(self, request: "_Request", answered: Answered) -> "_Asked":
        response, tries = answered.response, answered.tries
        status = response.status_code
        if status != httpx.codes.OK:
            raise self._refusal(request, response, tries)
        kind = response.headers.get("Content-Type", "text").partition(";")[0]
        answer = _Asked(status, tries, kind, {})
        with self._readable(request, "matrix" if request.url == self._url else "answer", answer):
            body = orjson.loads(response.content)
            if body["status"] != "success":
                raise self._failure(request, f"status {status}: {body.get('error') or body['status']}", tries)
            return _Asked(status, tries, kind, body)

    @contextmanager
    def _readable(self, request: "_Request", form: str, answer: "_Asked") -> Iterator[None]:
        """Name what is no answer of the API in a failure."""
        what = f"status {answer.status}: the answer is no {form} in JSON"
        try:
            yield
        except orjson.JSONDecodeError as error:
            seen = "a page of a sign-in or proxy?" if answer.kind == "text/html" else repr(error)
            raise self._failure(request, f"{what} but {answer.kind}: {seen}", answer.tries) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._failure(request, f"{what}: {error!r}", answer.tries) from error

    def _refusal(self, request: "_Request", response: httpx.Response, tries: int) -> SourceError:
        """Return the error that a status other than 200 means."""
        what = f"status {response.status_code}: {reason_of(response)}"
        if response.has_redirect_location:
            target = httpx.URL(response.headers["Location"])
            whither = self._url.join(target).copy_with(query=None, userinfo=b"", fragment=None)
            return self._failure(request, f"{what}, it points to {whither}", tries, "give the address behind it as url")
        if response.status_code in {401, 403}:
            return self._failure(request, what, tries, "give a token, or name and password in the url, that may query")
        if any(words in what for words in _TOO_MUCH):
            return TooMuchAsked(
                str(self._failure(request, what, tries, "ask for less: a longer step_s, fewer series or a shorter time"))
            )
        return self._failure(request, what, tries)

    def _remarks(self, request: "_Request", query: str, asked: "_Asked") -> tuple[str, ...]:
        """Return what the server remarks of an answer that is whole, or partial and accepted."""
        answer = asked.body
        annotations = [str(text) for text in (*(answer.get("warnings") or ()), *(answer.get("infos") or ()))]
        lost = [text for text in (answer.get("warnings") or ()) if not str(text).startswith(_ANNOTATIONS)]
        if answer.get("isPartial") is True:
            lost.append("isPartial: some storage did not answer")
        if lost and not self._accept_partial:
            fix = "the answer may lack series; mend the server, or take what it has with partial=accept"
            raise self._failure(request, f"status 200, partial: {'; '.join(map(str, lost))[:300]}", asked.tries, fix)
        partial = [f"the answer is partial: {text}" for text in lost]
        return tuple(f"{query}: {text[:300]}" for text in dict.fromkeys((*partial, *(t for t in annotations if t not in lost))))


def _name(result: Mapping[str, Any]) -> str:
    return str(result["metric"].get("__name__", "a series without a name"))


def _series(result: Mapping[str, Any]) -> RangeSeries:
    pairs = [(float(at), str(value)) for at, value in result["values"]]
    labels = {str(key): str(value) for key, value in result["metric"].items()}
    return RangeSeries(labels, tuple(at for at, _ in pairs), tuple(value for _, value in pairs))
