"""Assets: seasonal bands for the next two days, and when resources reach their limits."""

import dagster as dg

from orchestration.dagster.assets.asset_metadata import capacity_table
from orchestration.dagster.resources import WorkspaceResource
from orchestration.dagster.retries import RETRY, judged
from orchestration.pipeline import bands as pipeline
from orchestration.workspace.iso_time import moment


class BandsConfig(dg.Config):
    """From when on (event time, ISO 8601); "" = the newest telemetry. Only earlier telemetry is used."""

    at: str = ""


@dg.asset(
    group_name="observe",
    deps=["telemetry", "service_graph_and_labels"],
    kinds={"prophet", "statsforecast", "feast", "parquet"},
    retry_policy=RETRY,
)
def seasonal_bands(
    context: dg.AssetExecutionContext, config: BandsConfig, workspace: WorkspaceResource
) -> dg.MaterializeResult[None]:
    """Expected value and bounds of every series, incidents masked, in the lake and online; unknown where no season shows."""
    space = workspace.open()
    with judged():
        made = pipeline.make_bands(space, moment("at", config.at or None))
        online = pipeline.publish_bands(space, made)
    context.log.info(made.text)
    counts = {"dagster/row_count": made.rows.num_rows, "established": made.established, "online": online}
    words = {"by_model": dict(made.by_model), "tried": dict(made.tried), "statuses": dict(made.reasons)}
    return dg.MaterializeResult(metadata={**counts, **words, "at": made.at.isoformat()})


@dg.asset(group_name="observe", deps=["telemetry"], kinds={"prophet"}, retry_policy=RETRY)
def capacity_forecasts(
    context: dg.AssetExecutionContext, config: BandsConfig, workspace: WorkspaceResource
) -> dg.MaterializeResult[None]:
    """When series with a limit reach it: by their expected course, earliest and latest."""
    with judged():
        forecasts = pipeline.forecast_capacities(workspace.open(), moment("at", config.at or None))
    for forecast in forecasts:
        context.log.info(f"{forecast.series} {forecast.reason}")
    return dg.MaterializeResult(metadata={"dagster/row_count": len(forecasts), "forecasts": capacity_table(forecasts)})
