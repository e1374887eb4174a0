"""Remote write to one address: version 2.0, and 1.0 where the receiver does not know it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import TYPE_CHECKING, Final

from serving.stream.consumer.export.write_request import WrittenSeries, request_1, request_2

if TYPE_CHECKING:
    import httpx

MOST_WAIT_S: Final = 300.0
_TIMEOUT_S: Final = 10.0
_MOST_SHOWN: Final = 300
_WRITTEN: Final = "x-prometheus-remote-write-samples-written"
_PROTOBUF: Final = "application/x-protobuf"
_HEADERS_2: Final = {
    "content-type": f"{_PROTOBUF};proto=io.prometheus.write.v2.Request",
    "x-prometheus-remote-write-version": "2.0.0",
}
_HEADERS_1: Final = {"content-type": _PROTOBUF, "x-prometheus-remote-write-version": "0.1.0"}

log = logging.getLogger(__name__)


class Outcome(Enum):
    """What became of a request."""

    WRITTEN = "written"
    REFUSED = "refused"
    """For good: the same request would be refused again."""
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Answer:
    """Outcome of a request, in words too, and how many samples the receiver says it wrote (None = it does not say)."""

    outcome: Outcome
    detail: str
    written: int | None = None
    wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where to write: address; name and password or a token; the tenant of the receiver's that `X-Scope-OrgID` names."""

    url: str
    user: str = ""
    token: str | None = None
    org_id: str = ""


class RemoteWriter:
    """A client of one receiver. The token appears in no message. No redirects, no proxies of the environment."""

    def __init__(self, receiver: Receiver) -> None:
        import httpx

        headers = {"user-agent": "aiops", "content-encoding": "snappy"}
        if receiver.org_id:
            headers["x-scope-orgid"] = receiver.org_id
        if receiver.token and not receiver.user:
            headers["authorization"] = f"Bearer {receiver.token}"
        auth = httpx.BasicAuth(receiver.user, receiver.token or "") if receiver.user else None
        self._url = receiver.url
        self._client = httpx.Client(headers=headers, auth=auth, timeout=_TIMEOUT_S, trust_env=False, follow_redirects=False)
        self.version = "2.0"
        """Of the protocol in use."""

    def write(self, series: Sequence[WrittenSeries]) -> Answer:
        """Send one request; where the receiver does not know 2.0, this one and all others go as 1.0.

        It does not where it answers 415, or says success without the number of written samples, which 2.0 demands: receivers that
        look at no content type accept the body and store nothing.
        """
        if self.version == "2.0":
            response = self._post(request_2(series), _HEADERS_2)
            if isinstance(response, Answer):
                return response
            if response.status_code != 415 and not (response.is_success and _WRITTEN not in response.headers):
                return answer_of(response)
            self.version = "1.0"
            log.info("findings are sent by remote write 1.0: the receiver answered 2.0 by status %d", response.status_code)
        response = self._post(request_1(series), _HEADERS_1)
        return response if isinstance(response, Answer) else answer_of(response)

    def _post(self, body: bytes, headers: dict[str, str]) -> "httpx.Response | Answer":
        import cramjam
        import httpx

        try:
            return self._client.post(self._url, content=bytes(cramjam.snappy.compress_raw(body)), headers=headers)
        except httpx.HTTPError as error:
            return Answer(Outcome.RETRY, f"no answer: {type(error).__name__}")

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()


def answer_of(response: "httpx.Response") -> Answer:
    """Return what an answer means: 2xx written; 429 and 5xx later; all others never."""
    text = response.headers.get(_WRITTEN, "")
    written = int(text) if text.isascii() and text.isdecimal() else None
    if response.is_success:
        return Answer(Outcome.WRITTEN, f"status {response.status_code}", written)
    detail = f"status {response.status_code}: {' '.join(response.text.split())[:_MOST_SHOWN] or response.reason_phrase}"
    if response.status_code == 429 or response.status_code >= 500:
        return Answer(Outcome.RETRY, detail, written, _wait_s(response))
    return Answer(Outcome.REFUSED, detail, written)


def _wait_s(response: "httpx.Response") -> float | None:
    """Return the seconds of Retry-After: given as such, or as a date, measured against the answer's own date."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        return min(float(text), MOST_WAIT_S)
    try:
        until, now = parsedate_to_datetime(text), parsedate_to_datetime(response.headers.get("date", ""))
        return min(max(0.0, (until - now).total_seconds()), MOST_WAIT_S)
    except (ValueError, TypeError):
        return None
