"""What `aiops up` does before its first start: the source's history into the lake, features, models, first champions.

Run as `python -m orchestration.dagster.first_training --source simulate`, a process of its own: it can be ended at any moment and
goes on with the same times when it is started again, and what it imports is gone with it.
"""

import argparse
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pyarrow as pa

from aiops.errors import AiopsError
from aiops.types import HistorySplit
from data_contracts.kernel_cache import COMPILING
from data_contracts.schemas.telemetry_schemas import EDGES
from models.artifacts.catalog import watched_model
from orchestration.console import calm_libraries, complain, say
from orchestration.dagster.job_runs import JobFailed, bands_config, range_tags, run_job, run_training
from orchestration.pipeline import ingest as ingestion
from orchestration.pipeline.deployment import current_version
from orchestration.pipeline.live_start import keep_start, kept_start, whole_step
from orchestration.pipeline.scenario import Scenario, recorded
from orchestration.pipeline.timeline import Timeline, shifted, timeline_of
from orchestration.suite.services import NO_CHAMPION
from orchestration.workspace.source_choice import SourceChoice
from orchestration.workspace.workspace import Workspace
from serving.host.private_files import keep_private
from serving.host.process_exit import leave
from serving.ingest.pull.prometheus_live import LivePrometheus

NEEDED: Final = watched_model()
"""The model without which the scoring service does not become ready."""
LEAST_HISTORY: Final = timedelta(hours=2)
"""History of a followed source from which on training is tried at once."""
_TRUTH_TIMES = {
    "edges": ("valid_from", "valid_to", "seen_at"),
    "incidents": ("starts_at", "onset_at", "ends_at", "known_at"),
    "changes": ("at",),
}
"""Columns to move, the first of them the time at which a row happens."""


def prepare(workspace: Workspace, choice: SourceChoice, say: Callable[[str], None]) -> bool:
    """Learn from the history of the source where there is no champion yet; return whether there is one now."""
    if choice.follows:
        write_calls(workspace, choice)
    if current_version(workspace, NEEDED):
        return True
    if choice.follows:
        return prepare_live(workspace, choice, say)
    say("no champions yet: the history of the source is ingested and learned from first (about a minute)")
    scenario = recorded(choice.open())
    split, settings = scenario.split, workspace.settings
    line = timeline_of(settings.root, " ".join(choice.arguments()), split, datetime.now(UTC), settings.telemetry.step_s)
    line.save(settings.root)
    write_truth(workspace, scenario, line)
    shift = line.history_shift(split)
    ingestion.ingest(workspace, scenario.source.name, _moved(scenario.history(), shift), line.origin, say)
    learn(workspace, split.history_start + shift, split.history_end + shift, say)
    return bool(current_version(workspace, NEEDED))


def prepare_live(workspace: Workspace, choice: SourceChoice, say: Callable[[str], None]) -> bool:
    """Learn, once, from what a followed source remembers; return whether there is a champion.

    What cannot be learned yet is learned by the nightly training, from what has come by then: tier 1 watches meanwhile.
    """
    home = workspace.settings.root
    if kept_start(home, choice) is not None:
        say("the history of the source was learned from before; the nightly training takes what has come since")
        return False
    say("no champions yet: what the source remembers is ingested and learned from first (a few minutes)")
    source = choice.open_live()
    try:
        end = whole_step(datetime.now(UTC), source.step_s)
        first = take_history(workspace, source, end, say)
    finally:
        source.close()
    if first is None or end - first < LEAST_HISTORY:
        say(f"less than {LEAST_HISTORY} of history: too little to learn from; the nightly training takes what has come by then")
    else:
        try:
            learn(workspace, first, end, say)
        except JobFailed as error:
            say(f"nothing is learned yet: {error}; the nightly training tries again")
    keep_start(home, choice, end)
    return bool(current_version(workspace, NEEDED))


