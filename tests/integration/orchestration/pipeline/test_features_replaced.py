"""A day of features that is built again takes the place of what it held; a doubled home reads right, and is mended."""

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aiops.errors import ContractError
from aiops.simulator.simulation_config import SimulationConfig
from orchestration.cli import run
from orchestration.pipeline.features import Backfill, Window, build_features
from orchestration.pipeline.quality import check_window, refuse_broken
from orchestration.workspace.workspace import Workspace
from tests.testing.small_lake import DAY, filled

SECOND = (DAY + timedelta(days=1), DAY + timedelta(days=2))
SIZE = SimulationConfig(services=3, hours=48, step_s=300, incidents_per_day=4)
TABLES = ("series_features", "service_features")


def held(workspace: Workspace, table: str) -> pd.DataFrame:
    return workspace.lake.read(table).to_pandas()


def stored_rows(workspace: Workspace, table: str) -> int:
    """Return the rows of all files of the second day, counted as often as they are stored."""
    folder = workspace.lake.folder(table) / f"day={SECOND[0].date().isoformat()}"
    return sum(pq.read_metadata(path).num_rows for path in folder.glob("*.parquet"))


def test_a_day_that_is_built_again_replaces_the_days_of_the_range(tmp_path: Path) -> None:
    workspace = filled(tmp_path, SIZE)
    before = {table: held(workspace, table) for table in TABLES}
    stored = {table: stored_rows(workspace, table) for table in TABLES}
    build_features(workspace, Window(*SECOND, resume=False), lambda _: None)  # a state would make the rows the same
    for table in TABLES:
        assert stored_rows(workspace, table) == stored[table] > 0
        assert len(workspace.lake.keys(table, SECOND[0].date())) == 1
        after = held(workspace, table)
        first = after["event_timestamp"] < SECOND[0]
        pd.testing.assert_frame_equal(after[first], before[table][first], check_exact=True)
        assert not after[~first].equals(before[table][~first]), "the new rows count, and not the old ones"
        assert check_window(workspace, table, *SECOND).success


@pytest.mark.parametrize("partitions", [1, 2])
def test_a_state_of_before_partitions_shared_series_is_whole_where_there_was_one_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, partitions: int
) -> None:
    """One of several holds its own series alone: going on from it would lose those of the others without a word."""
    workspace = filled(tmp_path, SIZE)
    build_features(workspace, Window(DAY, SECOND[0]), lambda _: None)
    (state,) = workspace.folder("engine").glob(f"{SECOND[0]:%Y%m%d}*.npz")
    for number in range(partitions):
        former = state.parent / f"partition={number}" / state.name
        former.parent.mkdir()
        shutil.copy(state, former)
    state.unlink()
    built = build_features(workspace, Window(*SECOND), lambda _: None)
    assert built.resumed == (partitions == 1)
    lines = [record.getMessage() for record in caplog.records if record.name == "orchestration.pipeline.features"]
    said = "features: the state at 2025-03-04 00:00:00+00:00 is kept by 2 partitions apart, as releases before this one did: "
    assert lines == ([] if partitions == 1 else [f"{said}the window warms up anew"])
    third = SECOND[1]
    assert Backfill(workspace, Window(third, third + timedelta(days=1))).resumed, "what is kept from now on is whole"


def test_a_day_that_was_doubled_reads_right_and_is_mended(tmp_path: Path) -> None:
    workspace = filled(tmp_path, SIZE)
    day = workspace.lake.read("service_features", *SECOND)
    before = held(workspace, "service_features")
    workspace.lake.write("service_features", day, "backfill-20250304T000000-00000")
    assert stored_rows(workspace, "service_features") == 2 * day.num_rows
    pd.testing.assert_frame_equal(held(workspace, "service_features"), before, check_exact=True)
    assert check_window(workspace, "service_features", *SECOND).success
    build_features(workspace, Window(*SECOND), lambda _: None)
    assert stored_rows(workspace, "service_features") == day.num_rows


def test_repair_removes_what_another_writer_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whichever writer stored the rows again: merging the files of each writer alone would leave them."""
    workspace = filled(tmp_path, SIZE)
    before = {table: held(workspace, table) for table in TABLES}
    doubled = {table: workspace.lake.read(table, *SECOND) for table in TABLES}
    for table, day in doubled.items():
        workspace.lake.write(table, day, "backfill-20250304T000000-00000")
        assert stored_rows(workspace, table) == 2 * day.num_rows
    monkeypatch.setenv("AIOPS_HOME", str(tmp_path))
    assert run(["repair", "--json"]) == 0
    repeated = sum(day.num_rows for day in doubled.values())
    assert json.loads(capsys.readouterr().out)["repeated rows removed"] == repeated
    for table, day in doubled.items():
        assert stored_rows(workspace, table) == day.num_rows
        pd.testing.assert_frame_equal(held(workspace, table), before[table], check_exact=True)


def test_nothing_is_learned_from_a_day_that_breaks_the_contract(tmp_path: Path) -> None:
    workspace = filled(tmp_path, SIZE)
    refuse_broken(workspace, "service_features", SECOND[1])
    row = workspace.lake.read("service_features", *SECOND).slice(0, 1).to_pandas().assign(service="broken", hour=77.0)
    workspace.lake.write("service_features", pa.Table.from_pandas(row, preserve_index=False), "features-0-1-0")
    refuse_broken(workspace, "service_features", DAY)  # what is trained on ends before
    with pytest.raises(ContractError, match=r"service_features: 2025-03-04: (?s:.*)hour"):
        refuse_broken(workspace, "service_features", SECOND[1])
