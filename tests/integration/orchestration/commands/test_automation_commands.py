"""`aiops runs answer` on a run log of its own, with no suite running: what is answered, declined and refused."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aiops.automation.action import ActionRequest
from aiops.automation.plan import fingerprint_of
from aiops.automation.run import Approval, RunState, StepRun, StepState
from aiops.automation.run_ledger import RunChange
from aiops.errors import ConfigurationError, ContractError
from orchestration.cli import run
from serving.automation.actions.human_question import HumanQuestion
from serving.automation.actions.once_action import once_action
from serving.automation.ledger.run_records import LedgerRules
from serving.automation.ledger.store_ledger import StoreRunLedger
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import PageRequest
from tests.conformance.run_ledger_suite import WIDE
from tests.testing.empty_store import empty_store
from tests.testing.made_plans import Wish, plan_of

FORM = {"question": "Is the batch done?", "fields": [{"name": "reason"}, {"name": "go", "type": "yes_no"}]}
ANSWERS = ("--set", "reason=the batch = over", "--set", "go=yes")
Output = pytest.CaptureFixture[str]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[IncidentStore]:
    monkeypatch.setenv("AIOPS_HOME", str(tmp_path))
    monkeypatch.setenv("AIOPS_RESPONDER__DATABASE_URL", f"sqlite:///{tmp_path}/incidents.db")
    with empty_store(tmp_path) as opened:
        yield opened


@pytest.fixture
def run_id(store: IncidentStore) -> str:
    """Return a run that has done its first step and waits at the second, which asks."""
    now = datetime.now(UTC)
    asked = once_action(HumanQuestion()).planner.plan(ActionRequest("human.ask", "cart", FORM))
    made = plan_of(Wish(made_at=now))
    steps = (replace(made.steps[0], number=1), replace(asked, number=2, timeout_s=1800.0))
    fingerprint = fingerprint_of(made.version, made.subject, steps, made.needs)
    ledger = StoreRunLedger(store, LedgerRules(WIDE))
    plan = ledger.propose(replace(made, steps=steps, fingerprint=fingerprint)).plan
    acting = ledger.begin(plan, ledger.approve(plan.plan_id, Approval("ann", now, fingerprint), "operator"), now)
    waits = (StepRun(1, StepState.DONE, 1, now), StepRun(2, StepState.INTENDED, 1, now))
    ledger.change(acting, RunChange(RunState.ACTING, now, waits, "asks"))
    return plan.plan_id


def asked_step(store: IncidentStore, run_id: str) -> StepRun:
    return StoreRunLedger(store, LedgerRules(WIDE)).get(run_id).run.steps[1]


def test_an_answer_goes_into_the_run_and_into_the_audit_log(store: IncidentStore, run_id: str, capsys: Output) -> None:
    assert run(["runs", "show", run_id]) == 0
    assert "Is the batch done?" in capsys.readouterr().out
    assert run(["runs", "answer", run_id[:12], *ANSWERS, "--note", "sure", "--by", "ann", "--json"]) == 0
    answered = json.loads(capsys.readouterr().out)
    assert (answered["question"], answered["steps"][1]["state"]) == (None, "done")
    assert "answered by ann: reason=the batch = over, go=yes: sure" in asked_step(store, run_id).note
    entry = store.audit(PageRequest(1)).items[0]
    assert (entry.by, "the batch = over" in str(entry.detail)) == ("ann", True)
    assert store.verify_audit().intact
    assert run(["runs", "answer", run_id, *ANSWERS, "--by", "eve"]) == ContractError.exit_code
    assert "ann" in asked_step(store, run_id).note


def test_a_no_is_kept_as_such(store: IncidentStore, run_id: str, capsys: Output) -> None:
    assert run(["runs", "answer", run_id, "--decline", "--by", "bob"]) == 0
    assert run_id in capsys.readouterr().out
    step = asked_step(store, run_id)
    assert (step.state is StepState.DONE, "bob" in step.note) == (False, True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--set", "reason"), ConfigurationError.exit_code, "write NAME=VALUE"),
        (("--set", "reason=it is", "--set", "go=maybe"), ContractError.exit_code, "must be yes or no"),
        (("--set", "go=yes"), ContractError.exit_code, "reason"),
    ],
)
def test_what_does_not_fit_the_question_changes_nothing(
    words: tuple[str, ...], code: int, said: str, store: IncidentStore, run_id: str, capsys: Output
) -> None:
    before = store.audit(PageRequest(100)).items
    assert run(["runs", "answer", run_id, *words, "--by", "ann"]) == code
    assert said in capsys.readouterr().err
    assert asked_step(store, run_id).state is StepState.INTENDED
    assert store.audit(PageRequest(100)).items == before
