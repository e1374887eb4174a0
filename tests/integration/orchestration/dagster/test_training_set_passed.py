"""The training set goes from the step that built it to the candidates of the same run, whatever is built meanwhile."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from aiops.settings.tree import Settings
from orchestration.dagster.assets.model_assets import SET, SET_KEY, set_of_run
from orchestration.pipeline.training_set import TrainingSet
from orchestration.workspace.workspace import Workspace

AT = datetime(2026, 1, 2, tzinfo=UTC)
OWN = TrainingSet("own.parquet", AT, None, 10, 1, 60, AT)
OTHER = replace(OWN, path="other.parquet")


@dg.asset
def training_set() -> dg.MaterializeResult[None]:
    """Build the run's own set."""
    return dg.MaterializeResult(metadata={SET: OWN.text})


@dg.asset(deps=[training_set])
def interference(context: dg.AssetExecutionContext) -> None:
    """Let another run build a set in between."""
    context.instance.report_runless_asset_event(dg.AssetMaterialization(SET_KEY, metadata={SET: OTHER.text}))


def seen_by(workspace: Workspace, instance: dg.DagsterInstance, *alone: str) -> str:
    """Return the path of the set that a candidate gets; `alone`: the assets that the run materializes."""
    seen: list[str] = []

    @dg.asset(deps=[interference])
    def candidate(context: dg.AssetExecutionContext) -> None:
        seen.append(set_of_run(context, workspace).path)

    assets = [training_set, interference, candidate]
    result = dg.materialize(assets, instance=instance, selection=list(alone) or None)
    assert result.success
    return seen[0]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return an empty home."""
    return Workspace.open(Settings(home=tmp_path))


def test_a_second_set_built_in_between_changes_nothing_for_the_first_run(workspace: Workspace) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert seen_by(workspace, instance) == OWN.path
        newest = instance.get_latest_materialization_event(SET_KEY)
        assert newest is not None
        assert newest.asset_materialization is not None
        assert newest.asset_materialization.metadata[SET].value == OTHER.text, "control: the newest set is the other one"


def test_a_candidate_alone_takes_the_newest_set(workspace: Workspace) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        seen_by(workspace, instance)
        assert seen_by(workspace, instance, "candidate") == OTHER.path


def test_a_home_that_knows_its_set_from_0_1_goes_on_with_it(workspace: Workspace) -> None:
    folder = workspace.folder("training")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "latest.json").write_text(OWN.text)
    with dg.DagsterInstance.ephemeral() as instance:
        assert seen_by(workspace, instance, "candidate") == OWN.path
