"""Configurations of senders, and the dashboard: each program's own check accepts its file where the program is here."""

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiops.settings.ingest_settings import IngestSettings
from aiops.settings.topic_settings import topics_of
from data_contracts.series.finding_metrics import FINDING_METRICS
from tests.testing.deadlines import within
from tests.testing.grafana_dashboard import dashboard, queries
from tests.testing.peers import Peer, each_peer, needed_peer

SENDERS = Path(__file__).parents[2] / "infra" / "senders"
FILES = sorted(path.name for path in SENDERS.iterdir())
REMOTE_WRITERS = ("prometheus.yml", "prometheus-3.yml", "grafana-agent.yaml")
PATHS = {"/api/v1/write", "/v1/metrics", "/v1/logs", "/v1/traces"}
OWN_PORTS = {4317, 4318, 8429, 9090, 9092, 12345}
"""Ports of the senders themselves, and of Kafka."""
TO_KAFKA = ("otel-collector-kafka.yaml", "vector-kafka.toml")


def text(name: str) -> str:
    return (SENDERS / name).read_text()


def loaded(name: str) -> Any:
    return yaml.safe_load(text(name))


def remote_write(name: str) -> dict[str, Any]:
    file = loaded(name)
    (write,) = file["remote_write"] if "remote_write" in file else file["metrics"]["global"]["remote_write"]
    return dict(write)


