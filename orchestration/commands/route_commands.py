"""The commands `aiops route …`: which tier judges a series, and why."""

from dataclasses import asdict
from typing import Annotated

import typer

from orchestration.commands.options import AsJson
from orchestration.console import print_facts, print_json, print_table

route_app = typer.Typer(help="Which tier judges a series, why, and who steps in.", no_args_is_help=True)
Series = Annotated[str, typer.Argument(help="service|metric")]


def register(app: typer.Typer) -> None:
    """Add the group to `app`."""
    app.add_typer(route_app, name="route")


@route_app.command("explain")
def explain(series: Series, as_json: AsJson = False) -> None:
    """Say which tier judges a series, why, which tier confirms it, and what happens when one does not answer."""
    from orchestration.pipeline import route_answers
    from orchestration.workspace.current_settings import settings_in_force

    route = route_answers.explain(settings_in_force(), series)
    if as_json:
        print_json(route)
        return
    facts = asdict(route) | {"confirmed_by": ", then ".join(f"tier {tier}" for tier in route.confirmed_by)}
    measured = facts.pop("measured")
    print_facts(series, facts | (measured or {"measured": "nothing yet: `aiops train` measures; configuration alone decides"}))


@route_app.command("list")
def list_routes(as_json: AsJson = False) -> None:
    """List the routes of all series that were measured."""
    from orchestration.pipeline import route_answers
    from orchestration.workspace.current_settings import settings_in_force

    routes = route_answers.explain_all(settings_in_force())
    if as_json:
        print_json(routes)
        return
    rows = [(route.series, route.tier, ", then ".join(map(str, route.confirmed_by)), route.reason) for route in routes]
    print_table(f"{len(routes)} routes", ("series", "tier", "confirmed by", "reason"), rows)
