"""Large bodies and first sights do not hold up others: small requests are answered in between, in a small part of the time."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable

import orjson
import pytest

from tests.testing.receiver_harness import Sent, write_1
from tests.testing.receivers_in_process import Answer, CountingBroker, ReceiversInProcess

AT_MS = int(time.time() * 1000)
PROTOBUF = {"content-type": "application/x-protobuf", "content-encoding": "snappy"}
JSON = {"content-type": "application/json"}
SERIES = 12_000


def first_sight() -> bytes:
    """Return a body of many new series."""
    labels = ({"job": f"job-{n % 50}", "path": f"/p/{n}", "pod": f"pod-{n % 997}"} for n in range(SERIES))
    return write_1([Sent({"__name__": "requests", **each}, [(1.0, AT_MS)]) for each in labels])


def large_json() -> bytes:
    """Return many points of few series in JSON: some 5 MiB."""
    paths = [[{"key": "path", "value": {"stringValue": f"/{n}"}}] for n in range(100)]
    points = [{"attributes": paths[n % 100], "timeUnixNano": str((AT_MS - n) * 10**6), "asDouble": 1.5} for n in range(40_000)]
    metrics = [{"name": "queue.length", "gauge": {"dataPoints": points}}]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "web"}}]}
    return orjson.dumps({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": metrics}]}]})


def large_logs() -> bytes:
    """Return many log records in JSON: some 12 MiB."""
    names = [{"key": "pod", "value": {"stringValue": f"pod-{n}"}} for n in range(100)]
    line = {"stringValue": "GET /cart 200 in 7 ms"}
    records = [
        {
            "timeUnixNano": str((AT_MS - n) * 10**6),
            "body": line,
            "attributes": [names[n % 100], {"key": "n", "value": {"intValue": n}}],
            "traceId": f"{n + 1:032x}",
        }
        for n in range(60_000)
    ]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "web"}}]}
    return orjson.dumps({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": records}]}]})


async def beside(large: "asyncio.Future[Answer]", small: Callable[[], Awaitable[Answer]]) -> list[float]:
    """Return how long each of small requests took, one after the other for as long as the large one is in progress."""
    took = []
    while not large.done():
        began = time.perf_counter()
        assert (await small()).status == 204
        took.append(time.perf_counter() - began)
        await asyncio.sleep(0.001)
    return took


async def measured(path: str, body: bytes, headers: dict[str, str]) -> tuple[float, list[float], Answer]:
    """Return how long a large body took, how long each small request beside it did, and its answer."""
    small = write_1([Sent({"__name__": "small", "job": "other"}, [(1.0, AT_MS)])])
    async with ReceiversInProcess(CountingBroker(), max_series=10**6) as app:
        await app.post("/api/v1/write", small, PROTOBUF)  # kernels are at hand
        await app.post(path, b"{}" if headers is JSON else small, headers)
        gc.collect()
        gc.freeze()  # as a receiver does before it listens: what the tests hold is not looked through meanwhile
        began = time.perf_counter()
        large = asyncio.ensure_future(app.post(path, body, headers))
        took = await beside(large, lambda: app.post("/api/v1/write", small, PROTOBUF))
        return time.perf_counter() - began, took, await large


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [("/api/v1/write", first_sight(), PROTOBUF), ("/v1/metrics", large_json(), JSON), ("/v1/logs", large_logs(), JSON)],
    ids=["first sight", "json", "json logs"],
)
def test_small_requests_are_answered_while_a_large_one_is_read(path: str, body: bytes, headers: dict[str, str]) -> None:
    """In one of three others have many turns and none waits for long: a busy machine may keep any one waiting."""
    runs = []
    for _ in range(3):
        whole_s, took, answer = asyncio.run(measured(path, body, headers))
        assert answer.status in (200, 204), answer
        runs.append((len(took), max(took, default=whole_s) / whole_s))
    words = [f"{turns} small ones, the longest {share:.2f} of the large one's time" for turns, share in runs]
    assert any(turns >= 10 and share < 1 / 6 for turns, share in runs), words
