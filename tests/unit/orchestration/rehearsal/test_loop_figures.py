"""The figures of `aiops run` on hand-made tables: incidents, predictor, parity, quantiles, report, fitted settings."""

import math
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from aiops.automation.run import RunState
from aiops.errors import Unavailable
from aiops.incidents.root_cause import RootCause, RootCauseReport
from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.consumer_settings import ConsumerSettings
from aiops.settings.drift_settings import DriftSettings
from aiops.settings.serving_settings import ServingSettings
from aiops.settings.telemetry_settings import TelemetrySettings
from aiops.settings.tree import Settings
from aiops.settings.up_settings import UpSettings
from aiops.topology.graph import ServiceGraph
from data_contracts.schemas.telemetry_schemas import EDGES, INCIDENTS, SERVICE_FEATURES, SERVICE_FEATURES_TABLE, TIMESTAMP
from orchestration.pipeline.telemetry_step import fitted_settings, median_step_s
from orchestration.rehearsal.acted_run import ActedLine, ActedRun, missing_ends
from orchestration.rehearsal.evaluate import Outputs, find_incidents, predictor_figures
from orchestration.rehearsal.html_report import Figure, highlights, summary_rows, write_report
from orchestration.rehearsal.opened_incidents import OpenedIncident, RootFigures
from orchestration.rehearsal.parity import greatest_difference
from orchestration.rehearsal.run_result import (
    DriftFigures,
    IncidentLine,
    LatencyFigures,
    PredictorFigures,
    RequestFigures,
    ResponderFigures,
    RunResult,
)
from orchestration.suite import metrics_page, services
from orchestration.suite.health import ModelLine
from orchestration.suite.metrics_page import MetricsPage
from tests.testing.local_server import served_by

START = datetime(2025, 3, 3, tzinfo=UTC)
EDGE_ROWS = [{"caller": "web", "callee": "cart", "valid_from": START}, {"caller": "mail", "callee": "queue", "valid_from": START}]
GRAPH = ServiceGraph.from_edges(pa.Table.from_pylist(EDGE_ROWS, schema=EDGES))


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def incident(name: str, service: str, onset: float, starts: float, ends: float) -> dict[str, object]:
    times = {"onset_at": at(onset), "starts_at": at(starts), "ends_at": at(ends), "known_at": at(ends)}
    return {"incident_id": name, "service": service, "kind": "memory_leak", **times}


def labels(*rows: dict[str, object]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=INCIDENTS)


class Detected(NamedTuple):
    detection_id: str
    revision: int
    minute: float
    service: str
    anomalous: bool
    metric: str = "error_rate"


class Predicted(NamedTuple):
    minute: float
    service: str
    p_60min: float
    alarm: bool


def detections(*rows: Detected) -> pd.DataFrame:
    columns = ["detection_id", "revision", "timestamp", "service", "anomalous", "metric"]
    frame = pd.DataFrame([(i, r, at(t), s, a, m) for i, r, t, s, a, m in rows], columns=columns)
    return frame.astype({"timestamp": "datetime64[us, UTC]", "anomalous": bool})


def predictions(*rows: Predicted) -> pd.DataFrame:
    frame = pd.DataFrame([(at(t), s, p, a) for t, s, p, a in rows], columns=["timestamp", "service", "p_60min", "alarm"])
    return frame.astype({"timestamp": "datetime64[us, UTC]", "alarm": bool, "p_60min": float})


def features(keys: list[tuple[str, datetime]]) -> pa.Table:
    columns: dict[str, object] = {name: np.full(len(keys), 0.5) for name in SERVICE_FEATURES}
    columns["service"] = [service for service, _ in keys]
    columns["event_timestamp"] = pa.array([time for _, time in keys], TIMESTAMP)
    columns["available_at"] = columns["event_timestamp"]
    kept = {name: columns[name] for name in SERVICE_FEATURES_TABLE.names if name in columns}
    return pa.table(kept)


def outputs(detected: pd.DataFrame, predicted: pd.DataFrame, truth: pa.Table, *opened: OpenedIncident) -> Outputs:
    keys = [(str(s), t) for t, s in zip(predicted["timestamp"], predicted["service"], strict=True)]
    return Outputs(detected, predicted, features(keys), truth, GRAPH, opened)


def opened(name: str, begin: float, end: float, services: tuple[str, ...], *causes: str) -> OpenedIncident:
    named = tuple(RootCause(service, 0.5, "") for service in causes)
    report = RootCauseReport(at(end), at(begin), at(end), services[0], named, True, "") if causes else None
    return OpenedIncident(name, at(begin), at(end), services, 3, True, services[0], report)


