"""/root_cause: telemetry sent along or looked up, a bad question is a 400 that names its place, the answer says what it is."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import orjson
import pytest
from prometheus_client import CollectorRegistry

from aiops.errors import StateError
from aiops.incidents.root_cause import RootCauseReport
from aiops.incidents.root_cause_question import RootCauseQuestion
from serving.http.problem import ProblemError
from serving.scoring.answers.request_origin import RequestOrigin
from serving.scoring.answers.root_cause_answers import MODEL, RootCauses, root_cause_json
from serving.scoring.answers.scoring_metrics import ScoringMetrics
from serving.scoring.http_api.scoring_openapi import openapi
from serving.scoring.requests.root_cause_request import InlineQuestion, LakeQuestion, parse_root_cause

START = datetime(2026, 3, 2, tzinfo=UTC)
CALM, BEGAN = 90, START + timedelta(minutes=90)
EDGES = [["web", "cart"], ["cart", "db"]]
LIMIT = 10_000


def points(minutes: int = CALM + 5) -> list[dict[str, Any]]:
    """Return latency and traffic of three services; db, and so its callers, is half a second slower from `BEGAN` on."""
    rng = np.random.default_rng(0)
    rows = []
    for minute in range(minutes):
        slow = 0.5 if minute >= CALM else 0.0
        for service, latency in (("web", 0.1), ("cart", 0.05), ("db", 0.02)):
            values = {"latency_mean_s": latency * rng.normal(1, 0.02) + slow, "requests_per_second": 100 * rng.normal(1, 0.02)}
            at = (START + timedelta(minutes=minute)).isoformat()
            rows += [{"service": service, "metric": name, "timestamp": at, "value": value} for name, value in values.items()]
    return rows


def question(**changes: Any) -> dict[str, Any]:
    whole = {"rows": points(), "edges": EDGES, "window_start": BEGAN.isoformat(), "service": "web"} | changes
    return {name: value for name, value in whole.items() if value is not None}


def parsed(body: dict[str, Any]) -> LakeQuestion | InlineQuestion:
    return parse_root_cause(orjson.dumps(body), LIMIT)


def causes(analyst: Any = None) -> RootCauses:
    return RootCauses(analyst, ScoringMetrics(CollectorRegistry()))


def answered(body: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = orjson.loads(root_cause_json(causes().answer(parsed(body), RequestOrigin("id-7"))))
    return answer


def test_the_root_is_named_from_telemetry_that_is_sent_along() -> None:
    answer = answered(question())
    assert (answer["model"], answer["request_id"], answer["symptom"]) == (MODEL, "id-7", "web")
    first = answer["causes"][0]
    assert (first["service"], first["path"]) == ("db", ["db", "cart", "web"])
    assert 0.5 < first["probability"] <= 1
    assert answer["decided"] is True
    assert first["evidence"][0]["metric"] == "latency_mean_s"
    assert answered(question(service=None))["causes"][0]["service"] == "db"


def test_only_rows_up_to_the_moment_asked_about_count() -> None:
    at = (BEGAN + timedelta(minutes=2)).isoformat()
    assert answered(question(at=at)) == answered(question(at=at, rows=points(CALM + 3)))
    answer = answered(question(at=at))
    assert answer["made_at"] == answer["window_end"] == "2026-03-02T01:32:00Z"


def test_a_change_that_is_sent_is_evidence() -> None:
    change = {"at": (BEGAN - timedelta(minutes=1)).isoformat(), "service": "db", "kind": "deployment", "what": "release 12"}
    cause = answered(question(changes=[change]))["causes"][0]
    assert [evidence["what"] for evidence in cause["changes"]] == ["release 12"]
    assert cause["probability"] >= answered(question(changes=[]))["causes"][0]["probability"]


@pytest.mark.parametrize(
    ("body", "field", "rule"),
    [
        ({}, "service", "a service is needed"),
        ({"service": "web"}, "at", "a time is needed"),
        ({"service": "web", "at": "2026-03-02T00:00:00"}, "at", "timezone"),
        ({"service": "web", "at": BEGAN.isoformat(), "minutes": 0}, "minutes", "> 0.0"),
        ({"service": "web", "at": BEGAN.isoformat(), "minutes": 1e6}, "minutes", "<= 1440"),
        ({"service": "web", "at": BEGAN.isoformat(), "edges": EDGES}, "edges", "with rows only"),
        ({"service": "web", "when": 1}, "when", "no such field"),
        (question(window_start=None), "window_start", "when the trouble began"),
        (question(window_start=START.isoformat()), "window_start", "some before and some after"),
        (question(window_start="2026-03-03T00:00:00Z"), "window_start", "some before and some after"),
        (question(minutes=3), "minutes", "service and at only"),
        (question(edges=[["web"]]), "edges[0]", "length 2"),
        (question(step_s=0), "step_s", ">= 1"),
        (question(at=START.isoformat()), "at", "not before window_start"),
        (question(changes=[{"at": BEGAN.isoformat(), "service": "", "kind": "x"}]), "changes[0].service", "length >= 1"),
        (question(rows=[]), "rows", "1 to 10000 rows"),
        (question(rows=[{"service": "web"}]), "rows[0]", "metric"),
    ],
)
def test_a_bad_question_is_named(body: dict[str, Any], field: str, rule: str) -> None:
    with pytest.raises(ProblemError) as refused:
        parsed(body)
    problem = refused.value.problem
    assert (problem.status, problem.field) == (400, field)
    assert rule in problem.rule
    assert problem.fix


def test_telemetry_that_does_not_suffice_is_refused() -> None:
    for body, says in (
        (question(window_start=(START + timedelta(minutes=10)).isoformat()), "at least 20 steps lie before window_start"),
        (question(service="mail"), "service = mail: the service has rows"),
        (
            question(rows=[{**row, "value": None} if row["timestamp"] >= BEGAN.isoformat() else row for row in points()]),
            "a value",
        ),
    ):
        with pytest.raises(ProblemError, match=says):
            causes().answer(parsed(body), RequestOrigin("id"))


def test_few_rows_cannot_make_a_huge_grid() -> None:
    wide = [
        {"service": f"s{n}", "metric": "m", "timestamp": (START + timedelta(seconds=n)).isoformat(), "value": 1.0}
        for n in range(3000)
    ]
    with pytest.raises(ProblemError, match="9000000 cells: steps x series are at most 4000000"):
        parsed(question(rows=wide, step_s=1))


def test_a_service_and_a_time_are_looked_up() -> None:
    asked: list[RootCauseQuestion] = []
    report = RootCauseReport(BEGAN, BEGAN, BEGAN, "web", (), False, "nothing stands out")

    class Analyst:
        def answer(self, question: RootCauseQuestion) -> RootCauseReport:
            asked.append(question)
            return report

    made: list[Analyst] = []
    tenants: list[str] = []

    def make(tenant: str) -> Analyst:
        tenants.append(tenant)
        made.append(Analyst())
        return made[-1]

    service, wanted = causes(make), parsed({"service": "web", "at": BEGAN.isoformat(), "minutes": 15})
    assert made == [], "the lake is opened at the first question"
    answers = [service.answer(wanted, RequestOrigin(name)) for name in ("a", "b")]
    assert len(made) == 1
    service.answer(wanted, RequestOrigin("c", "acme"))
    assert tenants == ["default", "acme"]
    assert asked[0] == RootCauseQuestion({"web": BEGAN - timedelta(minutes=15)}, BEGAN)
    assert orjson.loads(root_cause_json(answers[1]))["statement"] == "nothing stands out"


def test_a_lake_that_is_missing_or_damaged_is_a_503() -> None:
    class Damaged:
        def __init__(self, _tenant: str) -> None: ...

        def answer(self, question: RootCauseQuestion) -> RootCauseReport:
            raise StateError("a file of the lake is damaged")

    wanted = parsed({"service": "web", "at": BEGAN.isoformat()})
    for analyst, kind in ((None, "no-telemetry"), (Damaged, "telemetry-unavailable")):
        with pytest.raises(ProblemError) as refused:
            causes(analyst).answer(wanted, RequestOrigin("id"))
        assert (refused.value.problem.status, refused.value.problem.kind) == (503, kind)


def test_the_description_lists_the_endpoint() -> None:
    description = openapi()
    body = description["paths"]["/root_cause"]["post"]["requestBody"]["content"]
    assert body["application/json"]["schema"]["$ref"].endswith("/RootCauseRequest")
    schema = description["components"]["schemas"]["RootCauseResponse"]
    assert set(answered(question())) <= set(schema["properties"])
