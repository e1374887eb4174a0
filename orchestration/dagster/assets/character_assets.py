"""Asset: what each series is like, for routing between the tiers."""

import dagster as dg

from orchestration.dagster.resources import WorkspaceResource
from orchestration.dagster.retries import RETRY, judged
from orchestration.pipeline.series_character import measure_characters


@dg.asset(group_name="learn", deps=["telemetry"], kinds={"parquet"}, retry_policy=RETRY)
def series_character(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult[None]:
    """Season, gaps, noise and range of every series over the last two weeks of telemetry: routing reads it."""
    with judged():
        characters = measure_characters(workspace.open())
    context.log.info(f"{characters.series} series measured from {characters.points} points up to {characters.at:%Y-%m-%d %H:%M}")
    return dg.MaterializeResult(
        metadata={"dagster/row_count": characters.series, "points": characters.points, "at": characters.at.isoformat()}
    )
