"""Assets from features to a champion: the training set, one candidate a model, the gate's decision."""

from datetime import UTC, datetime

import dagster as dg

from models.artifacts.catalog import trained_models
from orchestration.dagster.assets.asset_metadata import figures, gate_table
from orchestration.dagster.assets.telemetry_assets import service_graph_and_labels
from orchestration.dagster.resources import WorkspaceResource
from orchestration.dagster.retries import RETRY, judged
from orchestration.pipeline import training_set as sets
from orchestration.pipeline.quality import refuse_broken
from orchestration.workspace.iso_time import moment
from orchestration.workspace.workspace import Workspace

POOL = "training"
SET = "set"
"""Metadata of the asset `training_set` that passes the set on, as JSON."""
SET_KEY = dg.AssetKey("training_set")


class TrainingConfig(dg.Config):
    """When (event time, ISO 8601; "" = the newest telemetry) and, after a drift, since when things are different."""

    at: str = ""
    recent_from: str = ""


@dg.asset(group_name="learn", deps=["service_features", service_graph_and_labels], kinds={"feast", "duckdb"}, retry_policy=RETRY)
def training_set(
    context: dg.AssetExecutionContext, config: TrainingConfig, workspace: WorkspaceResource
) -> dg.MaterializeResult[None]:
    """Service vectors as they were available at each decision time, joined by Feast, with incident labels."""
    with judged():
        request = sets.TrainingRequest(moment("at", config.at or None), moment("recent_from", config.recent_from or None))
        space = workspace.open()
        refuse_broken(space, "service_features", request.at or space.newest_telemetry())
        built = sets.build_training_set(space, request, context.log.info)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": built.rows,
            "positive_rows": built.positives,
            "file": dg.MetadataValue.path(built.path),
            "at": built.at.isoformat(),
            SET: built.text,
            "recent_from": built.recent_from.isoformat() if built.recent_from else "no drift",
        }
    )


def set_of_run(context: dg.AssetExecutionContext, space: Workspace) -> sets.TrainingSet:
    """Return the set that this run built, whatever other runs build meanwhile; for a run that built none the newest of any.

    A run that is repeated from where it failed goes on with the set of the run that it repeats.

    Raises:
        TrainingImpossible: no set was built.
    """
    run, built = context.run, dg.DagsterEventType.ASSET_MATERIALIZATION
    for run_id in filter(None, (run.run_id, run.parent_run_id, run.root_run_id)):
        for entry in context.instance.all_logs(run_id, of_type=built):
            event = entry.dagster_event
            if event is not None and event.asset_key == SET_KEY and (set_id := _passed(entry.asset_materialization)):
                return sets.TrainingSet.of_text(set_id)
    newest = context.instance.get_latest_materialization_event(SET_KEY)
    set_id = _passed(newest.asset_materialization) if newest is not None else ""
    return sets.TrainingSet.of_text(set_id) if set_id else sets.remembered_training_set(space)


def _passed(built: dg.AssetMaterialization | None) -> str:
    return str(built.metadata[SET].value) if built is not None and SET in built.metadata else ""


def candidate_of(name: str) -> dg.AssetsDefinition:
    """Return the asset that trains a model and registers it as challenger."""

    @dg.asset(
        name=f"{name.replace('-', '_')}_candidate",
        group_name="learn",
        deps=[training_set],
        kinds={"mlflow"},
        pool=POOL,
        retry_policy=RETRY,
        description=f"A {name} trained on the training set of its run and registered as challenger, or why it cannot be trained.",
    )
    def candidate(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult[None]:
        from orchestration.pipeline import training

        space = workspace.open()
        with judged():
            trained = training.train_candidate(space, name, set_of_run(context, space), datetime.now(UTC))
        context.log.info(trained.text)
        plots = figures(space.registry.figures(name, trained.version)) if trained.version else {}
        return dg.MaterializeResult(metadata={"version": trained.version, "outcome": trained.text, **trained.metrics, **plots})

    return candidate


candidates = [candidate_of(name) for name in trained_models()]


@dg.asset(group_name="learn", deps=candidates, kinds={"mlflow"}, pool=POOL, retry_policy=RETRY)
def champions(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult[None]:
    """The gate: every challenger replayed beside its champion over labelled incidents; promoted only if nothing is lost."""
    from orchestration.pipeline import training

    with judged():
        decisions = [training.judge(workspace.open(), name, datetime.now(UTC)) for name in trained_models()]
    for decision in decisions:
        context.log.info(f"{decision.model} version {decision.version or '–'}: {decision.reason}")
    return dg.MaterializeResult(
        metadata={"decisions": gate_table(decisions), **{decision.model: decision.version or "–" for decision in decisions}}
    )
