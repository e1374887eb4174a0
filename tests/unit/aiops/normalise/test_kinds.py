"""Roles of series: what the sender says first, then metadata, then the rules on names."""

import pytest

from aiops.normalise.kinds import SampleShape, certainty_of, metadata_names, role_of
from data_contracts.schemas.wire_schemas import ROLES

LE = SampleShape(has_le=True)


@pytest.mark.parametrize(
    ("metric", "shape", "role", "base"),
    [
        ("http_requests_total", None, "total", ""),
        ("rpc_seconds_bucket", LE, "bucket", "rpc_seconds"),
        ("rpc_seconds_bucket", None, "value", ""),
        ("rpc_seconds_sum", None, "bucket_sum", "rpc_seconds"),
        ("rpc_seconds_count", None, "bucket_count", "rpc_seconds"),
        ("_count", None, "value", ""),
        ("node_load1", None, "value", ""),
    ],
)
def test_names_alone_give_a_role(metric: str, shape: SampleShape | None, role: str, base: str) -> None:
    known = role_of(metric, shape=shape)
    assert (known.role, known.base) == (role, base)
    assert known.role in ROLES
    assert known.why.startswith("by name: ")
    assert certainty_of(known.why) == 0


@pytest.mark.parametrize("said", ["counter", "gauge", "delta", "updowncounter", "info", "stateset", "gaugehistogram"])
def test_what_the_sender_declares_wins_over_metadata_and_names(said: str) -> None:
    known = role_of("odd_total", said.upper(), "gauge" if said == "counter" else "counter")
    assert known.role == {"counter": "total", "delta": "delta"}.get(said, "value")
    assert known.why == f"declared by the sender: {said}"
    assert certainty_of(known.why) == 2


@pytest.mark.parametrize("said", ["", "unknown", "untyped", "UNKNOWN"])
def test_metadata_speaks_where_the_sender_declares_nothing(said: str) -> None:
    known = role_of("requests", said, "counter")
    assert (known.role, known.why, certainty_of(known.why)) == ("total", "from the sender's metadata: counter", 1)
    assert role_of("requests", said, said).role == "value"


def test_a_summary_has_sum_and_count_and_its_quantiles_are_values() -> None:
    assert role_of("gc_seconds_count", "summary")[:1] == ("bucket_count",)
    assert role_of("gc_seconds", "summary").role == "value"
    assert role_of("gc_seconds_bucket", "summary", shape=LE).role == "value"


def test_the_creation_time_of_a_histogram_is_a_value() -> None:
    assert role_of("rpc_seconds_created", "histogram").role == "value"


def test_whole_histograms_are_known_by_their_samples() -> None:
    assert role_of("rpc_seconds", shape=SampleShape(whole=True)).role == "histogram"
    assert role_of("rpc_seconds", "histogram", shape=SampleShape(whole=True, delta=True)).role == "histogram_delta"


def test_metadata_of_a_part_stands_under_the_name_of_its_family() -> None:
    assert metadata_names("jobs_total") == ["jobs_total", "jobs"]
    assert metadata_names("up") == ["up"]
    assert metadata_names("_total") == ["_total"]
