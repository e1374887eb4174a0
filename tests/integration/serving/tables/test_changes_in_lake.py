"""Change events in the lake: told once or twice they count once, and nobody reads what has not happened yet."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aiops.errors import ConfigurationError, ContractError
from aiops.incidents.root_cause import ChangeEvent
from aiops.settings.tree import Settings
from aiops.simulator.simulation_config import SimulationConfig
from aiops.topology.graph import ServiceGraph
from data_contracts.series.tenant import DEFAULT_TENANT
from orchestration.dagster.first_training import write_truth
from orchestration.pipeline.ingest import ingest_truth
from orchestration.pipeline.scenario import recorded
from orchestration.pipeline.timeline import Timeline
from orchestration.workspace.workspace import Workspace
from serving.ingest.pull.simulate import SimulatedSource
from serving.lake.opening import open_lake
from serving.tables.changes import changes_are_recorded, read_changes, write_changes

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def change(minutes: float, service: str = "cart", what: str = "v2") -> ChangeEvent:
    return ChangeEvent.of(NOON + timedelta(minutes=minutes), service, "deployment", what, "ci")


def test_changes_come_back_in_order_and_by_service(home: Path) -> None:
    lake = open_lake(home / "lake").for_tenant(DEFAULT_TENANT)
    assert not changes_are_recorded(lake, NOON)
    assert write_changes(lake, ()) == 0
    events = [change(10), change(0), change(5, "pay"), change(800)]
    assert write_changes(lake, events) == 4
    assert [changes_are_recorded(lake, NOON - timedelta(minutes=minutes)) for minutes in (0, 1, 1440)] == [True, False, False]
    assert read_changes(lake, None, None, None) == (events[1], events[2], events[0], events[3])
    assert read_changes(lake, {"cart"}, NOON, NOON + timedelta(hours=1)) == (events[1], events[0])
    assert read_changes(lake, (), None, None) == ()


def test_a_repeated_change_counts_once(home: Path) -> None:
    lake = open_lake(home / "lake").for_tenant(DEFAULT_TENANT)
    write_changes(lake, [change(0), change(1)])
    write_changes(lake, [change(1), change(0)])
    write_changes(lake, [change(1), change(2)])
    assert read_changes(lake, None, None, None) == (change(0), change(1), change(2))


def test_nobody_reads_the_future(home: Path) -> None:
    lake = open_lake(home / "lake").for_tenant(DEFAULT_TENANT)
    write_changes(lake, [change(0), change(5), change(5.0001)])
    assert read_changes(lake, None, None, NOON + timedelta(minutes=5)) == (change(0), change(5))
    with pytest.raises(ConfigurationError, match="no time zone"):
        read_changes(lake, None, None, datetime(2026, 3, 1))  # noqa: DTZ001


def test_deployments_of_a_simulation_reach_the_lake_without_their_truth(home: Path) -> None:
    space, source = Workspace.open(Settings(home=home)), SimulatedSource(SimulationConfig(hours=48, deployments_per_day=6.0))
    for _ in range(2):
        ingest_truth(space, source)
    truth = source.simulation.deployments()
    assert truth.num_rows > 5
    events = read_changes(space.lake, None, None, None)
    assert [(event.at, event.service) for event in events] == list(
        zip(*truth.select(["deployed_at", "service"]).to_pydict().values(), strict=True)
    )
    assert {event.kind for event in events} == {"deployment"}
    stored = space.lake.read("changes")
    assert "harmful" not in stored.column_names
    assert len({event.change_id for event in events}) == stored.num_rows == truth.num_rows
    assert space.lake.count("deployments") == 0
    assert space.graph().calls() == ServiceGraph.from_edges(source.edges()).calls()


def test_a_replayed_story_moves_changes_with_its_incidents(home: Path) -> None:
    config = SimulationConfig(hours=48, incidents_per_day=8, deployments_per_day=6.0)
    scenario, space = recorded(SimulatedSource(config, 0.5)), Workspace.open(Settings(home=home))
    split = scenario.split
    line = Timeline("simulate", NOON, split.replay_start, NOON)
    write_truth(space, scenario, line)
    moved = split.replay_start.replace(tzinfo=UTC) - NOON
    expected = [row["deployed_at"] - moved for row in scenario.source.simulation.deployments().to_pylist()]  # type: ignore[attr-defined]
    assert [event.at for event in read_changes(space.lake, None, None, None)] == expected
    assert min(expected) < NOON < max(expected)
    starts = sorted(row["starts_at"] - moved for row in scenario.source.incidents().to_pylist())
    assert sorted(space.lake.read("incidents")["starts_at"].to_pylist()) == starts


def test_the_id_is_the_content() -> None:
    assert change(0) == change(0)
    assert len({change(0).change_id, change(1).change_id, change(0, "pay").change_id, change(0, what="v3").change_id}) == 4
    with pytest.raises(ContractError, match="service is empty"):
        change(0, " ")
    with pytest.raises(ContractError, match="no time zone"):
        ChangeEvent.of(datetime(2026, 3, 1), "cart", "config")  # noqa: DTZ001
