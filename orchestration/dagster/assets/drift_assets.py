"""Assets about what is served: the served log, and its drift from the training reference."""

import dagster as dg

from orchestration.dagster.assets.asset_metadata import drift_facts
from orchestration.dagster.assets.model_assets import champions
from orchestration.dagster.resources import WorkspaceResource
from orchestration.dagster.retries import RETRY, judged
from orchestration.pipeline.drift import measure
from orchestration.workspace.iso_time import moment

served = dg.AssetSpec(
    "served",
    group_name="close_the_loop",
    deps=[champions],
    kinds={"bentoml", "parquet"},
    description="Features, score, version and time of every answered row, written by the scoring service.",
)


class DriftConfig(dg.Config):
    """When (event time, ISO 8601); "" = the newest telemetry."""

    at: str = ""


@dg.asset(group_name="close_the_loop", deps=[served, champions], kinds={"evidently"}, retry_policy=RETRY)
def drift_report(
    context: dg.AssetExecutionContext, config: DriftConfig, workspace: WorkspaceResource
) -> dg.MaterializeResult[None]:
    """Evidently on what was served against the champion's training reference, incident windows masked."""
    with judged():
        measured = measure(workspace.open(), moment("at", config.at or None))
    context.log.info(measured.check.reason)
    return dg.MaterializeResult(metadata=drift_facts(measured))
