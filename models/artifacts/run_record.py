"""What the registry writes of trainings and decisions, as plain texts; nothing here knows MLflow."""

import json
from dataclasses import asdict

from aiops.types import GateDecision
from models.artifacts.audit import Change
from models.artifacts.training_run import DatasetFacts, TrainingRun


def run_tags(run: TrainingRun) -> dict[str, str]:
    """Return the tags of a training run: its own, the feature service, the commit and the facts of its dataset."""
    return {
        **run.tags,
        "feature_service": run.feature_service,
        "mlflow.source.git.commit": run.git_commit,
        "dataset.sha256": run.dataset.digest,
        "dataset.rows": str(run.dataset.rows),
        "dataset.start": run.dataset.start.isoformat(),
        "dataset.end": run.dataset.end.isoformat(),
    }


def dataset_texts(facts: DatasetFacts) -> tuple[str, str, str]:
    """Return schema, source and profile of a dataset as MLflow's JSON."""
    columns = [{"name": name, "type": "double", "required": False} for name in facts.columns]
    source = {"start": facts.start.isoformat(), "end": facts.end.isoformat()}
    return json.dumps({"mlflow_colspec": columns}), json.dumps(source), json.dumps({"num_rows": facts.rows})


def decision_tags(decision: GateDecision, change: Change) -> dict[str, str]:
    """Return the tags of a gate's decision: outcome, reason, checks and both scorecards (JSON)."""
    cards = {"challenger": decision.challenger, "champion": decision.champion}
    return {
        "gate.promoted": str(decision.promoted).lower(),
        "gate.reason": decision.reason,
        "gate.checks": json.dumps(dict(decision.checks), sort_keys=True),
        "gate.decided_at": change.at.isoformat(),
        **{f"gate.{role}": json.dumps(asdict(card), sort_keys=True) for role, card in cards.items() if card is not None},
    }
