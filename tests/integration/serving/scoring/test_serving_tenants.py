"""Two tenants of one scoring service: on every route and method each gets its own, and neither the other's."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import httpx
import jwt
import orjson
import pyarrow as pa
import pyarrow.dataset as pads
import pytest
from pydantic import SecretStr

from data_contracts.schemas.telemetry_schemas import SERVED
from data_contracts.series.tenant import DEFAULT_TENANT, folder_of
from models.artifacts.tenant_models import own_name
from serving.lake.opening import open_lake
from serving.scoring.proto import scoring_pb2 as pb
from serving.stream.consumer.scoring_client import ScoringClient
from tests.testing.deadlines import within
from tests.testing.fakes_models import point_alias
from tests.testing.series_names import lake_rows
from tests.testing.serving_harness import FOREST, JSON_TYPE, NAME, Service, fresh, start, wait_for

KEY = "an-hs256-secret-for-this-test-only-0123456789"
ACME = "acme"
NOW = datetime.now(UTC).replace(microsecond=0)
OPEN = {"/livez", "/readyz"}
"""What everybody may ask; it says nothing of any tenant."""
INSTALLATION = {"/metrics", "/docs.json"}
"""About the installation, for whoever may act for some tenant."""


@dataclass(frozen=True)
class Question:
    """A question whose answer differs between the tenants, as a body and a message; what of an answer says whose it is."""

    body: dict[str, Any]
    message: Callable[[], Any]
    method: str
    of_json: Callable[[dict[str, Any]], Any]
    of_message: Callable[[Any], Any]


def known_row() -> pb.Rows:
    return pb.Rows(rows=[pb.Row(service="known")])


def point() -> pb.Points:
    at = int(NOW.timestamp()) * 1_000_000
    return pb.Points(rows=[pb.Point(service="known", metric="requests", timestamp_us=at, value=140.0)])


KNOWN = {"rows": [{"service": "known"}]}
QUESTIONS = {
    "/score": Question(
        {"rows": [{"service": "a", NAME: 1.0}]},
        lambda: pb.ScoreRequest(rows=pb.Rows(feature_names=[NAME], rows=[pb.Row(service="a", features=[1.0])])),
        "Score",
        lambda answer: (answer["model"], answer["model_version"], answer["rows"][0]["score"]),
        lambda answer: (answer.model, answer.model_version, answer.rows.rows[0].scores[0]),
    ),
    "/predict_incident": Question(
        KNOWN,
        lambda: pb.ScoreRequest(rows=known_row()),
        "PredictIncident",
        lambda answer: answer["rows"][0]["p_60min"],
        lambda answer: answer.rows.rows[0].scores[-1],
    ),
    "/explain": Question(
        KNOWN,
        lambda: pb.ExplainRequest(rows=known_row()),
        "Explain",
        lambda answer: answer["rows"][0]["margin"],
        lambda answer: answer.rows[0].margin,
    ),
    "/season": Question(
        {"rows": [{"service": "known", "metric": "requests", "timestamp": NOW.isoformat(), "value": 140.0}]},
        lambda: pb.SeasonRequest(rows=point()),
        "Season",
        lambda answer: answer["rows"][0]["status"],
        lambda answer: answer.rows.rows[0].status,
    ),
    "/root_cause": Question(
        {"service": "cart", "at": NOW.isoformat()},
        lambda: pb.RootCauseRequest(service="cart", at_us=int(NOW.timestamp()) * 1_000_000),
        "RootCause",
        lambda answer: answer["statement"],
        lambda answer: answer.statement,
    ),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = start(tmp_path_factory.mktemp("tenants"), fresh(jwt_key=SecretStr(KEY)))
    own = running.models / own_name(FOREST, ACME)
    shutil.copytree(running.models / FOREST / "2", own / "7")
    point_alias(running.models, own.name, {"champion": "7"})
    open_lake(running.home / "lake").for_tenant(ACME).write("telemetry", telemetry_of("cart"), "one")
    version = QUESTIONS["/score"].of_json
    wait_for(lambda: version(answer_for(running, "/score", ACME))[1] == "7", 30, running.log.read_text)
    yield running
    running.stop()


def telemetry_of(name: str) -> pa.Table:
    """Return two minutes of telemetry, which is too little to tell what is usual, but not nothing."""
    given: dict[str, Any] = {"service": name, "metric": "cpu_usage", "value": 0.5}
    rows = [given | {"timestamp": at, "available_at": at} for at in (NOW - timedelta(minutes=n) for n in (1, 2))]
    return lake_rows(pa.Table.from_pylist(rows))


def bearer(*tenants: str) -> dict[str, str]:
    claims = {"role": "operator", "exp": int(time.time()) + 600} | ({"tenants": list(tenants)} if tenants else {})
    return {"authorization": f"Bearer {jwt.encode(claims, KEY, 'HS256')}"}


def post(service: Service, path: str, headers: dict[str, str]) -> httpx.Response:
    content = orjson.dumps(QUESTIONS[path].body)
    return httpx.post(service.url + path, content=content, headers=JSON_TYPE | headers, timeout=within(30))


def answer_for(service: Service, path: str, tenant: str) -> dict[str, Any]:
    answer = post(service, path, bearer("*") | {"x-scope-orgid": tenant})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def called(service: Service, path: str, headers: dict[str, str]) -> Any:
    with grpc.insecure_channel(service.grpc) as channel:
        question, answers = QUESTIONS[path], pb.DESCRIPTOR.services_by_name["Scoring"].methods_by_name
        kind = getattr(pb, answers[question.method].output_type.name)
        method = channel.unary_unary(
            f"/aiops.scoring.v1.Scoring/{question.method}", lambda message: message.SerializeToString(), kind.FromString
        )
        return method(question.message(), metadata=tuple(headers.items()))


def code_of(service: Service, path: str, headers: dict[str, str]) -> str:
    try:
        called(service, path, headers)
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def seen_by(service: Service, path: str, tenant: str) -> list[Any]:
    """Return what tells whose an answer is, over HTTP and gRPC, asked with a token of that tenant alone."""
    headers = bearer(tenant) | {"x-scope-orgid": tenant}
    question = QUESTIONS[path]
    answer = post(service, path, headers)
    assert answer.status_code == 200, answer.text
    return [question.of_json(answer.json()), question.of_message(called(service, path, headers))]


def assert_apart(seen: list[Any], others: list[Any]) -> None:
    """The check of this file: one tenant's answers are the same over both transports, and another's are not among them."""
    assert seen[0] == pytest.approx(seen[1]) if isinstance(seen[0], float) else seen[0] == seen[1]
    assert all(mark not in others for mark in seen), (seen, others)


def test_every_route_and_method_is_walked(service: Service) -> None:
    description = httpx.get(f"{service.url}/docs.json", headers=bearer()).json()
    assert {path for path, methods in description["paths"].items() if "post" in methods} == set(QUESTIONS)
    assert {path for path, methods in description["paths"].items() if "get" in methods} == OPEN | INSTALLATION - {"/docs.json"}
    methods = {method.name for method in pb.DESCRIPTOR.services_by_name["Scoring"].methods}
    assert methods == {question.method for question in QUESTIONS.values()}
    for path in QUESTIONS:
        names = {parameter["name"] for parameter in description["paths"][path]["post"]["parameters"]}
        assert "X-Scope-OrgID" in names


@pytest.mark.parametrize("path", QUESTIONS)
def test_each_tenant_gets_its_own_and_not_the_others(service: Service, path: str) -> None:
    assert_apart(seen_by(service, path, DEFAULT_TENANT), seen_by(service, path, ACME))


@pytest.mark.parametrize("path", QUESTIONS)
def test_the_check_fails_where_tenants_are_one(service: Service, path: str) -> None:
    with pytest.raises(AssertionError):
        assert_apart(seen_by(service, path, ACME), seen_by(service, path, ACME))


@pytest.mark.parametrize("path", QUESTIONS)
def test_a_token_is_for_its_tenants_only(service: Service, path: str) -> None:
    for headers, status, code in (
        (bearer(ACME), 200, "OK"),
        (bearer(ACME, "other"), 403, "PERMISSION_DENIED"),
        (bearer() | {"x-scope-orgid": ACME}, 403, "PERMISSION_DENIED"),
        (bearer(ACME) | {"x-scope-orgid": "Acme"}, 403, "PERMISSION_DENIED"),
        (bearer("*") | {"x-scope-orgid": "a/b"}, 400, "INVALID_ARGUMENT"),
        (bearer("*") | {"x-scope-orgid": "acme|default"}, 400, "INVALID_ARGUMENT"),
        (bearer("*") | {"x-scope-orgid": ACME}, 200, "OK"),
        (bearer(), 200, "OK"),
    ):
        assert (post(service, path, headers).status_code, code_of(service, path, headers)) == (status, code), headers


def test_what_is_about_the_installation_asks_for_some_tenant_too(service: Service) -> None:
    for path in INSTALLATION:
        assert httpx.get(service.url + path, headers=bearer()).status_code == 200
        assert httpx.get(service.url + path, headers=bearer(ACME, "other")).status_code == 403
        assert httpx.get(service.url + path, headers=bearer(ACME)).status_code == 200
        assert httpx.get(service.url + path, headers=bearer(ACME) | {"x-scope-orgid": ACME}).status_code == 200
    for path in OPEN:
        assert ACME not in httpx.get(service.url + path).text


def test_served_rows_go_to_their_tenants_lake(service: Service) -> None:
    with ScoringClient(service.url, token=bearer("*")["authorization"].removeprefix("Bearer ")) as client:
        columns: dict[str, Any] = {"service": ["only-acme", "only-acme"], NAME: [1.0, 2.0]}
        scored = client.score(pa.RecordBatch.from_pydict(columns), ACME)
    assert scored.model_version == "7"
    root = service.home / "lake"

    def served(tenant: str) -> set[str]:
        path = root / folder_of(tenant) / "served"
        return set(pads.dataset(path, schema=SERVED).to_table()["service"].to_pylist()) if path.exists() else set()

    wait_for(lambda: "only-acme" in served(ACME), 10, service.log.read_text)
    assert "only-acme" not in served(DEFAULT_TENANT)
