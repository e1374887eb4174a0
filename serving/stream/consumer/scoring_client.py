"""Client of the scoring service for processes that must stay thin: httpx with kept connections, Arrow bodies both ways."""

from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import httpx
import orjson
import pyarrow as pa

from aiops.errors import ContractError, ModelNotFound, Unavailable
from data_contracts.series.tenant import DEFAULT_TENANT, TENANT_HEADER

_ARROW_STREAM: Final = "application/vnd.apache.arrow.stream"
_TOO_MANY: Final = 429
_NOT_LOADED: Final = "urn:aiops:problem:model-not-loaded"


@dataclass(frozen=True, slots=True)
class Scored:
    """An answer in the order of the request.

    `rows`: service, event_timestamp, one float64 column an output (null = unknown), anomalous (null = unknown) and
    model_version, the version that scored the row.
    """

    rows: pa.RecordBatch
    model_version: str


class ScoringClient:
    """Blocking client of one service; one thread at a time. Close it, or use it in a `with` statement."""

    def __init__(self, url: str, timeout_s: float = 5.0, token: str | None = None) -> None:
        headers = {"content-type": _ARROW_STREAM}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        limits = httpx.Limits(max_connections=2, max_keepalive_connections=2, keepalive_expiry=4.0)
        self._client = httpx.Client(base_url=url, timeout=timeout_s, headers=headers, limits=limits, trust_env=False)

    def score(self, batch: pa.RecordBatch, tenant: str = DEFAULT_TENANT) -> Scored:
        """Score service vectors (`schemas.SERVICE_FEATURES_TABLE`) of one tenant with the service ensemble.

        Raises:
            Unavailable: the service does not answer in time or is overloaded; the same call may be repeated.
            ModelNotFound: the service runs, but this model has no champion.
            ContractError: it refuses the request; repeating is no use. The message is the service's.
        """
        return self._post("/score", batch, tenant)

    def predict(self, batch: pa.RecordBatch, tenant: str = DEFAULT_TENANT) -> Scored:
        """Predict incidents from service vectors of one tenant; a batch of `service` alone is completed from the online store.

        Raises:
            Unavailable: as in `score`.
            ContractError: as in `score`.
        """
        return self._post("/predict_incident", batch, tenant)

    def season(self, batch: pa.RecordBatch, tenant: str = DEFAULT_TENANT) -> Scored:
        """Judge points (service, metric, timestamp, value) of one tenant by the seasonal bands of their series.

        The answer holds the points with expected, lower, upper, score (0.5 = at the bound), rarity, anomalous (null = unknown),
        status ("established", or why nothing is known), words, and model_version, which names the bands.

        Raises:
            Unavailable: as in `score`.
            ContractError: as in `score`.
        """
        return self._post("/season", batch, tenant)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _post(self, path: str, batch: pa.RecordBatch, tenant: str) -> Scored:
        try:
            response = self._client.post(path, content=_stream(batch), headers={TENANT_HEADER: tenant})
        except httpx.TransportError as error:
            raise Unavailable(f"{self._client.base_url}{path}: {type(error).__name__}: {error}") from error
        if response.status_code == 503 and _member(response, "type") == _NOT_LOADED:
            raise ModelNotFound(_detail(response))
        if response.status_code == _TOO_MANY or response.status_code >= 500:
            raise Unavailable(f"{self._client.base_url}{path}: {response.status_code}: {_detail(response)}")
        if response.status_code != 200:
            raise ContractError(f"{self._client.base_url}{path}: {response.status_code}: {_detail(response)}")
        return _scored(response)


def _stream(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def _scored(response: httpx.Response) -> Scored:
    try:
        with pa.ipc.open_stream(response.content) as reader:
            rows = reader.read_next_batch()
    except (pa.ArrowException, OSError, StopIteration) as error:
        raise Unavailable(f"{response.url}: the answer is no Arrow stream ({error})") from error
    return Scored(rows, response.headers.get("x-model-version", ""))


def _detail(response: httpx.Response) -> str:
    """Return the problem's detail, or the beginning of whatever came instead."""
    return _member(response, "detail") or response.text[:200]


def _member(response: httpx.Response, name: str) -> str:
    """Return a member of the problem as text; "" where there is no such member, or no problem."""
    try:
        problem = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return ""
    return str(problem.get(name, "")) if isinstance(problem, dict) else ""
