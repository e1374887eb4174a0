"""What the real service refuses: bad input as problems that name their place, callers without the role; and no secret leaks."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import jwt
import orjson
import pyarrow.dataset as pads
import pytest
from pydantic import SecretStr

from aiops.settings.tree import Settings
from data_contracts.schemas.telemetry_schemas import SERVED
from serving.scoring.proto import scoring_pb2 as pb
from serving.scoring.proto.scoring_pb2_grpc import ScoringStub
from serving.scoring.run import launch
from tests.testing.deadlines import within
from tests.testing.serving_harness import ARROW, GOOD, JSON_TYPE, NAME, Service, fresh, post, start, stream, vectors

KEY = "an-hs256-secret-for-this-test-only-0123456789"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = start(tmp_path_factory.mktemp("open"), fresh(max_rows=2000, timeout_s=2))
    yield running
    running.stop()


def chunked(size: int) -> Iterator[bytes]:
    for _ in range(size // 65536):
        yield b" " * 65536


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
    response = httpx.post(f"{service.url}{path}", timeout=within(20), **request_)
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
    with socket.create_connection((host, int(port)), timeout=within(10)) as slow:
        slow.sendall(b"POST /score HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{")
        answer = b""
        while b"request_id" not in answer:
            part = slow.recv(4096)
            assert part, answer
            answer += part
    assert answer.startswith(b"HTTP/1.1 504")
    assert b"urn:aiops:problem:timeout" in answer


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
    served = pads.dataset(service.home / "lake" / "tenant=default" / "served", schema=SERVED).to_table().to_pylist()
    counts = {role: sum(row["role"] == role for row in served) for role in ("champion", "shadow")}
    assert counts == {"champion": 3, "shadow": 3}
    assert service.process.returncode == 0


def test_beyond_loopback_without_a_key_nothing_starts(home: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIOPS_")}
    environment |= {"AIOPS_HOME": str(home), "AIOPS_SERVING__HOST": "0.0.0.0"}
    python = launch(Settings(home=home), environment).argv[0]
    done = subprocess.run(
        [python, "-m", "serving.scoring"], env=environment, capture_output=True, text=True, timeout=within(60), check=False
    )
    assert done.returncode == 2
    assert "serving.host = 0.0.0.0" in done.stderr
    assert "Traceback" not in done.stderr
