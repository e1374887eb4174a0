"""An id that two series share is refused by the lake, naming both: neither takes the place of the other."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from aiops.errors import ContractError
from data_contracts.schemas.telemetry_schemas import LAKE_TELEMETRY
from serving.lake.opening import open_lake
from serving.lake.port import Added, Lake

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(tmp_path / "lake").for_tenant("acme")


def points(*services: str, labels: str = "") -> pa.Table:
    """Return one point a service, all with the id 7."""
    names = {"metric": "up", "labels": labels, "value": 1.0, "timestamp": AT, "available_at": AT, "series_id": 7}
    return pa.Table.from_pylist([{"service": service, **names} for service in services], schema=LAKE_TELEMETRY)


def test_a_collision_within_a_batch_is_refused_and_nothing_of_it_is_stored(lake: Lake) -> None:
    with pytest.raises(ContractError, match=r"id 7 stands for .*'(cart|shop)'.* and for .*'(cart|shop)'"):
        lake.add("telemetry", points("cart", "shop"))
    assert lake.count("telemetry") == 0


def test_a_collision_with_what_is_stored_is_refused_not_counted_as_already_there(lake: Lake) -> None:
    assert lake.add("telemetry", points("cart")) == Added(1, 0)
    with pytest.raises(ContractError, match="series id 7 stands for"):
        lake.add("telemetry", points("shop"))
    with pytest.raises(ContractError, match="series id 7 stands for"):
        lake.add("telemetry", points("cart", labels='{"zone":"a"}'))
    assert lake.read("telemetry")["service"].to_pylist() == ["cart"]
    assert lake.add("telemetry", points("cart")) == Added(0, 1)
