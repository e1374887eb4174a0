"""The real service in its own processes: HTTP equals gRPC bit for bit, swaps under load fail nothing, nothing is left behind."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import httpx
import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from aiops.errors import ContractError, Unavailable
from data_contracts.schemas.telemetry_schemas import SERVED, SERVICE_FEATURES
from serving.scoring.proto import scoring_pb2 as pb
from serving.scoring.proto.scoring_pb2_grpc import ScoringStub
from serving.stream.consumer.scoring_client import ScoringClient
from tests.testing.deadlines import within
from tests.testing.fakes_models import OUTPUTS, LinearModel, point_alias
from tests.testing.serving_harness import (
    ARROW,
    FOREST,
    GOOD,
    NAME,
    PREDICTOR,
    Service,
    free_port,
    fresh,
    matrix,
    post,
    ready,
    rows_message,
    start,
    stream,
    vectors,
    wait_for,
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = start(tmp_path_factory.mktemp("open"), fresh(max_rows=2000))
    yield running
    running.stop()


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
    assert rows[0]["p_60min"] == typed[0].scores[2]
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
    paths = {"/score", "/predict_incident", "/explain", "/season", "/root_cause", "/livez", "/readyz", "/metrics"}
    assert set(description["paths"]) == paths
    row = description["components"]["schemas"]["Row"]
    assert set(SERVICE_FEATURES) < set(row["properties"])


def test_grpc_health_and_reflection(service: Service) -> None:
    with grpc.insecure_channel(service.grpc) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="aiops.scoring.v1.Scoring"))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        wanted = reflection_pb2.ServerReflectionRequest(list_services="")
        (listed,) = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([wanted]))
        assert "aiops.scoring.v1.Scoring" in {listing.name for listing in listed.list_services_response.service}


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
    (slot,) = [status for status in httpx.get(f"{service.url}/readyz").json()["models"] if status["error"]]
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
                        answer = stub.Score(pb.ScoreRequest(arrow_stream=stream(batch)), timeout=within(10))
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
        thread.join(within(15))
    assert [load.failures for load in loads] == [(), (), ()]
    assert all(load.answers > 20 for load in loads)
    assert all(load.versions == {"1", "2"} for load in loads)


def test_a_killed_supervisor_leaves_no_worker_behind(tmp_path: Path) -> None:
    service = start(tmp_path, fresh())
    body = json.dumps({"rows": [{"service": "a", NAME: 1.0}]}).encode()
    assert post(service, "/score", body).status_code == 200
    service.process.kill()
    service.process.wait(within(10))
    wait_for(lambda: not ready(service.url), 10, service.log.read_text)

    def logged() -> int:
        folder = service.home / "lake" / "tenant=default" / "served"
        return pads.dataset(folder, schema=SERVED).count_rows() if folder.is_dir() else 0

    wait_for(lambda: logged() == 1, 10, service.log.read_text)


def test_seasons_over_http_and_grpc_are_the_same_bits(service: Service) -> None:
    at = datetime.now(UTC).replace(microsecond=0)
    points = [
        {"service": name, "metric": "requests", "timestamp": (at + timedelta(minutes=n)).isoformat(), "value": value}
        for n, (name, value) in enumerate((("known", 140.0), ("known", None), ("stale", 3.0), ("nobody", 0.1)))
    ]
    rows = post(service, "/season", {"rows": points}).json()
    message = pb.Points()
    for point in points:
        time_us = int(datetime.fromisoformat(str(point["timestamp"])).timestamp() * 1e6)
        message.rows.add(service=str(point["service"]), metric="requests", timestamp_us=time_us, value=_number(point["value"]))
    with grpc.insecure_channel(service.grpc) as channel:
        typed = ScoringStub(channel).Season(pb.SeasonRequest(rows=message), metadata=(("x-request-id", rows["request_id"]),))
    assert (typed.model, typed.model_version, typed.request_id) == (rows["model"], rows["model_version"], rows["request_id"])
    for row, message in zip(rows["rows"], typed.rows.rows, strict=True):
        for name in ("value", "expected", "lower", "upper", "score", "rarity"):
            assert np.array_equal(getattr(message, name), _number(row[name]), equal_nan=True), name
        assert (message.anomalous if message.HasField("anomalous") else None) == row["anomalous"]
        assert [getattr(message, name) for name in ("status", "words", "model_version")] == [
            row[name] for name in ("status", "words", "model_version")
        ]


def _number(value: object) -> float:
    return float("nan") if value is None else float(str(value))


def test_root_causes_over_http_and_grpc_are_the_same(service: Service) -> None:
    start_at = datetime(2026, 3, 2, tzinfo=UTC)
    began = start_at + timedelta(minutes=90)
    rng = np.random.default_rng(0)
    points = [
        {
            "service": name,
            "metric": "latency_mean_s",
            "timestamp": (start_at + timedelta(minutes=minute)).isoformat(),
            "value": float(rng.normal(0.1, 0.002) + (0.5 if minute >= 90 else 0.0)),
        }
        for minute in range(95)
        for name in ("web", "db")
    ]
    change = {"at": began.isoformat(), "service": "db", "kind": "deployment", "what": "release 12"}
    body = {
        "rows": points, "edges": [["web", "db"]], "window_start": began.isoformat(), "service": "web", "changes": [change]
    }  # fmt: skip
    report = post(service, "/root_cause", body).json()
    message = pb.Points()
    for point in points:
        moment = datetime.fromisoformat(str(point["timestamp"]))
        message.rows.add(
            service=str(point["service"]), metric="latency_mean_s", timestamp_us=int(moment.timestamp()) * 1_000_000,
            value=float(str(point["value"])),
        )  # fmt: skip
    began_us = int(began.timestamp()) * 1_000_000
    changes = pb.Changes(changes=[pb.Change(at_us=began_us, service="db", kind="deployment", what="release 12")])
    request = pb.RootCauseRequest(
        service="web", rows=message, edges=[pb.Call(caller="web", callee="db")], window_start_us=began_us, changes=changes
    )
    with grpc.insecure_channel(service.grpc) as channel:
        typed = ScoringStub(channel).RootCause(request)
        with pytest.raises(grpc.RpcError) as error:
            ScoringStub(channel).RootCause(pb.RootCauseRequest(service="web"))
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.details() == post(service, "/root_cause", {"service": "web"}).json()["detail"]
    assert report["causes"][0]["service"] == "db"
    assert (typed.statement, typed.decided, typed.symptom) == (report["statement"], report["decided"], report["symptom"])
    assert typed.none_probability == report["none_probability"]
    for cause, row in zip(typed.causes, report["causes"], strict=True):
        assert (cause.service, cause.probability, cause.score) == (row["service"], row["probability"], row["score"])
        assert (cause.sentence, list(cause.path)) == (row["sentence"], row["path"])
        for item, seen in zip(cause.evidence, row["evidence"], strict=True):
            assert (item.text, item.score, item.metric) == (seen["text"], seen["score"], seen["metric"])
            assert [item.seen, item.usual] == [seen["seen"], seen["usual"]]
        assert [item.what for item in cause.changes] == [item["what"] for item in row["changes"]]


@pytest.mark.parametrize("call", ["Score", "PredictIncident", "Season", "RootCause", "Explain"])
def test_malformed_messages_and_web_pages_are_refused_over_grpc(service: Service, call: str) -> None:
    said = len(service.log.read_text())
    with grpc.insecure_channel(service.grpc) as channel:
        raw = channel.unary_unary(f"/aiops.scoring.v1.Scoring/{call}")
        for body in (b"\xff\xff\xff", b"\x0a\x7f", b"\x0a\x02\xff\xff"):
            with pytest.raises(grpc.RpcError) as error:
                raw(body)
            assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT, (call, body)
        with pytest.raises(grpc.RpcError) as error:
            raw(b"", metadata=(("origin", "https://evil.example"),))
        assert error.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert "Traceback" not in service.log.read_text()[said:]


def test_a_browser_gets_nothing_from_the_grpc_port(service: Service) -> None:
    host, port = service.grpc.split(":")
    with socket.create_connection((host, int(port)), timeout=within(10)) as browser:
        browser.sendall(b"POST /aiops.scoring.v1.Scoring/Score HTTP/1.1\r\nhost: evil.example\r\ncontent-length: 0\r\n\r\n")
        answer = b""
        while part := browser.recv(4096):
            answer += part
    assert not answer.startswith(b"HTTP/1")
