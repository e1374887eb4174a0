"""The command `aiops run`: the whole loop once, on simulated or recorded telemetry."""

import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aiops.errors import ConfigurationError
from orchestration.commands.options import SourceName, SourcePath, SourceSet
from orchestration.console import as_json, print_facts, print_table, say
from orchestration.workspace.source_choice import SourceChoice

if TYPE_CHECKING:
    from aiops.settings.tree import Settings
    from orchestration.pipeline.scenario import Scenario
    from orchestration.rehearsal.acted_span import ActedSpan
    from orchestration.rehearsal.run_result import RunResult


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("run")(run)


def run(
    source: SourceName = "simulate",
    path: SourcePath = None,
    option: SourceSet = None,
    seed: Annotated[int, typer.Option(min=0, help="of the simulated story (source simulate without --set)")] = 7,
    keep: Annotated[bool, typer.Option("--keep", help="add to what AIOPS_HOME holds instead of clearing a former run")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the figures to this file")] = None,
) -> None:
    """Run the loop: history, train, gate, deploy, replay through the broker, drift check, retrain and swap, report."""
    from aiops.settings.reading import read_settings
    from data_contracts.kernel_cache import COMPILING
    from orchestration.pipeline.scenario import recorded
    from orchestration.rehearsal import default_scenario, html_report
    from orchestration.rehearsal.acted_run import missing_ends
    from orchestration.workspace.home_lock import hold

    began, COMPILING.say = time.monotonic(), say
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = read_settings()
    _check_writable(json_file)
    is_default = source == "simulate" and not option
    story = default_scenario.simulated(seed) if is_default else None
    chosen = story.scenario if story else recorded(SourceChoice(source, path, tuple(option or ())).open())
    with hold(settings.root, "aiops run"):
        result = _run_and_conclude(settings, Rehearsed(source, chosen, story.acted if story else None), keep, began)
    if json_file is not None:
        json_file.write_text(as_json(result), encoding="utf-8")
    print_facts(f"aiops run on {source}", dict(html_report.summary_rows(result)))
    print_table("Labelled incidents of the replay", html_report.INCIDENT_COLUMNS, html_report.incident_rows(result))
    for line in html_report.highlights(result):
        say(line)
    say(html_report.headline(result))
    say(f"report: {result.report}")
    if story is not None and (missing := missing_ends(result.acted, [incident.expected for incident in story.acted.incidents])):
        say(f"acting: {missing}")


@dataclass(frozen=True)
class Rehearsed:
    """What a run goes through: a source by its name, in its order, and what is acted on after it."""

    source: str
    scenario: "Scenario"
    acted: "ActedSpan | None"


def _run_and_conclude(settings: "Settings", rehearsed: Rehearsed, keep: bool, began: float) -> "RunResult":
    from orchestration.pipeline.telemetry_step import fitted_settings, median_step_s
    from orchestration.rehearsal.live_replay import with_free_ports
    from orchestration.rehearsal.run import Run, fresh_home
    from orchestration.rehearsal.run_outputs import conclude
    from orchestration.workspace.workspace import Workspace

    fresh_home(settings.root, keep)
    scenario = rehearsed.scenario
    step_s = median_step_s(next(iter(scenario.history())), settings.telemetry.step_s)
    workspace = Workspace.open(fitted_settings(with_free_ports(settings), step_s))
    story = Run(workspace, scenario, say, rehearsed.acted).go()
    return conclude(workspace, story, scenario.split, rehearsed.source, time.monotonic() - began)


def _check_writable(json_file: Path | None) -> None:
    """Refuse a file that cannot be written before the run, not after it."""
    if json_file is None:
        return
    try:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.touch()
    except OSError as error:
        raise ConfigurationError(f"--json {json_file}: {error.strerror}; name a file that can be written") from error
