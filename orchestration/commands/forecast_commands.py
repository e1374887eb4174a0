"""The command `aiops forecast`: which series will exceed their limit, how likely, when, and why."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from aiops.errors import ConfigurationError
from orchestration.commands.options import AsJson, SourcePath, SourceSet
from orchestration.console import print_json, print_table, stage
from orchestration.workspace.source_choice import SourceChoice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestration.pipeline.forecast import ExpectedCourse, SeriesForecast

EXPLAINED: Final = 5
Source = Annotated[str | None, typer.Option("--source", help="read this source; without it, the newest telemetry of the lake")]
Limits = Annotated[list[str] | None, typer.Option("--limit", help="METRIC=VALUE or SERVICE|METRIC=VALUE, repeatable")]
HorizonMin = Annotated[float, typer.Option("--horizon-min", help="minutes ahead; a row is a twelfth of them")]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("forecast")(forecast)


def forecast(
    source: Source = None,
    path: SourcePath = None,
    option: SourceSet = None,
    limit: Limits = None,
    horizon_min: HorizonMin = 60.0,
    shown: Annotated[int, typer.Option("--shown", min=1, help="rows of the table; --json has all")] = 20,
    as_json: AsJson = False,
) -> None:
    """Forecast which series exceed their limit (given, catalogued or learnt) within a horizon, riskiest first, with reasons."""
    from aiops.settings.tree import Settings
    from orchestration.pipeline import forecast as pipeline
    from orchestration.pipeline.expected_courses import with_courses
    from orchestration.workspace.workspace import Workspace

    request = pipeline.ForecastRequest(horizon_min, pipeline.parse_limits(limit or ()))
    if source is None and (path is not None or option):
        raise ConfigurationError("forecast: --path and --set belong to a source; name it with --source, or leave them out")
    with stage("forecast"):
        if source is None:
            telemetry = pipeline.from_lake(Workspace.open())
        else:
            chunks = SourceChoice(source, path, tuple(option or ())).open().batches()
            telemetry = pipeline.from_chunks(chunks, datetime.now(UTC))
        forecasts = with_courses(telemetry, pipeline.forecast(telemetry, request), Settings())
    if as_json:
        print_json(forecasts)
        return
    _print(forecasts, horizon_min, shown)


def _print(forecasts: "Sequence[SeriesForecast]", horizon_min: float, shown: int) -> None:
    columns = ("series", "P", "median min", "trend min", "value", "limit", "from")
    left_out = [(series.series, "\n".join(series.reasons)) for series in forecasts if series.probability is None]
    judged = [series for series in forecasts if series.probability is not None]
    rows = [
        (series.series, series.probability, series.expected_min, series.trend_min, series.value, series.limit, series.limit_from)
        for series in judged[:shown]
    ]
    print_table(f"Breaches of limits within {horizon_min:g} min: {len(rows)} of {len(forecasts)} series", columns, rows)
    why = [(series.series, "\n".join(series.reasons)) for series in judged[: min(shown, EXPLAINED)]]
    print_table("Why: + raises the risk, - lowers it", ("series", "reasons"), why)
    _print_courses(judged)
    if left_out:
        print_table(f"Without a forecast: {len(left_out)} series", ("series", "why"), left_out[:shown])


def _print_courses(forecasts: "Sequence[SeriesForecast]") -> None:
    """Print what the riskiest series are expected to do, by the model that was chosen for each."""
    rows = [
        (
            entry.series,
            entry.course.expected,
            entry.course.lower,
            entry.course.upper,
            entry.course.crosses_min,
            _model(entry.course),
        )
        for entry in forecasts
        if entry.course is not None
    ]
    if rows:
        print_table("Expected at the end of the horizon", ("series", "expected", "lower", "upper", "crosses min", "by"), rows)


def _model(course: "ExpectedCourse") -> str:
    return course.model if course.expected is not None else course.status