def test_incidents_are_matched_with_their_labels() -> None:
    truth = labels(incident("a", "cart", 60, 120, 150), incident("b", "queue", 300, 300, 330))
    detected = detections(
        Detected("1", 0, 125, "web", True, "log.error_ratio"),  # a neighbour of cart, 5 min after the start
        Detected("2", 0, 130, "cart", True),
        Detected("3", 0, 600, "mail", True),  # belongs to nothing
        Detected("4", 0, 310, "queue", True),
        Detected("4", 1, 310, "queue", False),  # taken back by a later revision
    )
    predicted = predictions(
        Predicted(80, "cart", 0.9, True),
        Predicted(100, "cart", 0.9, True),
        Predicted(40, "cart", 0.9, True),
        Predicted(290, "queue", 0.9, True),
    )
    findings = find_incidents(outputs(detected, predicted, truth))
    assert [(line.incident_id, line.foreseen_min, line.detected_min) for line in findings.lines] == [
        ("a", 40.0, 5.0),
        ("b", None, None),  # sudden: an alarm before it is luck
    ]
    assert [line.seen_by for line in findings.lines] == ["log.error_ratio of web", ""]
    assert not any(line.is_gray for line in findings.lines)


def test_opened_incidents_are_matched_with_labels_by_time_and_calls() -> None:
    truth = labels(
        incident("a", "cart", 60, 120, 150), incident("b", "queue", 300, 300, 330), incident("c", "cart", 900, 900, 950)
    )
    detected = (
        opened("early", 10, 50, ("cart",), "cart"),  # over before its onset
        opened("neighbour", 70, 160, ("web",), "web"),  # one that has the service itself goes before
        opened("first", 125, 160, ("web", "cart"), "web", "cart"),
        opened("second", 130, 160, ("cart",), "cart"),
        opened("other", 310, 320, ("web",), "web"),  # at the time of b, but of another application
        opened("late", 350, 360, ("mail", "queue"), "queue", "mail"),
        opened("unexplained", 905, 910, ("cart",)),
    )
    findings = find_incidents(outputs(detections(), predictions(), truth, *detected))
    assert [(line.opened, line.root_rank) for line in findings.lines] == [("first", 2), ("late", 1), ("unexplained", None)]
    assert findings.false == 1, "only the one at another time than any label"
    assert findings.roots == RootFigures(judged=2, first=1, among_three=2, alerted_first=0)


def test_an_alarm_too_early_or_of_another_service_foresees_nothing() -> None:
    truth = labels(incident("a", "cart", 60, 120, 150))
    predicted = predictions(
        Predicted(59, "cart", 0.9, True),
        Predicted(100, "web", 0.9, True),
        Predicted(110, "cart", 0.9, False),
        Predicted(120, "cart", 0.9, True),
    )
    assert find_incidents(outputs(detections(), predicted, truth)).lines[0].foreseen_min is None


def test_without_detections_all_figures_are_nothing() -> None:
    findings = find_incidents(outputs(detections(), predictions(), labels()))
    assert (findings.lines, findings.false, findings.roots.judged) == ((), 0, 0)


def test_a_perfect_predictor_has_an_area_of_1_beside_its_base_rate() -> None:
    truth = labels(incident("a", "cart", 60, 120, 150))
    rows = [Predicted(float(t), "cart", 0.9 if 60 <= t < 120 else 0.1, 60 <= t < 120) for t in range(0, 120, 5)]
    result = outputs(detections(), predictions(*rows), truth)
    figures = predictor_figures(result, find_incidents(result).lines)
    assert figures.pr_auc == pytest.approx(1.0)
    assert figures.base_rate == pytest.approx(0.5)
    assert figures.lead_min == 60.0
    assert figures.false_pages_per_service_day == 0.0


def test_the_predictor_figures_say_why_they_are_missing() -> None:
    nothing = outputs(detections(), predictions(), labels())
    assert "no labelled incident" in predictor_figures(nothing, ()).reason
    unlabelled = outputs(detections(), predictions(Predicted(5, "cart", 0.4, False)), labels())
    figures = predictor_figures(unlabelled, ())
    assert (figures.pr_auc, figures.base_rate) == (None, 0.0)
    assert figures.reason == "no labelled incident starts within the replay"