def check(*command: str) -> None:
    answer = subprocess.run(command, cwd=SENDERS, capture_output=True, text=True, timeout=within(60), check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("peer", each_peer("promtool"))
@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus-3.yml"])
def test_prometheus_accepts_its_file(peer: Peer, name: str) -> None:
    if name == "prometheus-3.yml" and (2,) <= peer.release < (2, 54):
        pytest.skip(f"{peer} does not know remote write 2.0")
    check(str(peer.path), "check", "config", name)


def test_vmagent_accepts_its_files(tmp_path: Path) -> None:
    program = needed_peer("vmagent").path
    environment = {**os.environ, "VMAGENT": str(program), "TMPDIR": str(tmp_path)}
    command = ["./vmagent.sh", "-dryRun"]
    answer = subprocess.run(command, cwd=SENDERS, env=environment, capture_output=True, timeout=within(60), check=False)
    assert answer.returncode == 0, answer.stderr.decode()


def test_the_collector_accepts_the_file_for_log_files() -> None:
    """The collector of PyPI has the receiver of files and the exporter, not the receiver of OTLP."""
    check(str(needed_peer("otelcol").path), "validate", "--config=file:otel-collector-files.yaml")


@pytest.mark.parametrize("name", ["otel-collector.yaml", "otel-collector-files.yaml"])
def test_what_pipelines_of_the_collector_name_is_defined(name: str) -> None:
    file = loaded(name)
    for pipeline in file["service"]["pipelines"].values():
        for kind, names in pipeline.items():
            assert set(names) <= set(file[kind])
    exporter = file["exporters"]["otlphttp/aiops"]
    assert exporter["endpoint"] == f"http://127.0.0.1:{IngestSettings().port}"
    assert exporter["retry_on_failure"]["enabled"] is True


def test_what_goes_to_kafka_is_what_the_settings_beside_it_read() -> None:
    """The setting in the comment names the topics of the file, with their encoding and signal."""
    topics = {name: topics_of("".join(re.findall(r"^# *(.*[\[\]{}].*)$", text(name), re.MULTILINE))) for name in TO_KAFKA}
    collector, vector = loaded(TO_KAFKA[0]), tomllib.loads(text(TO_KAFKA[1]))
    for pipeline in collector["service"]["pipelines"].values():
        for kind, names in pipeline.items():
            assert set(names) <= set(collector[kind])
    exporter = collector["exporters"]["kafka/aiops"]
    sent = {(exporter[signal]["topic"], exporter[signal]["encoding"], signal) for signal in collector["service"]["pipelines"]}
    assert {(topic.topic, topic.encoding, topic.signal) for topic in topics[TO_KAFKA[0]]} == sent
    known = {*vector["sources"], *vector["transforms"]}
    assert all(set(sink["inputs"]) <= known for sink in vector["sinks"].values())
    read = {(topic.topic, topic.encoding, topic.signal) for topic in topics[TO_KAFKA[1]]}
    assert read == {("vector_metrics", "vector_json", "metrics"), ("vector_logs", "otlp_json", "logs")}
    assert {sink["topic"] for sink in vector["sinks"].values()} == {name for name, _, _ in read}


def test_vector_has_sources_and_sinks_that_fit() -> None:
    file = tomllib.loads(text("vector.toml"))
    known = {*file["sources"], *file["transforms"]}
    assert all(set(part["inputs"]) <= known for kind in ("transforms", "sinks") for part in file[kind].values())
    assert file["sinks"]["aiops_metrics"]["type"] == "prometheus_remote_write"
    assert file["sinks"]["aiops_logs"]["protocol"]["type"] == "http"


def test_alloy_names_only_components_that_it_defines() -> None:
    lines = [line for line in text("config.alloy").splitlines() if not line.lstrip().startswith("//")]
    file = "\n".join(lines)
    assert file.count("{") == file.count("}")
    defined = {f"{kind}.{name}" for kind, name in re.findall(r'^([\w.]+) "(\w+)" \{', file, re.MULTILINE)}
    references = re.findall(r"[\[=] *((?:prometheus|otelcol)\.[\w.]+)", file)
    assert len(references) >= 5
    assert {reference.rpartition(".")[0] for reference in references} <= defined
    assert {"prometheus.remote_write.aiops", "otelcol.exporter.otlphttp.aiops"} <= defined


@pytest.mark.parametrize("name", FILES)
def test_every_address_is_one_of_ours_or_of_the_sender_itself(name: str) -> None:
    addresses = re.findall(r"127\.0\.0\.1:(\d+)(/[\w/]*)?", text(name))
    ports = {int(port) for port, _ in addresses}
    settings = IngestSettings()
    assert ports <= {settings.port, settings.grpc_port, *OWN_PORTS}
    assert {path for port, path in addresses if int(port) == settings.port and path} <= PATHS
    assert name in {"vmagent.yml", "vmagent-relabel.yml", *TO_KAFKA} or settings.port in ports


def relabelings() -> list[Any]:
    alloy = dict(re.findall(r'(regex|action)\s+= "([^"]*)"', text("config.alloy")))
    rules = {"config.alloy": {"source_labels": ["__name__"], **alloy}, "vmagent-relabel.yml": loaded("vmagent-relabel.yml")[0]}
    for name in REMOTE_WRITERS:
        rules[name] = remote_write(name)["write_relabel_configs"][0]
    return [pytest.param(rule, id=name) for name, rule in rules.items()]


@pytest.mark.parametrize("rule", relabelings())
def test_our_own_findings_are_not_sent_back(rule: dict[str, Any]) -> None:
    assert (rule["source_labels"], rule["action"]) == (["__name__"], "drop")
    assert all(re.fullmatch(rule["regex"], metric) for metric in FINDING_METRICS)
    assert not re.fullmatch(rule["regex"], "aiops_points_total")


@pytest.mark.parametrize("name", REMOTE_WRITERS)
def test_what_is_answered_429_is_sent_again(name: str) -> None:
    assert remote_write(name)["queue_config"]["retry_on_http_429"] is True


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    board = dashboard()
    expressions = queries()
    named = {metric for expression in expressions for metric in re.findall(r"\baiops_\w+", expression)}
    assert named == set(FINDING_METRICS)
    labels = {label for expression in expressions for label in re.findall(r"[{,](\w+)=", expression)}
    assert labels == {"tenant", "service", "metric"}
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert set(re.findall(r"\$(\w+)", " ".join(expressions))) <= set(variables)
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {"${datasource}"}
    definitions = [str(variable["definition"]) for variable in variables.values() if "definition" in variable]
    assert {re.findall(r"label_values\((aiops_\w+)", definition)[0] for definition in definitions} <= set(FINDING_METRICS)


def test_the_band_is_filled_between_series_of_its_panel() -> None:
    (band, *_) = dashboard()["panels"]
    names = {target["legendFormat"] for target in band["targets"]}
    overrides = {override["matcher"]["options"]: override["properties"] for override in band["fieldConfig"]["overrides"]}
    assert set(overrides) == names
    fills = [entry["value"] for entry in overrides["upper"] if entry["id"] == "custom.fillBelowTo"]
    assert fills == ["lower"]
