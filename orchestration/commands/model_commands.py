"""Commands about models: train, check drift, score, list, promote, roll back, give verdicts."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from orchestration.commands.options import AsJson
from orchestration.console import print_facts, print_json, print_table, say, stage
from orchestration.workspace.iso_time import moment

ModelName = Annotated[str, typer.Argument(help="a model with versions of its own, as `aiops models` lists them")]
Why = Annotated[str, typer.Option("--why", help="reason kept in the audit log")]
At = Annotated[str | None, typer.Option("--at", help="event time to act at, ISO 8601; default: the newest telemetry in the lake")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    for name, command in (
        ("train", train),
        ("drift", drift),
        ("score", score),
        ("models", models),
        ("promote", promote),
        ("rollback", rollback),
        ("verdict", verdict),
    ):
        app.command(name)(command)


def train(at: At = None, as_json: AsJson = False) -> None:
    """Build features and the training set from the lake, train all models, judge each at the gate, promote what passes."""
    from orchestration.dagster.job_runs import build_missing_features, run_training
    from orchestration.workspace.workspace import Workspace

    workspace, until = Workspace.open(), moment("--at", at)
    workspace.newest_telemetry()
    with stage("train, judge, promote"):
        build_missing_features(workspace, say)
        outcomes = run_training(workspace, until, say)
    if as_json:
        print_json([asdict(outcome) for outcome in outcomes])
        return
    columns = ("model", "version", "promoted", "reason")
    print_table("Trained", columns, [(o.model, o.version, o.promoted, o.reason) for o in outcomes])


def drift(at: At = None, as_json: AsJson = False) -> None:
    """Compare what was served with the champion's training reference; drift asks for a retraining (see `aiops up`)."""
    from orchestration.pipeline.drift import check_drift
    from orchestration.workspace.workspace import Workspace

    with stage("drift check"):
        check = check_drift(Workspace.open(), moment("--at", at))
    print_json(check) if as_json else print_facts("Drift check", {**asdict(check)})


def score(
    rows: Annotated[Path, typer.Argument(help="service vectors: .parquet, .csv or .json (records)")],
    predict: Annotated[bool, typer.Option("--predict", help="P(incident) instead of the anomaly score")] = False,
    as_json: AsJson = False,
) -> None:
    """Score service vectors with the running service (HTTP, Arrow)."""
    from orchestration.pipeline.file_scoring import score_file
    from orchestration.workspace.current_settings import settings_in_force

    scored = score_file(settings_in_force(), rows, predict)
    if as_json:
        print_json(scored)
        return
    columns = tuple(scored.rows[0]) if scored.rows else ("service",)
    title = f"{scored.model} version {scored.model_version}"
    print_table(title, columns, [[row[name] for name in columns] for row in scored.rows])


def models(
    name: Annotated[str | None, typer.Argument(help="only this model")] = None,
    audit: Annotated[bool, typer.Option("--audit", help="the audit log instead: who did what, when and why")] = False,
    as_json: AsJson = False,
) -> None:
    """List model versions with alias, gate decision and reason; or the audit log."""
    from models.artifacts.catalog import trained_models
    from orchestration.pipeline.deployment import list_models
    from orchestration.workspace.workspace import Workspace

    if name is not None:
        _refuse_unknown(name)
    workspace = Workspace.open()
    if audit:
        entries = workspace.registry.audit(name)
        heads = ("at", "who", "action", "model", "version", "alias", "why")
        lines = [[getattr(entry, head) for head in heads] for entry in entries]
        print_json([asdict(entry) for entry in entries]) if as_json else print_table("Audit log", heads, lines)
        return
    listed = list_models(workspace, (name,) if name else trained_models())
    if as_json:
        print_json(listed)
        return
    columns = ("name", "version", "alias", "created_at", "gate", "reason")
    print_table("Models", columns, [[getattr(entry, column) for column in columns] for entry in listed])


def promote(
    name: ModelName,
    version: Annotated[str | None, typer.Option("--version", help="default: the challenger")] = None,
    why: Why = "promoted by hand",
    force: Annotated[bool, typer.Option("--force", help="although the gate refused it; noted in the audit log")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a version the champion; running services swap to it within seconds. Exit code 7 if the gate refused it."""
    from orchestration.pipeline import deployment
    from orchestration.workspace.workspace import Workspace

    _refuse_unknown(name)
    moved = deployment.promote(Workspace.open(), name, version, deployment.change(datetime.now(UTC), why), force)
    print_json(moved) if as_json else print_facts("Promoted", asdict(moved))


def rollback(name: ModelName, why: Why = "rolled back by hand", as_json: AsJson = False) -> None:
    """Return to the champion before this one; running services swap to it within seconds."""
    from orchestration.pipeline import deployment
    from orchestration.workspace.workspace import Workspace

    _refuse_unknown(name)
    moved = deployment.rollback(Workspace.open(), name, deployment.change(datetime.now(UTC), why))
    print_json(moved) if as_json else print_facts("Rolled back", asdict(moved))


def verdict(
    detection_id: Annotated[str, typer.Argument(help="id of a detection")],
    right: Annotated[bool, typer.Option("--true/--false-alarm", help="was it worth a page?")],
    as_json: AsJson = False,
) -> None:
    """Say whether a detection was right; more than 10 % false alarms lead to a retraining."""
    from orchestration.pipeline.verdicts import give_verdict
    from orchestration.workspace.workspace import Workspace

    given = give_verdict(Workspace.open(), detection_id, right, datetime.now(UTC))
    print_json(given) if as_json else print_facts("Verdict", asdict(given))


def _refuse_unknown(name: str) -> None:
    """Raise ModelNotFound for a name that the catalogue does not have."""
    from aiops.errors import ModelNotFound
    from models.artifacts.catalog import trained_models

    if name not in trained_models():
        raise ModelNotFound(f"model {name!r} is not known; name one of {', '.join(trained_models())}")
