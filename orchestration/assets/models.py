"""Assets from features to a champion: the training set, one candidate a model, the gate's decision."""

from datetime import UTC, datetime

import dagster as dg

from models.catalog import MODELS
from orchestration.assets.telemetry import service_graph_and_labels
from orchestration.commands.options import moment
from orchestration.partitions import RETRY
from orchestration.pipeline import training
from orchestration.pipeline import training_set as sets
from orchestration.resources import WorkspaceResource

POOL = "training"


class TrainingConfig(dg.Config):
    """When (event time, ISO 8601; "" = the newest telemetry) and, after a drift, since when things are different."""

    at: str = ""
    recent_from: str = ""


@dg.asset(group_name="learn", deps=["service_features", service_graph_and_labels], kinds={"feast", "duckdb"}, retry_policy=RETRY)
def training_set(
    context: dg.AssetExecutionContext, config: TrainingConfig, workspace: WorkspaceResource
) -> dg.MaterializeResult[None]:
    """Service vectors as they were available at each decision time, joined by Feast, with incident labels."""
    request = sets.TrainingRequest(moment("at", config.at or None), moment("recent_from", config.recent_from or None))
    built = sets.build_training_set(workspace.open(), request, context.log.info)
    return dg.MaterializeResult(
        metadata={
            "rows": built.rows,
            "positive_rows": built.positives,
            "file": dg.MetadataValue.path(built.path),
            "at": str(built.at),
        }
    )


def _candidate(name: str) -> dg.AssetsDefinition:
    @dg.asset(name=f"{name.replace('-', '_')}_candidate", group_name="learn", deps=[training_set], kinds={"mlflow"}, pool=POOL)
    def candidate(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult[None]:
        trained = training.train_candidate(workspace.open(), name, datetime.now(UTC))
        context.log.info(trained.text)
        return dg.MaterializeResult(metadata={"version": trained.version, "outcome": trained.text, **trained.metrics})

    return candidate


candidates = [_candidate(name) for name in MODELS]


@dg.asset(group_name="learn", deps=candidates, kinds={"mlflow"}, pool=POOL)
def champions(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult[None]:
    """The gate: every challenger replayed beside its champion over labelled incidents; promoted only if nothing is lost."""
    judged = [training.judge(workspace.open(), name, datetime.now(UTC)) for name in MODELS]
    for one in judged:
        context.log.info(f"{one.model} version {one.version or '–'}: {one.reason}")
    return dg.MaterializeResult(metadata={one.model: f"version {one.version or '–'}: {one.reason}" for one in judged})
