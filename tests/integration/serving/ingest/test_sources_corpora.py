"""The adapters on the public corpora themselves: counts, times, truth, and the pitfalls each file format holds."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from aiops.errors import SourceError
from aiops.ports import TelemetrySource
from aiops.replay.history_split import of_history
from data_contracts.schemas.metrics import spec_of
from data_contracts.telemetry.validate import validate
from serving.ingest.pull.source_options import SourceOptions
from serving.ingest.pull.source_registry import open_source
from tests.conformance.source_suite import check_source, times_us

pytestmark = pytest.mark.data

NEZHA_DAYS = ("2022-08-22", "2023-01-29")
CORPORA = {
    "nezha-2022-08-22": ("nezha", "nezha/rca_data/2022-08-22"),
    "nezha-2023-01-29": ("nezha", "nezha/rca_data/2023-01-29"),
    "petshop": ("petshop", "petshop/dataset/low_traffic"),
    "nab": ("nab", "nab"),
    "nab-category": ("nab", "nab/data/realTraffic"),
}


def opened(corpora: Path, name: str) -> TelemetrySource:
    kind, folder = CORPORA[name]
    if not (corpora / folder).exists():
        pytest.skip(f"public data not found at {corpora / folder}")
    return open_source(kind, SourceOptions(path=corpora / folder))


def table_of(source: TelemetrySource) -> pa.Table:
    return pa.concat_tables(list(source.batches()), promote_options="default")


@pytest.mark.parametrize("name", list(CORPORA))
def test_conformance(corpora: Path, name: str) -> None:
    assert check_source(opened(corpora, name)) > 5_000


@pytest.mark.parametrize("name", list(CORPORA))
def test_the_contract_accepts_what_was_measured(corpora: Path, name: str) -> None:
    """All rows are accepted but for the repeated times of a few series of NAB."""
    checked = [validate(chunk, datetime(2030, 1, 1, tzinfo=UTC)) for chunk in opened(corpora, name).batches()]
    reasons = Counter(reason for batch in checked for reason in batch.rejected["reason"].to_pylist())
    assert set(reasons) <= ({"duplicate"} if name.startswith("nab") else set())
    assert reasons["duplicate"] < 100


def test_nezha_times_are_those_of_the_column_time(corpora: Path) -> None:
    """`TimeStamp` of this day is years off in places."""
    times = np.concatenate([times_us(chunk) for chunk in opened(corpora, "nezha-2022-08-22").batches()])
    day = datetime(2022, 8, 22, tzinfo=UTC).timestamp() * 1e6
    assert day + 3.8 * 3600e6 < times.min()
    assert times.max() < day + 24 * 3600e6


@pytest.mark.parametrize(("name", "services", "faults"), [("nezha-2022-08-22", 10, 24), ("nezha-2023-01-29", 47, 28)])
def test_nezha_services_and_faults(corpora: Path, name: str, services: int, faults: int) -> None:
    source = opened(corpora, name)
    table = table_of(source)
    named = set(table["service"].to_pylist())
    incidents = source.incidents().to_pylist()
    assert len(named) == services
    assert len(incidents) == faults
    assert {row["service"] for row in incidents} <= named
    split = source.split()
    assert (split.history_start.hour, split.history_start.minute) == (20, 0)
    assert all(split.replay_start <= row["starts_at"] and row["ends_at"] <= split.replay_end for row in incidents)


def test_nezha_metrics_have_the_right_golden_signal(corpora: Path) -> None:
    metrics = set(table_of(opened(corpora, "nezha-2022-08-22"))["metric"].to_pylist())
    signals = {name: spec_of(name).signal for name in metrics}
    assert signals["server_latency_p99_s"] == signals["call_source_latency_p50_s"] == "latency"
    assert signals["cpu_usage_percent"] == signals["memory_usage_mebibytes"] == "saturation"
    assert signals["front_error_percent"] == "errors"
    assert signals["workload_per_second"] == signals["network_receive_bytes"] == "traffic"
    assert "error_percent" not in signals  # PodSuccessRate was never measured


def test_nezha_calls_carry_the_callee_and_give_edges(corpora: Path) -> None:
    source = opened(corpora, "nezha-2022-08-22")
    edges = {(row["caller"], row["callee"]) for row in source.edges().to_pylist()}
    calls = {
        (row["service"], row["labels"][0][1])
        for row in table_of(source).slice(0, 20_000).to_pylist()
        if row["metric"] == "call_source_latency_p50_s"
    }
    assert ("frontend", "checkoutservice") in calls
    assert calls <= edges
    assert len(edges) == 14


def test_nezha_replicas_are_distinguished_and_text_cells_reach_the_contract(tmp_path: Path) -> None:
    header = "Time,TimeStamp,PodName,CpuUsage(m),PodServerLatencyP90(s),PodSuccessRate(%)\n"
    for pod, cells in (("cart-1a-x1", "5,NaN,99"), ("cart-1a-x2", "oops,0.5,100"), ("shop-2b-y1", "7,,0")):
        rows = "".join(f"2022-08-22 {hour}:00:20.27596245 +0000 UTC m=+1.5,1,{pod},{cells}\n" for hour in ("19", "21"))
        (tmp_path / "metric").mkdir(exist_ok=True)
        (tmp_path / "metric" / f"{pod}_metric.csv").write_text(header + rows)
    source = open_source("nezha", SourceOptions(path=tmp_path))
    assert check_source(source) == 12
    readable, raw = list(source.batches())
    rows = {(row["service"], row["metric"], str(row["labels"]), row["value"]) for row in readable.to_pylist()}
    assert rows == {
        ("cart", "cpu_usage_millicores", "[('pod', 'cart-1a-x1')]", 5.0),
        ("cart", "error_percent", "[('pod', 'cart-1a-x1')]", 1.0),
        ("cart", "server_latency_p90_s", "[('pod', 'cart-1a-x2')]", 0.5),
        ("cart", "error_percent", "[('pod', 'cart-1a-x2')]", 0.0),
        ("shop", "cpu_usage_millicores", "None", 7.0),
    }
    assert raw["value"].to_pylist() == ["oops", "oops"]
    assert readable["timestamp"][0].as_py() == datetime(2022, 8, 22, 19, 0, 20, 275962, tzinfo=UTC)


def test_petshop_leaves_mirrors_out_and_splits_at_the_quiet_time(corpora: Path) -> None:
    source = opened(corpora, "petshop")
    services = set(table_of(source)["service"].to_pylist())
    edges = source.edges().to_pylist()
    incidents = source.incidents().to_pylist()
    assert not any(name.endswith(("_remote", "_client")) for name in services | {row["callee"] for row in edges})
    calls = [(row["caller"], row["callee"], row["valid_from"]) for row in edges]
    assert ("PetSite", "PetSearch_AWS::ECS::Fargate", datetime(1970, 1, 1, tzinfo=UTC)) in calls
    assert len(incidents) == 26
    assert {row["service"] for row in incidents} <= services
    split = source.split()
    assert split.replay_end < split.history_start
    assert split.history_end - split.history_start == timedelta(hours=49, microseconds=1)


def test_petshop_calls_through_mirrors_are_joined(tmp_path: Path) -> None:
    (tmp_path / "noissue").mkdir()
    (tmp_path / "test" / "issue_0").mkdir(parents=True)
    metrics = "microservice,a,b_client\nmetric,latency,latency\nstatistic,p50,p50\nunix_timestamp,,\n300,0.1,0.2\n600,NaN,0.2\n"
    (tmp_path / "noissue" / "metrics.csv").write_text(metrics)
    (tmp_path / "test" / "issue_0" / "metrics.csv").write_text(metrics)
    (tmp_path / "graph.csv").write_text(",a,b_client,b\na,0,1,0\nb_client,0,0,1\nb,0,0,0\n")
    source = open_source("petshop", SourceOptions(path=tmp_path))
    assert [(row["caller"], row["callee"]) for row in source.edges().to_pylist()] == [("a", "b")]
    assert [row["value"] for chunk in source.batches() for row in chunk.to_pylist()] == [0.1, 0.1]
    with pytest.raises(SourceError, match=r"target\.json: cannot be read as an issue's truth"):
        source.incidents()


def test_nab_history_is_the_probation_of_each_series(corpora: Path) -> None:
    source = opened(corpora, "nab")
    split = source.split()
    table = table_of(source)
    rows = Counter(table["metric"].to_pylist())
    history = Counter(of_history(table, split)["metric"].to_pylist())
    assert len(rows) == len(split.history_ends) == 29
    for metric, count in rows.items():
        assert abs(history[metric] - min(0.15 * count, 750)) <= 15, metric
    windows = source.incidents().to_pylist()
    assert len(windows) == 61
    assert {row["service"] for row in windows} <= set(table["service"].to_pylist())


def test_nab_keeps_the_order_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "data" / "cat").mkdir(parents=True)
    (tmp_path / "labels" / "combined_windows.json").write_text("{}")
    rows = ["2014-01-01 00:00:00,1", "2014-01-01 00:10:00,2", "2014-01-01 00:05:00,3", "2014-01-01 00:10:00,4"]
    (tmp_path / "data" / "cat" / "s.csv").write_text("timestamp,value\n" + "\n".join(rows) + "\n")
    source = open_source("nab", SourceOptions(path=tmp_path))
    assert [row["value"] for chunk in source.batches() for row in chunk.to_pylist()] == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("kind", "said"),
    [("nezha", r"give the folder of one day"), ("petshop", r"holds no graph\.csv"), ("nab", r"no folder with data/ and labels/")],
)
def test_folders_that_are_none(tmp_path: Path, kind: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        open_source(kind, SourceOptions(path=tmp_path))
