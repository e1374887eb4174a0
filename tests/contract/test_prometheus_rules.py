"""Rules and dashboards: promtool accepts and tests them, what they ask for is exported, each alert has a section of its page."""

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from aiops.automation.run import RunState
from aiops.settings.tree import Settings
from serving.incidents.notify.delivery import Outcome
from serving.incidents.responder.responder_loop import BROKER, DATABASE
from serving.stream.consumer.circuit_breaker import BreakerState
from tests.testing.deadlines import within
from tests.testing.documentation import ROOT
from tests.testing.exported_series import OF_PROMETHEUS, exported_series, selectors
from tests.testing.peers import Peer, each_peer

FOLDER: Final = ROOT / "infra" / "prometheus"
PAGE: Final = ROOT / "docs" / "how-to" / "alerts.md"
RULES: Final = ("recording.yml", "suite-alerts.yml", "finding-alerts.yml")
DASHBOARDS: Final = sorted((ROOT / "infra" / "grafana").glob("*.json"))
SEVERITIES: Final = {"critical", "warning", "info"}


def loaded(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


@cache
def rules(kind: str) -> dict[str, dict[str, Any]]:
    """Return the rules of one kind, alert or record, by name."""
    every = [rule for name in RULES for group in loaded(name)["groups"] for rule in group["rules"] if kind in rule]
    by_name = {rule[kind]: rule for rule in every}
    assert len(by_name) == len(every)
    return by_name


def dashboard_expressions(path: Path) -> list[str]:
    board = json.loads(path.read_text())
    panels = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return [*panels, *(mark["expr"] for mark in board["annotations"]["list"])]


def expressions() -> list[Any]:
    named = [(name, rule["expr"]) for kind in ("alert", "record") for name, rule in rules(kind).items()]
    named += [(f"{path.stem} {number}", text) for path in DASHBOARDS for number, text in enumerate(dashboard_expressions(path))]
    return [pytest.param(expression, id=name) for name, expression in named]


def sections() -> dict[str, str]:
    """Return the sections of the page by the anchors that hosts and the site give their headings."""
    parts = re.split(r"^#{2,3} (.+)$", PAGE.read_text(), flags=re.MULTILINE)
    return {heading.lower(): text for heading, text in zip(parts[1::2], parts[2::2], strict=True)}


def promtool(peer: Peer, *command: str) -> None:
    answer = subprocess.run(
        [str(peer.path), *command], cwd=FOLDER, capture_output=True, text=True, timeout=within(300), check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("peer", each_peer("promtool"))
def test_promtool_accepts_targets_and_rules(peer: Peer) -> None:
    promtool(peer, "check", "config", "prometheus.yml")
    promtool(peer, "check", "rules", *RULES)


@pytest.mark.parametrize("peer", each_peer("promtool")[-1:])
def test_each_alert_fires_at_what_it_is_about_and_none_where_all_is_well(peer: Peer) -> None:
    promtool(peer, "test", "rules", "rule-tests.yml")


def test_each_alert_is_tested() -> None:
    tested = set(re.findall(r'labels: .*alertname="(\w+)"', (FOLDER / "rule-tests.yml").read_text()))
    assert tested == set(rules("alert"))
    assert set(loaded("rule-tests.yml")["rule_files"]) == set(loaded("prometheus.yml")["rule_files"]) == set(RULES)


@pytest.mark.parametrize("expression", expressions())
def test_what_is_asked_for_is_exported_with_those_labels(expression: str) -> None:
    exported = exported_series()
    recorded = set(rules("record"))
    asked = selectors(expression)
    assert asked
    for selector in asked:
        if selector.metric in recorded or selector.metric in ("up", "ALERTS"):
            continue
        assert selector.metric in exported
        assert set(selector.labels) <= exported[selector.metric] | OF_PROMETHEUS


@pytest.mark.parametrize("expression", expressions())
def test_values_that_labels_are_compared_with_exist(expression: str) -> None:
    jobs = {job["job_name"] for job in loaded("prometheus.yml")["scrape_configs"]} | {"aiops-.*"}
    for selector in selectors(expression):
        if selector.metric.startswith("aiops_automation"):
            assert set(filter(None, selector.labels.get("state", "").split("|"))) <= set(RunState)
        if selector.metric == "aiops_notifications_total":
            assert selector.labels.get("outcome", Outcome.DELIVERED) in set(Outcome)
        assert selector.labels.get("job", "aiops-.*") in jobs


def test_parts_and_states_are_those_of_the_code() -> None:
    page = sections()
    assert f"`{BROKER}`" in page["aiopsresponderpartaway"]
    assert f"`{DATABASE}`" in page["aiopsresponderpartaway"]
    assert rules("alert")["AiopsModelsAway"]["expr"] == f"aiops_breaker_state == {BreakerState.OPEN:d}"


def test_each_alert_leads_to_its_section_which_says_what_to_do() -> None:
    page = sections()
    for name, rule in rules("alert").items():
        address, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert address.endswith(f"/how-to/{PAGE.stem}.html")
        assert anchor == name.lower()
        meaning, _, rest = page[anchor].partition("**Look**")
        assert meaning.strip()
        assert "**Do**" in rest
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in SEVERITIES
        assert rule["labels"]["suite"] == "aiops"
    assert {heading for heading in page if heading.startswith("aiops")} == {name.lower() for name in rules("alert")}


def test_labels_in_summaries_are_kept_by_the_expression() -> None:
    """A summary that names a label which the expression drops would have a hole in it."""
    exported = exported_series()
    for name, rule in rules("alert").items():
        named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        kept = re.match(r"(?:max|min|sum|count) by \(([^)]*)\)", rule["expr"])
        if kept:
            assert named <= {label.strip() for label in kept[1].split(",")}, name
            continue
        first = selectors(rule["expr"])[0].metric
        if first in exported:
            assert named <= exported[first] | OF_PROMETHEUS, name


def test_targets_are_the_ports_that_are_listened_on() -> None:
    settings = Settings()
    ports = {
        "aiops-scorer": settings.serving.http_port,
        "aiops-consumer": settings.consumer.metrics_port,
        "aiops-findings": settings.consumer.metrics_port,
        "aiops-responder": settings.responder.port,
        "aiops-receivers": settings.ingest.port,
        "aiops-signals": settings.signals.metrics_port,
        "aiops-automation": settings.automation.port,
        "aiops-console": settings.console.port,
        "aiops-explore": settings.explore.port,
    }
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in loaded("prometheus.yml")["scrape_configs"]}
    assert targets == {job: [f"127.0.0.1:{port}"] for job, port in ports.items()}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_dashboards_use_the_variables_that_they_have_and_panels_do_not_overlap(path: Path) -> None:
    board = json.loads(path.read_text())
    variables = {variable["name"] for variable in board["templating"]["list"]}
    assert set(re.findall(r"\$(\w+)", " ".join(dashboard_expressions(path)))) <= variables
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {"${datasource}"}
    cells = [
        (x, y)
        for panel in board["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