def table_of(values: list[float], services: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame(dict.fromkeys(SERVICE_FEATURES, values))
    return frame.assign(service=services, event_timestamp=START)


def test_the_greatest_difference_is_exact_and_strict() -> None:
    left = table_of([1.0, math.nan], ["a", "b"])
    assert greatest_difference(left, left.iloc[::-1]) == 0.0
    right = left.copy()
    right.loc[0, SERVICE_FEATURES[-1]] = 1.0 + 3e-7
    assert greatest_difference(left, right) == pytest.approx(3e-7, rel=1e-6)
    right.loc[1, SERVICE_FEATURES[0]] = 2.0
    assert greatest_difference(left, right) == math.inf, "a value beside NaN"
    assert greatest_difference(left, left.iloc[:1]) == math.inf, "a row without a partner"
    assert greatest_difference(left.iloc[:0], left.iloc[:0]) == 0.0


PAGE = """# TYPE wait_seconds histogram
wait_seconds_bucket{stage="a",le="0.01"} 50
wait_seconds_bucket{stage="a",le="0.1"} 90
wait_seconds_bucket{stage="a",le="+Inf"} 100
wait_seconds_sum{stage="a"} 3
wait_seconds_count{stage="a"} 100
wait_seconds_bucket{stage="b",le="0.01"} 0
wait_seconds_bucket{stage="b",le="0.1"} 0
wait_seconds_bucket{stage="b",le="+Inf"} 0
# TYPE points counter
points_total{partition="0",kind="in"} 3
points_total{partition="1",kind="in"} 4
points_total{partition="0",kind="out"} 5
"""


def test_quantiles_are_linear_within_a_bucket() -> None:
    page = MetricsPage.parse(PAGE)
    assert page.quantile_ms("wait_seconds", 0.25, stage="a") == pytest.approx(5.0)
    assert page.quantile_ms("wait_seconds", 0.5, stage="a") == pytest.approx(10.0)
    assert page.quantile_ms("wait_seconds", 0.7, stage="a") == pytest.approx(10.0 + 0.5 * 90.0)
    assert math.isnan(page.quantile_ms("wait_seconds", 0.5, stage="b"))
    assert math.isnan(page.quantile_ms("absent", 0.5))


def test_a_page_that_fails_once_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [500, 200]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answers.pop(0) if answers else 500)
            self.end_headers()
            self.wfile.write(PAGE.encode())

    monkeypatch.setattr(metrics_page, "AGAIN_S", (0.01,))
    with served_by(Handler) as url:
        assert MetricsPage.fetch(f"{url}/metrics").total("points_total") == 12.0
        with pytest.raises(Unavailable, match="does not show its metrics"):
            MetricsPage.fetch(f"{url}/metrics")


def test_totals_sum_over_the_labels_not_asked_for() -> None:
    page = MetricsPage.parse(PAGE)
    assert (page.total("points_total", kind="in"), page.total("points_total"), page.total("absent")) == (7.0, 12.0, 0.0)


HOSTILE = "<script>alert('x')</script>"
RESULT = RunResult(
    source=HOSTILE,
    points_in=10,
    points_scored=6,
    points_warmup=3,
    rows_rejected=1,
    detections=2,
    incidents=1,
    predictor=PredictorFigures(0.5, 0.1, 30.0, 0.2),
    models=(ModelLine("forest", "1", "champion"),),
    swaps=1,
    drift=DriftFigures(1, 1, 1, (HOSTILE,)),
    parity_max_abs_diff=0.0,
    latency_ms=LatencyFigures(1.0, math.nan),
    seconds=1.0,
    incident_lines=(IncidentLine(HOSTILE, HOSTILE, "disk_fill", START, None, 2.0),),
    requests=RequestFigures(5, 0),
    gate=(HOSTILE,),
    acted=(
        ActedRun(
            HOSTILE,
            HOSTILE,
            "cart",
            "spread",
            HOSTILE,
            RunState.UNDONE,
            "simulated operator",
            (HOSTILE, "weight: 1 → 0.5"),
            (
                ActedLine(
                    START, RunState.UNDOING, "worse: errors 1.0 → 9.0; what ran is taken back, the newest step first", "suite"
                ),
                ActedLine(START, RunState.UNDONE, f"undone, the incident goes on: {HOSTILE}", "suite"),
            ),
        ),
    ),
)


