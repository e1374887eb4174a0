"""The real service in its own processes: HTTP equals gRPC bit for bit, refusals, roles, hot swaps under load, nothing lost."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import httpx
import jwt
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.dataset as pads
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from pydantic import SecretStr

from aiops.errors import ContractError, Unavailable
from aiops.settings import ServingSettings, Settings
from data_contracts.schemas import SERVED, SERVICE_FEATURES, SERVICE_FEATURES_TABLE, TIMESTAMP
from serving.bento.run import launch
from serving.proto import scoring_pb2 as pb
from serving.proto.scoring_pb2_grpc import ScoringStub
from serving.scoring_client import ScoringClient
from tests.fakes_models import OUTPUTS, LinearModel, point_alias, write_linear

KEY = "an-hs256-secret-for-this-test-only-0123456789"
ARROW = "application/vnd.apache.arrow.stream"
NAME = SERVICE_FEATURES[0]
FOREST, PREDICTOR = tuple(OUTPUTS)
TICK = datetime(2025, 3, 1, 12, tzinfo=UTC)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Service:
    """A running service."""

    process: subprocess.Popen[bytes]
    home: Path
    models: Path
    url: str
    grpc: str
    log: Path

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)


def start(folder: Path, serving: ServingSettings) -> Service:
    """Start the service over linear models 1 (champion) and 2, wait until it is ready."""
    home, models, log = folder / "home", folder / "models", folder / "service.log"
    for name in OUTPUTS:
        write_linear(models, name, "1", 0.25)
        write_linear(models, name, "2", -0.25)
        write_linear(models, name, "wrong", 0.5, example_shift=0.001)
        point_alias(models, name, {"champion": "1", "challenger": "2"})
    given = serving.model_dump(exclude_none=True)
    if serving.jwt_key is not None:
        given["jwt_key"] = serving.jwt_key.get_secret_value()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIOPS_", "MLFLOW_"))}
    environment |= {f"AIOPS_SERVING__{name.upper()}": str(value) for name, value in given.items()}
    start = launch(Settings(home=home, serving=serving), environment | {"TEST_MODELS": str(models)}, "tests.fakes_service:Scorer")
    home.mkdir(parents=True)
    with log.open("wb") as out:
        process = subprocess.Popen(start.argv, env=dict(start.environment), stdout=out, stderr=out, start_new_session=True)
    url = f"http://127.0.0.1:{serving.http_port}"
    service = Service(process, home, models, url, f"127.0.0.1:{serving.grpc_port}", log)
    wait_for(lambda: ready(url), 60, lambda: log.read_text()[-3000:])
    return service


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def wait_for(condition: Callable[[], bool], seconds: float, why: Callable[[], str]) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, why()
        time.sleep(0.05)


def fresh(**changes: Any) -> ServingSettings:
    return ServingSettings(
        http_port=free_port(), grpc_port=free_port(), poll_s=0.1, served_flush_s=0.2, max_body_bytes=1 << 20, **changes
    )


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = start(tmp_path_factory.mktemp("open"), fresh(max_rows=2000, timeout_s=2))
    yield running
    running.stop()


def vectors(count: int, seed: int = 0) -> pa.RecordBatch:
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 1, (count, len(SERVICE_FEATURES)))
    values[rng.random(values.shape) < 0.1] = np.nan
    values[0] = np.nan
    columns: list[Any] = [pa.array([TICK] * count, TIMESTAMP)] * 2
    columns += [pa.array([f"service-{n % 40}" for n in range(count)])]
    columns += [pa.array(values[:, index], mask=np.isnan(values[:, index])) for index in range(values.shape[1])]
    return pa.RecordBatch.from_arrays(columns, schema=SERVICE_FEATURES_TABLE)


def stream(batch: pa.RecordBatch | pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write(batch)
    return sink.getvalue().to_pybytes()


def matrix(batch: pa.RecordBatch) -> np.ndarray:
    return np.stack([batch.column(name).to_numpy(zero_copy_only=False) for name in SERVICE_FEATURES], axis=1)


def post(service: Service, path: str, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return httpx.post(f"{service.url}{path}", content=content, headers={"content-type": "application/json"} | headers, timeout=20)


def rows_message(batch: pa.RecordBatch) -> pb.Rows:
    message = pb.Rows(feature_names=SERVICE_FEATURES)
    for name, row in zip(batch.column("service").to_pylist(), matrix(batch), strict=True):
        message.rows.add(service=name, event_time_us=int(TICK.timestamp() * 1e6), features=row)
    return message


@pytest.mark.parametrize(
    ("path", "call", "name"), [("/score", "Score", FOREST), ("/predict_incident", "PredictIncident", PREDICTOR)]
)
def test_json_arrow_and_both_grpc_forms_answer_the_same_bits(service: Service, path: str, call: str, name: str) -> None:
    batch = vectors(200)
    known = batch.slice(1)
    expected = LinearModel(OUTPUTS[name], 0.25).score(matrix(batch))
    records = [{key: row[key] for key in ("service", "event_timestamp", *SERVICE_FEATURES)} for row in known.to_pylist()]
    by_json = post(service, path, {"rows": records}, **{"x-request-id": "same.id-1"})
    by_arrow = post(service, path, stream(batch), **{"content-type": ARROW})
    with grpc.insecure_channel(service.grpc) as channel:
        method = getattr(ScoringStub(channel), call)
        typed = method(pb.ScoreRequest(rows=rows_message(known)), metadata=(("x-request-id", "same.id-1"),))
        packed = method(pb.ScoreRequest(arrow_stream=stream(batch)))
    assert by_json.status_code == by_arrow.status_code == 200, by_json.text
    answer = by_json.json()
    outputs = list(OUTPUTS[name])
    json_scores = np.array([[row[output] for output in outputs] for row in answer["rows"]])
    table = pa.ipc.open_stream(by_arrow.content).read_all()
    arrow_scores = np.stack([table[output].to_numpy() for output in outputs], axis=1)
    typed_scores = np.array([list(row.scores) for row in typed.rows.rows])
    assert np.array_equal(arrow_scores, expected, equal_nan=True)
    assert json_scores.tobytes() == typed_scores.tobytes() == np.ascontiguousarray(expected[1:]).tobytes()
    again = pa.ipc.open_stream(packed.arrow_stream).read_all()
    assert again.drop_columns([]).equals(table)
    assert table["anomalous"].to_pylist()[0] is None
    assert [row["anomalous"] for row in answer["rows"]] == table["anomalous"].to_pylist()[1:]
    assert [row.anomalous for row in typed.rows.rows] == table["anomalous"].to_pylist()[1:]
    assert (answer["model"], answer["model_version"], answer["request_id"]) == (name, "1", "same.id-1")
    assert (typed.model, typed.model_version, typed.request_id) == (name, "1", "same.id-1")
    assert answer["thresholds"] == dict(zip(typed.outputs, typed.thresholds, strict=True))
    assert by_arrow.headers["x-model-version"] == "1"
    assert by_arrow.headers["x-request-id"]


def test_keys_alone_are_completed_online_and_reported_per_row(service: Service) -> None:
    body = {"rows": [{"service": "known"}, {"service": "stale"}, {"service": "nobody"}, {"service": "given", NAME: 1.0}]}
    rows = post(service, "/predict_incident", body).json()["rows"]
    with grpc.insecure_channel(service.grpc) as channel:
        message = pb.Rows(feature_names=[NAME])
        for name in ("known", "stale", "nobody"):
            message.rows.add(service=name)
        message.rows.add(service="given", features=[1.0])
        typed = ScoringStub(channel).PredictIncident(pb.ScoreRequest(rows=message)).rows.rows
    assert [row["features_from"] for row in rows] == ["online store"] * 3 + ["request"]
    assert rows[0]["unknown_features"] == list(typed[0].unknown_features) == [SERVICE_FEATURES[-1]]
    assert rows[1]["unknown_features"] == list(typed[1].unknown_features) == list(SERVICE_FEATURES)
    assert [row["p_60min"] is None for row in rows] == [False, True, True, False]
    assert rows[0]["p_60min"] == typed[0].scores[1]
    assert rows[1]["anomalous"] is None
    assert not typed[1].HasField("anomalous")


def test_explanations_over_http_and_grpc_agree(service: Service) -> None:
    body = {"rows": [{"service": "a", NAME: 2.0, SERVICE_FEATURES[5]: -4.0}], "model": FOREST}
    (row,) = post(service, "/explain", body).json()["rows"]
    with grpc.insecure_channel(service.grpc) as channel:
        message = pb.Rows(feature_names=[NAME, SERVICE_FEATURES[5]], rows=[pb.Row(service="a", features=[2.0, -4.0])])
        typed = ScoringStub(channel).Explain(pb.ExplainRequest(model=FOREST, rows=message))
    assert [item["feature"] for item in row["contributions"]][:2] == [SERVICE_FEATURES[5], NAME]
    assert [item["contribution"] for item in row["contributions"]] == [item.contribution for item in typed.rows[0].contributions]
    assert row["words"] == typed.rows[0].words
    assert row["score"] == typed.rows[0].score
    assert row["base_value"] + sum(item["contribution"] for item in row["contributions"]) == pytest.approx(row["margin"])


def chunked(size: int) -> Iterator[bytes]:
    for _ in range(size // 65536):
        yield b" " * 65536


JSON_TYPE = {"content-type": "application/json"}
GOOD = orjson.dumps({"rows": [{"service": "a", NAME: 1.0}]})
BAD: list[tuple[str, dict[str, Any], int, str]] = [
    ("/score", {"content": GOOD.replace(b"1.0", b"NaN"), "headers": JSON_TYPE}, 400, f"rows[0].{NAME}"),
    ("/score", {"content": GOOD.replace(b"1.0", b"-Infinity"), "headers": JSON_TYPE}, 400, f"rows[0].{NAME}"),
    ("/score", {"content": GOOD.replace(b"1.0", b"[1,[2]]"), "headers": JSON_TYPE}, 400, f"rows[0].{NAME}"),
    ("/score", {"content": GOOD.replace(b"1.0", b'"x"'), "headers": JSON_TYPE}, 400, f"rows[0].{NAME}"),
    ("/score", {"content": GOOD.replace(NAME.encode(), b"unheard"), "headers": JSON_TYPE}, 400, "rows[0].unheard"),
    ("/score", {"content": b'{"rows":[{"service":"known"}]}', "headers": JSON_TYPE}, 400, "rows[0]"),
    ("/score", {"content": orjson.dumps({"rows": [{"service": "a", NAME: 1}] * 2001}), "headers": JSON_TYPE}, 400, "rows"),
    ("/score", {"content": b"{", "headers": JSON_TYPE}, 400, "body"),
    ("/score", {"content": b"", "headers": JSON_TYPE}, 400, "body"),
    ("/score", {"content": b"x" * 99, "headers": {"content-type": ARROW}}, 400, "body"),
    ("/explain", {"content": b'{"rows":[{"service":"a"}],"model":"gpt"}', "headers": JSON_TYPE}, 400, "model"),
    ("/score", {"content": GOOD, "headers": {"content-type": "text/plain"}}, 415, "content-type"),
    ("/score", {"content": GOOD, "headers": {}}, 415, "content-type"),
    ("/score", {"content": GOOD, "headers": JSON_TYPE | {"content-encoding": "gzip"}}, 415, "content-type"),
    ("/score", {"content": GOOD, "headers": {"content-type": "application/json; charset=latin-1"}}, 415, "content-type"),
    ("/explain", {"content": GOOD, "headers": {"content-type": ARROW}}, 415, "content-type"),
    ("/score", {"content": b" " * ((1 << 20) + 1), "headers": JSON_TYPE}, 413, "body"),
    ("/predict_incident", {"content": chunked(4 << 20), "headers": JSON_TYPE}, 413, "body"),
    ("/no/such/path", {"content": GOOD, "headers": JSON_TYPE}, 404, "path"),
]


@pytest.mark.parametrize(("path", "request_", "status", "field"), BAD, ids=range(len(BAD)))
def test_bad_input_is_a_problem_that_names_its_place(
    service: Service, path: str, request_: dict[str, Any], status: int, field: str
) -> None:
    response = httpx.post(f"{service.url}{path}", timeout=20, **request_)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["field"] == field
    assert problem["status"] == status
    assert problem["type"].startswith("urn:aiops:problem:")
    assert problem["request_id"] == response.headers["x-request-id"]
    assert {"title", "detail"} <= set(problem)
    assert httpx.post(f"{service.url}/score", content=GOOD, headers=JSON_TYPE).status_code == 200


def test_other_methods_are_405(service: Service) -> None:
    response = httpx.get(f"{service.url}/score")
    assert (response.status_code, response.json()["value"]) == (405, "GET")


def test_grpc_refuses_with_the_words_of_http(service: Service) -> None:
    infinite = pb.Rows(feature_names=[NAME], rows=[pb.Row(service="a", features=[float("inf")])])
    over_http = post(service, "/score", GOOD.replace(b"1.0", b"Infinity")).json()
    corrupt = stream(vectors(3))[:500]
    corrupt_http = post(service, "/score", corrupt, **{"content-type": ARROW}).json()
    with grpc.insecure_channel(service.grpc) as channel:
        stub = ScoringStub(channel)
        for request, problem in (
            (pb.ScoreRequest(rows=infinite), over_http),
            (pb.ScoreRequest(arrow_stream=corrupt), corrupt_http),
        ):
            with pytest.raises(grpc.RpcError) as error:
                stub.Score(request, metadata=(("x-request-id", "r-1"),))
            assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert error.value.details() == problem["detail"]
            carried = dict(error.value.trailing_metadata())["problem-bin"]
            assert orjson.loads(carried) == problem | {"request_id": "r-1"}
        with pytest.raises(grpc.RpcError) as error:
            stub.Score(pb.ScoreRequest(arrow_stream=b"x" * (2 << 20)))
        assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_insane_request_ids_are_replaced(service: Service) -> None:
    for sent in ("a b", "x" * 65, "a;b", "<script>"):
        answered = post(service, "/score", GOOD, **{"x-request-id": sent}).headers["x-request-id"]
        assert answered != sent
        assert len(answered) == 32


def test_a_body_that_never_ends_is_504(service: Service) -> None:
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as slow:
        slow.sendall(b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{")
        answer = slow.recv(4096)
    assert answer.startswith(b"HTTP/1.1 504")
    assert b"urn:aiops:problem:timeout" in answer


def test_probes_metrics_and_the_description(service: Service) -> None:
    assert httpx.get(f"{service.url}/livez").status_code == 200
    assert httpx.get(f"{service.url}/readyz").json()["ready"] is True
    post(service, "/score", GOOD)
    metrics = httpx.get(f"{service.url}/metrics").text
    assert f'aiops_scoring_model_info{{alias="champion",model="{FOREST}",version="1"}} 1.0' in metrics
    assert 'aiops_scoring_requests_total{code="200",endpoint="/score",transport="http"}' in metrics
    assert "aiops_scoring_seconds_bucket" in metrics
    assert "bentoml_service_request_total" in metrics
    description = httpx.get(f"{service.url}/docs.json").json()
    assert set(description["paths"]) == {"/score", "/predict_incident", "/explain", "/livez", "/readyz", "/metrics"}
    row = description["components"]["schemas"]["Row"]
    assert set(SERVICE_FEATURES) < set(row["properties"])


def test_grpc_health_and_reflection(service: Service) -> None:
    with grpc.insecure_channel(service.grpc) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="aiops.scoring.v1.Scoring"))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        wanted = reflection_pb2.ServerReflectionRequest(list_services="")
        (listed,) = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([wanted]))
        assert "aiops.scoring.v1.Scoring" in {found.name for found in listed.list_services_response.service}


def test_the_client_scores_and_tells_unavailable_from_refused(service: Service) -> None:
    batch = vectors(50)
    with ScoringClient(service.url) as client:
        scored = client.score(batch)
        assert scored.model_version == "1"
        assert scored.rows.schema.names == ["service", "event_timestamp", "score", "anomalous", "model_version"]
        expected = LinearModel(("score",), 0.25).score(matrix(batch))[:, 0]
        assert np.array_equal(scored.rows.column("score").to_numpy(zero_copy_only=False), expected, equal_nan=True)
        predicted = client.predict(pa.RecordBatch.from_pydict({"service": ["known", "nobody"]}))
        assert predicted.rows.column("p_60min").is_null().to_pylist() == [False, True]
        with pytest.raises(ContractError, match="no such column"):
            client.score(pa.RecordBatch.from_pydict({"service": ["a"], "unheard": [1.0]}))
    with ScoringClient(f"http://127.0.0.1:{free_port()}") as nobody, pytest.raises(Unavailable):
        nobody.score(batch)


def test_a_wrong_version_is_refused_and_shown_while_the_old_one_answers(service: Service) -> None:
    point_alias(service.models, PREDICTOR, {"champion": "wrong"})

    def refused() -> bool:
        return any(slot["error"] for slot in httpx.get(f"{service.url}/readyz").json()["models"])

    wait_for(refused, 10, service.log.read_text)
    (slot,) = [one for one in httpx.get(f"{service.url}/readyz").json()["models"] if one["error"]]
    assert (slot["version"], slot["refused_version"]) == ("1", "wrong")
    assert "differ by 0.001" in slot["error"]
    assert post(service, "/predict_incident", GOOD).json()["model_version"] == "1"
    point_alias(service.models, PREDICTOR, {"champion": "1"})
    wait_for(lambda: not refused(), 10, service.log.read_text)


@dataclass
class Load:
    """Requests in a loop from one thread; every answer is checked against the model it names."""

    service: Service
    kind: str
    done: threading.Event
    answers: int = 0
    versions: frozenset[str] = frozenset()
    failures: tuple[str, ...] = ()

    def run(self) -> None:
        batch = vectors(64, seed=3)
        right = {v: LinearModel(("score",), w).score(matrix(batch))[1:, 0] for v, w in (("1", 0.25), ("2", -0.25))}
        with grpc.insecure_channel(self.service.grpc) as channel, ScoringClient(self.service.url) as client:
            stub = ScoringStub(channel)
            while not self.done.is_set():
                try:
                    if self.kind == "http":
                        scored = client.score(batch)
                        version, table = scored.model_version, scored.rows
                    else:
                        answer = stub.Score(pb.ScoreRequest(arrow_stream=stream(batch)), timeout=10)
                        version, table = answer.model_version, pa.ipc.open_stream(answer.arrow_stream).read_all()
                    scores = np.asarray(table.column("score").to_numpy(zero_copy_only=False))[1:]
                    if not np.array_equal(scores, right[version]):
                        self.failures += (f"version {version} did not give these scores",)
                    self.versions |= {version}
                    self.answers += 1
                except (Unavailable, ContractError, grpc.RpcError) as error:
                    self.failures += (repr(error),)


def test_swaps_under_load_fail_no_request_and_mix_no_models(service: Service) -> None:
    done = threading.Event()
    loads = [Load(service, kind, done) for kind in ("http", "http", "grpc")]
    threads = [threading.Thread(target=load.run) for load in loads]
    for thread in threads:
        thread.start()
    for version in ("2", "1", "2", "1"):
        point_alias(service.models, FOREST, {"champion": version})

        def swapped(wanted: str = version) -> bool:
            slots = httpx.get(f"{service.url}/readyz").json()["models"]
            return next(slot["version"] for slot in slots if slot["model"] == FOREST) == wanted

        wait_for(swapped, 10, service.log.read_text)
        time.sleep(0.3)
    done.set()
    for thread in threads:
        thread.join(15)
    assert [load.failures for load in loads] == [(), (), ()]
    assert all(load.answers > 20 for load in loads)
    assert all(load.versions == {"1", "2"} for load in loads)


def token(role: str, seconds: int = 60) -> dict[str, str]:
    claims = {"role": role, "exp": int(time.time()) + seconds}
    return {"authorization": f"Bearer {jwt.encode(claims, KEY, 'HS256')}"}


def test_with_a_key_roles_rule_and_no_secret_is_repeated_and_a_stop_loses_nothing(tmp_path: Path) -> None:
    service = start(tmp_path, fresh(jwt_key=SecretStr(KEY), challenger="shadow"))
    answers = []
    try:
        table = [
            ("POST", "/score", {}, 401),
            ("POST", "/score", {"authorization": "Bearer nonsense.secret.token"}, 401),
            ("POST", "/score", token("operator", -60), 401),
            ("POST", "/score", token("viewer"), 403),
            ("POST", "/score", token("operator"), 200),
            ("POST", "/predict_incident", token("viewer"), 403),
            ("POST", "/predict_incident", token("admin"), 200),
            ("POST", "/explain", token("viewer"), 200),
            ("GET", "/metrics", {}, 401),
            ("GET", "/metrics", token("viewer"), 200),
            ("GET", "/docs.json", {}, 401),
            ("GET", "/", {}, 401),
            ("GET", "/schema.json", {}, 401),
            ("GET", "/livez", {}, 200),
            ("GET", "/readyz", {}, 200),
        ]
        for method, path, headers, status in table:
            content = GOOD if method == "POST" else None
            response = httpx.request(method, f"{service.url}{path}", content=content, headers=JSON_TYPE | headers)
            answers.append(response.text + str(response.headers))
            assert response.status_code == status, (path, headers, response.text)
        with grpc.insecure_channel(service.grpc) as channel:
            stub = ScoringStub(channel)
            request = pb.ScoreRequest(rows=pb.Rows(feature_names=[NAME], rows=[pb.Row(service="a", features=[1.0])]))
            for headers, code in (({}, "UNAUTHENTICATED"), (token("viewer"), "PERMISSION_DENIED")):
                with pytest.raises(grpc.RpcError) as error:
                    stub.Score(request, metadata=tuple(headers.items()))
                assert error.value.code().name == code
            assert stub.Score(request, metadata=tuple(token("operator").items())).model_version == "1"
    finally:
        service.stop()
    said = service.log.read_text() + "".join(answers)
    assert KEY not in said
    assert "nonsense.secret.token" not in said
    assert "eyJ" not in said  # no token, not even part of one
    served = pads.dataset(service.home / "lake" / "served", schema=SERVED).to_table().to_pylist()
    counts = {role: sum(row["role"] == role for row in served) for role in ("champion", "shadow")}
    assert counts == {"champion": 3, "shadow": 3}
    assert service.process.returncode == 0


def test_beyond_loopback_without_a_key_nothing_starts(home: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIOPS_")}
    environment |= {"AIOPS_HOME": str(home), "AIOPS_SERVING__HOST": "0.0.0.0"}
    python = launch(Settings(home=home), environment).argv[0]
    done = subprocess.run(
        [python, "-m", "serving.bento"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "serving.host = 0.0.0.0" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_killed_supervisor_leaves_no_worker_behind(tmp_path: Path) -> None:
    service = start(tmp_path, fresh())
    body = json.dumps({"rows": [{"service": "a", NAME: 1.0}]}).encode()
    assert post(service, "/score", body).status_code == 200
    service.process.kill()
    service.process.wait(10)
    wait_for(lambda: not ready(service.url), 10, service.log.read_text)

    def logged() -> int:
        folder = service.home / "lake" / "served"
        return pads.dataset(folder, schema=SERVED).count_rows() if folder.is_dir() else 0

    wait_for(lambda: logged() == 1, 10, service.log.read_text)