def take_history(workspace: Workspace, source: LivePrometheus, end: datetime, say: Callable[[str], None]) -> datetime | None:
    """Ingest what a followed source remembers of the time before `end`; return its first moment, None where there is nothing."""
    history = source.history(end)
    try:
        start = history.split().history_start
        say(f"history from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, {len(source.queries)} queries")
        tables = {"incidents": history.incidents(), "changes": history.changes()}
        ingestion.write_truth(workspace, EDGES.empty_table(), tables)
        done = ingestion.ingest(workspace, source.name, history.batches(start, end), end, say)
        for text in history.remarks():
            say(text)
    finally:
        history.close()
    return done.first


def write_calls(workspace: Workspace, choice: SourceChoice) -> None:
    """Write the calls of the option `edges` into the call graph, also where models are there already: they may be new."""
    source = choice.open_live()
    try:
        ingestion.write_truth(workspace, source.truth.edges(), {})
    finally:
        source.close()


def learn(workspace: Workspace, start: datetime, end: datetime, say: Callable[[str], None]) -> None:
    """Make features of the lake's telemetry from `start` to `end`, then models, then bands from `end` on.

    Raises:
        JobFailed: the features or the training failed.
    """
    say("features over the history (Dagster job `ingest_and_features`)")
    run_job(workspace, "ingest_and_features", {}, range_tags(start, end))
    for judged in run_training(workspace, end, say):
        say(f"{judged.model}: {judged.reason}")
    make_bands(workspace, end, say)


def make_bands(workspace: Workspace, at: datetime, say: Callable[[str], None]) -> None:
    """Make the first seasonal bands; where that fails, tier 2 stays unknown until the nightly run."""
    try:
        run_job(workspace, "seasons", bands_config(at))
    except JobFailed as error:
        say(f"no seasonal bands yet: {error}")


def write_truth(workspace: Workspace, scenario: Scenario, line: Timeline) -> None:
    """Write call graph, incident labels and change events into the lake, moved like the telemetry that they are about."""
    split, source = scenario.split, scenario.source
    edges = shifted(source.edges(), line.history_shift(split), _TRUTH_TIMES["edges"])
    tables = {"incidents": source.incidents(), "changes": ingestion.source_changes(source)}
    moved = {name: _moved_truth(rows, line, split, _TRUTH_TIMES[name]) for name, rows in tables.items()}
    ingestion.write_truth(workspace, edges, moved)


def _moved_truth(rows: pa.Table, line: Timeline, split: HistorySplit, times: tuple[str, ...]) -> pa.Table:
    """Return rows that happen (first of `times`) in the replay moved as it is, all others moved as the history."""
    starts: list[datetime] = rows[times[0]].to_pylist()  # type: ignore[assignment]
    live = [split.replay_start <= start < split.replay_end for start in starts]
    replayed = pa.array(live, pa.bool_())
    past = shifted(rows.filter(pa.array([not is_live for is_live in live], pa.bool_())), line.history_shift(split), times)
    return pa.concat_tables([past, shifted(rows.filter(replayed), line.replay_shift(split), times)])


def _moved(chunks: Iterator[pa.Table], shift: timedelta) -> Iterator[pa.Table]:
    for chunk in chunks:
        yield shifted(chunk, shift)


def main() -> None:
    """Prepare and exit: 0, NO_CHAMPION, or the exit code of what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True)
    parser.add_argument("--path", type=Path, default=None)
    parser.add_argument("--set", action="append", default=[], dest="options")
    arguments = parser.parse_args()
    keep_private()
    calm_libraries()
    COMPILING.say = say
    choice = SourceChoice(arguments.source, arguments.path, tuple(arguments.options))
    try:
        champion = prepare(Workspace.open(), choice, say)
    except AiopsError as error:
        complain(str(error))
        leave(error.exit_code)
    leave(0 if champion else NO_CHAMPION)


if __name__ == "__main__":
    main()
