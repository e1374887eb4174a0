"""The commands `aiops series …`: which series there are, what they are and why, and whether points come."""

from dataclasses import asdict
from typing import Annotated

import typer

from orchestration.commands.options import AsJson
from orchestration.console import print_facts, print_json, print_table

series_app = typer.Typer(help="Series: names, labels, kind and why, last point, points a minute.", no_args_is_help=True)
Hours = Annotated[float, typer.Option(help="how far back from the newest point of all a last point is looked for")]


def register(app: typer.Typer) -> None:
    """Add the group to `app`."""
    app.add_typer(series_app, name="series")


@series_app.command("list")
def list_all(
    service: Annotated[str, typer.Option(help="glob that the service must match")] = "*",
    metric: Annotated[str, typer.Option(help="glob that the metric must match")] = "*",
    limit: Annotated[int, typer.Option(min=1, help="most series shown")] = 50,
    hours: Hours = 24.0,
    as_json: AsJson = False,
) -> None:
    """List series in order of their names: kind, role and how it is known, last point, points a minute over the last hour."""
    from orchestration.workspace.workspace import Workspace
    from serving.tables.series_answers import SeriesFilter, list_series

    listed = list_series(Workspace.open().lake, SeriesFilter(service, metric, hours), limit)
    if as_json:
        print_json(listed.answers)
        return
    rows = [
        (series.name, series.kind, series.role, series.why, series.last_at, series.points_per_minute) for series in listed.answers
    ]
    columns = ("series", "kind", "role", "why", "last point", "points/min")
    print_table(f"{len(rows)} of {listed.matching} series", columns, rows)


@series_app.command("show")
def show(
    series: Annotated[str, typer.Argument(help='service|metric{label="value"}, or its id; -- before a negative one')],
    hours: Hours = 24.0,
    as_json: AsJson = False,
) -> None:
    """Show all that is known of one series."""
    from orchestration.workspace.workspace import Workspace
    from serving.tables.series_answers import show_series

    answer = show_series(Workspace.open().lake, series, hours)
    if as_json:
        print_json(answer)
        return
    facts = asdict(answer)
    facts["labels"] = ", ".join(f"{name}={value}" for name, value in answer.labels.items())
    print_facts(facts.pop("name"), facts)
