"""Prometheus over real HTTP: paging, retries, what is refused, and what the labels become."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

import pytest

from aiops.errors import ConfigurationError, SourceError
from data_contracts.telemetry.validate import validate
from serving.ingest.pull.prometheus import PrometheusSource
from serving.ingest.pull.prometheus_http import MAX_POINTS
from serving.ingest.pull.request_retries import RetryPolicy
from serving.ingest.pull.source_options import SourceOptions
from serving.ingest.pull.source_registry import open_source
from tests.conformance.source_suite import check_source
from tests.testing.local_server import served_by

START = datetime(2024, 1, 1, tzinfo=UTC)
RECORDED = """{"status":"success","data":{"resultType":"matrix","result":[
{"metric":{"__name__":"http_requests_total","code":"200","instance":"10.0.0.1:80","job":"api"},
 "values":[[1704067200,"1027"],[1704067260.781,"NaN"],[1704067320,"+Inf"]]},
{"metric":{"__name__":"http_requests_total","code":"500","instance":"10.0.0.1:80","job":"api"},
 "values":[[1704067200,"3"]]}]}}"""


@dataclass(frozen=True)
class Answer:
    status: int
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass
class Server:
    """A Prometheus that answers from a script first, then with one point a step of two series; it keeps what was asked."""

    script: list[Answer] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def answer(self, target: str, headers: dict[str, str]) -> Answer:
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.asked.append({"path": parts.path, **query})
        self.headers.append(headers)
        return self.script.pop(0) if self.script else Answer(200, self.matrix(query))

    def matrix(self, query: dict[str, str]) -> str:
        start, end, step = (float(query[name]) for name in ("start", "end", "step"))
        points = int((end - start) / step) + 1
        if points > MAX_POINTS:
            return json.dumps({"status": "error", "errorType": "bad_data", "error": "exceeded maximum resolution"})
        result = [
            {
                "metric": {"__name__": "cpu_usage", "service": service, "zone": "b"},
                "values": [[start + i * step, str((start + i * step) % 1000)] for i in range(points)],
            }
            for service in ("cart", "shop")
        ]
        return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = state.answer(self.path, dict(self.headers))
            body = answer.body.encode()
            self.send_response(answer.status)
            for name, value in (*answer.headers, ("Content-Length", str(len(body)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    with served_by(Handler) as state.url:
        yield state


def options(server: Server, **changes: object) -> SourceOptions:
    plain = SourceOptions(url=server.url, queries=("cpu_usage",), start=START, end=START + timedelta(hours=10))
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.fixture
def opened() -> Iterator[Callable[..., tuple[PrometheusSource, list[float]]]]:
    sources: list[PrometheusSource] = []

    def opener(chosen: SourceOptions) -> tuple[PrometheusSource, list[float]]:
        slept: list[float] = []
        sources.append(PrometheusSource(chosen, RetryPolicy(chosen.retries, slept.append, lambda: 1.0)))
        return sources[-1], slept

    yield opener
    for source in sources:
        source.close()


Opener = Callable[[SourceOptions], tuple[PrometheusSource, list[float]]]


def test_conformance(server: Server, opened: Opener) -> None:
    source, _ = opened(options(server))
    assert check_source(source) == 2 * 600


def test_a_recorded_answer_becomes_telemetry(server: Server, opened: Opener) -> None:
    server.script = [Answer(200, RECORDED)]
    source, _ = opened(options(server, end=START + timedelta(minutes=3)))
    (table,) = list(source.batches())
    assert table["service"].to_pylist() == ["api"] * 4
    assert table["metric"].to_pylist() == ["http_requests_total"] * 4
    assert table["labels"].to_pylist()[0] == [("code", "200"), ("instance", "10.0.0.1:80")]
    assert table["timestamp"].to_pylist()[2] == datetime(2024, 1, 1, 0, 1, 0, 781000, tzinfo=UTC)
    checked = validate(table, START + timedelta(days=1))
    assert checked.accepted.num_rows == 2
    assert checked.rejected["reason"].to_pylist() == ["non_finite", "non_finite"]
    assert checked.accepted["metric"].to_pylist()[1] == "http_requests_total"
    assert checked.accepted["labels"].to_pylist()[1] == '{"code":"500","instance":"10.0.0.1:80"}'


def test_pages_cover_the_window_once_and_stay_below_the_limit(server: Server, opened: Opener) -> None:
    source, _ = opened(options(server, step_s=1, end=START + timedelta(seconds=20_001)))
    tables = list(source.batches())
    times = [row for table in tables for row in table["timestamp"].to_pylist()]
    assert len(times) == 2 * 20_001
    assert len(set(times)) == 20_001
    assert times == sorted(times)
    assert (times[0], times[-1]) == (START, START + timedelta(seconds=20_000))
    spans = [int((float(page["end"]) - float(page["start"])) / float(page["step"])) + 1 for page in server.asked]
    assert spans == [240, 11_000, 8_761]
    assert {page["path"] for page in server.asked} == {"/api/v1/query_range"}


def test_503_is_tried_again_with_growing_delays(server: Server, opened: Opener) -> None:
    down = Answer(503, '{"status":"error","errorType":"timeout","error":"query timed out"}')
    server.script = [down, Answer(502, "bad gateway"), down]
    source, slept = opened(options(server, end=START + timedelta(minutes=2)))
    assert sum(table.num_rows for table in source.batches()) == 4
    assert slept == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    ("headers", "delay_s"),
    [
        ((("Retry-After", "7"),), 7.0),
        ((("Retry-After", format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)),), 300.0),
        ((("Retry-After", "soon"),), 0.5),
    ],
)
def test_429_waits_as_long_as_the_server_asks(
    server: Server, opened: Opener, headers: tuple[tuple[str, str], ...], delay_s: float
) -> None:
    server.script = [Answer(429, "slow down", headers)]
    source, slept = opened(options(server, end=START + timedelta(minutes=2)))
    assert sum(table.num_rows for table in source.batches()) == 4
    assert slept == [delay_s]


def test_after_the_last_try_the_query_and_the_status_are_named(server: Server, opened: Opener) -> None:
    server.script = [Answer(503, "overloaded")] * 3
    source, slept = opened(options(server, retries=2, queries=("load=sum(cpu_usage)",)))
    with pytest.raises(SourceError, match=r"'sum\(cpu_usage\)' failed: status 503: overloaded \(tried 3 times\)"):
        list(source.batches())
    assert slept == [0.5, 1.0]
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            Answer(400, '{"status":"error","errorType":"bad_data","error":"parse error: unexpected end"}'),
            "status 400: parse error",
        ),
        (Answer(401, "Unauthorized"), "status 401: Unauthorized"),
        (Answer(302, "", (("Location", "/login"),)), "status 302: Found"),
        (Answer(200, '{"status":"success","data":{"resultType":"mat'), "the answer is no matrix in JSON"),
        (Answer(200, '{"status":"success","data":{"resultType":"matrix","result":[{"metric":{}}]}}'), "the answer is no matrix"),
        (Answer(200, '{"status":"success","data":{"resultType":"vector","result":[]}}'), "the answer is a vector, not a matrix"),
        (
            Answer(200, '{"status":"success","warnings":["store 2 unavailable"],"data":{"resultType":"matrix","result":[]}}'),
            "store 2 unavailable",
        ),
    ],
)
def test_answers_that_are_none_are_not_tried_again(server: Server, opened: Opener, answer: Answer, said: str) -> None:
    server.script = [answer]
    source, slept = opened(options(server))
    with pytest.raises(SourceError, match=said):
        list(source.batches())
    assert slept == []


def test_a_server_that_is_away(server: Server, opened: Opener, free_port: int) -> None:
    source, slept = opened(options(server, url=f"http://127.0.0.1:{free_port}", retries=1))
    with pytest.raises(SourceError, match="ConnectError"):
        list(source.batches())
    assert slept == [0.5]


def test_the_secret_is_sent_and_never_said(server: Server, opened: Opener, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    server.script = [Answer(403, "forbidden"), Answer(403, "forbidden")]
    bearer, _ = opened(options(server, token="hush-hush"))
    basic, _ = opened(options(server, url=server.url.replace("http://", "http://me:hush-hush@")))
    for source, scheme in ((bearer, "Bearer"), (basic, "Basic")):
        with pytest.raises(SourceError, match="status 403") as raised:
            list(source.batches())
        assert server.headers[-1]["Authorization"].startswith(scheme)
        assert "hush" not in str(raised.value)
    assert "hush" not in caplog.text


def test_labels_say_which_service(server: Server, opened: Opener) -> None:
    server.script = [Answer(200, RECORDED), Answer(200, RECORDED)]
    by_instance, _ = opened(options(server, service_label="instance", end=START + timedelta(minutes=1)))
    (table,) = list(by_instance.batches())
    assert set(table["service"].to_pylist()) == {"10.0.0.1:80"}
    by_pod, _ = opened(options(server, service_label="pod", end=START + timedelta(minutes=1)))
    (table,) = list(by_pod.batches())
    reasons = validate(table, START + timedelta(days=1)).rejected["reason"].to_pylist()
    assert reasons == ["name", "name", "non_finite", "non_finite"]


def test_a_query_names_its_results(server: Server, opened: Opener) -> None:
    nameless = RECORDED.replace('"__name__":"http_requests_total",', "")
    server.script = [Answer(200, nameless), Answer(200, nameless)]
    named, _ = opened(options(server, queries=('rps=sum(rate(http_requests_total{job="api"}[5m]))',)))
    assert set(next(named.batches())["metric"].to_pylist()) == {"rps"}
    assert server.asked[0]["query"] == 'sum(rate(http_requests_total{job="api"}[5m]))'
    unnamed, _ = opened(options(server, queries=('sum(rate(http_requests_total{job="api"}[5m]))',)))
    with pytest.raises(SourceError, match="series without a name; name it, for example"):
        next(unnamed.batches())


def test_what_is_missing_is_named() -> None:
    full = SourceOptions(url="http://h:9090", queries=("up",), start=START, end=START + timedelta(hours=1))
    for change, said in (
        ({"url": None}, "url: not given"),
        ({"url": "h:9090"}, "url: is no http:// or https:// address"),
        ({"queries": ()}, "queries: none"),
        ({"end": None}, "end: not given"),
        ({"start": None}, "start: not given"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            open_source("prometheus", replace(full, **change))  # type: ignore[arg-type]


def matrix_of(**more: object) -> Answer:
    """Return an answer with two points of one series, and what else it says."""
    series = {"metric": {"__name__": "cpu_usage", "service": "cart"}, "values": [[1704067200, "1"], [1704067260, "2"]]}
    return Answer(200, json.dumps({"status": "success", "data": {"resultType": "matrix", "result": [series]}, **more}))


INFO = 'PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "cpu_usage" (1:6)'


@pytest.mark.parametrize("member", ["warnings", "infos"])
def test_what_promql_remarks_is_passed_on_and_costs_nothing(server: Server, opened: Opener, member: str) -> None:
    server.script = [matrix_of(**{member: [INFO]})]
    source, _ = opened(options(server, end=START + timedelta(minutes=2)))
    assert sum(table.num_rows for table in source.batches()) == 2
    assert source.remarks() == (f"cpu_usage: {INFO}",)


@pytest.mark.parametrize("partial", [{"isPartial": True}, {"warnings": ["No StoreAPIs matched for this query"]}])
def test_a_partial_answer_is_refused_unless_it_is_accepted(server: Server, opened: Opener, partial: dict[str, object]) -> None:
    server.script = [matrix_of(**partial), matrix_of(**partial)]
    source, slept = opened(options(server))
    with pytest.raises(SourceError, match=r"partial: .*\(tried once\); the answer may lack series; .* with partial=accept"):
        list(source.batches())
    assert slept == []
    accepting, _ = opened(options(server, partial="accept", end=START + timedelta(minutes=2)))
    assert sum(table.num_rows for table in accepting.batches()) == 2
    assert "cpu_usage: the answer is partial: " in accepting.remarks()[0]
    with pytest.raises(ConfigurationError, match="partial: 'maybe' is not known; choose one of refuse, accept"):
        options(server, partial="maybe")


@pytest.mark.parametrize(
    ("suffix", "path"),
    [
        ("", "/api/v1/query_range"),
        ("/", "/api/v1/query_range"),
        ("/select/0/prometheus", "/select/0/prometheus/api/v1/query_range"),
        ("/thanos/?dedup=true&partial_response=false", "/thanos/api/v1/query_range"),
        ("/api/v1", "/api/v1/query_range"),
        ("/api/v1/query_range?dedup=true", "/api/v1/query_range"),
    ],
)
def test_path_and_parameters_of_the_address_are_kept(server: Server, opened: Opener, suffix: str, path: str) -> None:
    source, _ = opened(options(server, url=server.url + suffix, end=START + timedelta(minutes=2)))
    assert sum(table.num_rows for table in source.batches()) == 4
    (asked,) = server.asked
    assert asked["path"] == path
    assert asked["query"] == "cpu_usage"
    if "dedup" in suffix:
        assert asked["dedup"] == "true"


def test_a_secret_among_the_parameters_is_never_said(server: Server, opened: Opener) -> None:
    server.script = [Answer(500, "broken")]
    source, _ = opened(options(server, url=f"{server.url}/p?apikey=hush-hush", retries=0))
    with pytest.raises(SourceError, match="status 500: broken") as raised:
        list(source.batches())
    assert server.asked[0]["apikey"] == "hush-hush"
    assert "hush" not in str(raised.value)


def test_native_histograms_are_named_and_cost_no_other_series(server: Server, opened: Opener) -> None:
    plain = json.loads(matrix_of().body)
    histogram = {"metric": {"__name__": "rpc_seconds"}, "histograms": [[1704067200, {"count": "5", "sum": "2"}]]}
    plain["data"]["result"].append(histogram)
    server.script = [Answer(200, json.dumps(plain))]
    source, _ = opened(options(server, end=START + timedelta(minutes=2)))
    assert sum(table.num_rows for table in source.batches()) == 2
    (remark,) = source.remarks()
    assert "rpc_seconds is a native histogram, which has no single value; ask for histogram_quantile" in remark


@pytest.mark.parametrize("result", ["[]", "null"])
def test_a_query_that_gives_nothing_is_named(server: Server, opened: Opener, result: str) -> None:
    server.script = [Answer(200, f'{{"status":"success","data":{{"resultType":"matrix","result":{result}}}}}')]
    source, _ = opened(options(server, end=START + timedelta(minutes=2)))
    assert list(source.batches()) == []
    assert "the query 'cpu_usage' gave no series from 2024-01-01" in source.remarks()[0]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            Answer(302, "", (("Location", "/new/api/v1/query_range?query=x"),)),
            r"points to http://127.*/new/api/v1/query_range \(tried once",
        ),
        (Answer(200, "<html>", (("Content-Type", "text/html; charset=utf-8"),)), "but text/html: a page of a sign-in or proxy"),
        (Answer(401, "Unauthorized"), "give a token, or name and password in the url, that may query"),
    ],
)
def test_a_door_that_is_shut_says_which_key(server: Server, opened: Opener, answer: Answer, said: str) -> None:
    server.script = [answer]
    source, _ = opened(options(server))
    with pytest.raises(SourceError, match=said):
        list(source.batches())


def test_a_page_that_is_too_much_is_asked_in_halves(server: Server, opened: Opener) -> None:
    much = Answer(
        422, '{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory"}'
    )
    server.script = [much, much]
    source, _ = opened(options(server))
    assert sum(table.num_rows for table in source.batches()) == 2 * 600
    spans = [int((float(page["end"]) - float(page["start"])) / float(page["step"])) + 1 for page in server.asked]
    assert spans[:3] == [240, 120, 60]
    assert max(spans[2:]) == 60
    server.script = [much] * 9
    hopeless, slept = opened(options(server))
    with pytest.raises(SourceError, match=r"too many samples .* ask for less: a longer step_s"):
        list(hopeless.batches())
    assert slept == []