def test_the_report_is_a_single_file_that_loads_nothing_and_runs_nothing(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    write_report(page, RESULT, [Figure(HOSTILE, HOSTILE, b"picture")], [(HOSTILE, '"><img src=x>')])
    html = page.read_text(encoding="utf-8")
    assert "<script" not in html
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", html)
    assert "@import" not in html
    assert re.findall(r'src="([^"]*)', html) == ["data:image/png;base64,cGljdHVyZQ=="]
    assert html.count("&lt;script&gt;alert") >= 12
    assert "10 = 6 + 3 + 1" in html


def test_a_model_version_without_an_alias_is_written_without_brackets() -> None:
    lines = (ModelLine("forest", "2", "champion"), ModelLine("forest", "1", ""))
    assert dict(summary_rows(replace(RESULT, models=lines)))["models"] == "forest v2 (champion), forest v1"


def test_highlights_tell_what_happened_and_nothing_else() -> None:
    result = replace(RESULT, responder=ResponderFigures(alerts=400, paged=8, false_pages=1, judged=3, root_first=2))
    lines = highlights(result)
    assert "correlated: 400 alerts became 8 pages (98.0% fewer)" in lines
    assert any("first for 2 of 3 labelled incidents" in line for line in lines)
    assert not any(line.startswith(("correlated", "explained")) for line in highlights(RESULT))


def test_an_undone_run_is_told_with_why_it_was_undone_and_where_to_look() -> None:
    (line,) = [line for line in highlights(RESULT) if line.startswith("undone: ")]
    begins = f"undone: spread on cart, approved by simulated operator: {HOSTILE}; weight: 1 → 0.5. worse: errors 1.0 → 9.0; "
    assert line.startswith(begins)
    assert line.endswith(f"(`aiops runs show {HOSTILE}`)")
    assert not any(line.startswith("undone: ") for line in highlights(replace(RESULT, acted=())))


def test_a_plan_that_nobody_approved_is_told_as_such() -> None:
    waiting = replace(RESULT.acted[0], state=RunState.EXPIRED, approved_by="", lines=())
    assert "spread on cart, not approved: " in waiting.sentence
    said = missing_ends([waiting], [RunState.CURED, RunState.UNDONE])
    assert re.match(r"no run was cured and none was undone, .* spread on cart is expired", said)


def test_what_no_metric_shows_is_told_with_what_saw_it_and_its_root(tmp_path: Path) -> None:
    line = IncidentLine("g", "cart", "slow_network", START, None, 3.0, "I", 1, True, "span.call.x of web", "probably <cart>")
    unseen = replace(line, detected_min=None)
    sentence = "in no metric: slow_network in cart, seen after 3.0 min by span.call.x of web; probably <cart>"
    assert sentence in highlights(replace(RESULT, incident_lines=(line, unseen)))
    assert not any("in no metric" in text for text in highlights(replace(RESULT, incident_lines=(unseen,))))
    write_report(tmp_path / "index.html", replace(RESULT, incident_lines=(line,)), [], [])
    assert sentence.replace("<cart>", "&lt;cart&gt;") in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_the_report_needs_no_predictor_and_no_incident(tmp_path: Path) -> None:
    bare = replace(RESULT, source="csv", predictor=PredictorFigures(None, None, None, reason="no labels"), incident_lines=())
    write_report(tmp_path / "index.html", bare, [], [])
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "no labels" in html
    assert "Labelled incidents" not in html


def series(gaps: list[float], rows: int = 20) -> pa.Table:
    """Two interleaved series that come every `gaps` seconds in turn."""
    offsets = np.cumsum([gaps[row % len(gaps)] for row in range(rows)])
    times = [START + timedelta(seconds=float(offset)) for offset in offsets for _ in range(2)]
    names = ["one", "two"] * rows
    return pa.table({"timestamp": pa.array(times, TIMESTAMP), "service": names, "metric": names})


def test_the_step_is_the_median_distance_in_a_series() -> None:
    assert median_step_s(series([60]), 15) == 60
    assert median_step_s(series([300, 300, 300, 900]), 15) == 300
    assert median_step_s(series([0.2]), 15) == 1, "ticks are whole seconds"
    assert median_step_s(series([86_400]), 15) == 3600
    assert median_step_s(series([60], rows=1), 15) == 15
    text = series([60]).set_column(0, "timestamp", pa.array(["soon"] * 40))
    assert median_step_s(text, 15) == 15


def test_settings_fit_the_step_of_the_telemetry() -> None:
    fitted = fitted_settings(Settings(), 300)
    assert (fitted.telemetry.step_s, fitted.telemetry.lateness_s, fitted.consumer.predict_every_s) == (300, 30, 300)
    fitted = fitted_settings(Settings(), 7)
    assert (fitted.telemetry.lateness_s, fitted.consumer.predict_every_s % 7) == (7, 0)
    assert fitted_settings(Settings(), 3600).consumer.predict_every_s == 3600


def test_children_are_given_exactly_our_settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Settings(
        home=home,
        mlflow_tracking_uri="http://127.0.0.1:5001",
        broker=BrokerSettings(url="redis://:geheim@127.0.0.1:1/2", partitions=3),
        telemetry=TelemetrySettings(step_s=7, lateness_s=0),
        serving=ServingSettings(jwt_key="k" * 40, challenger="shadow", challenger_share=0.25),
        consumer=ConsumerSettings(tier1_path=home / "tier", archive="off", scoring_token="token"),
        drift=DriftSettings(window_h=1.5),
        up=UpSettings(mlflow_port=5001),
    )
    for name, value in services.environment(original).items():
        monkeypatch.setenv(name, value)
    assert Settings() == original


def test_a_setting_at_its_default_overrides_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = Settings(home=home)
    monkeypatch.setenv("AIOPS_TELEMETRY__STEP_S", "5")
    for name, value in services.environment(chosen).items():
        monkeypatch.setenv(name, value)
    assert Settings().telemetry == chosen.telemetry
