"""Actions on the suite itself: silences and messages in a real incident store, models in a real registry."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aiops.automation.action import ActionRequest, Outcome, Plain
from aiops.errors import ContractError, StepRefused
from aiops.incidents.alert import Alert, Severity
from aiops.incidents.correlation.suppression import Matcher, Silence
from aiops.settings.responder_settings import ResponderSettings
from aiops.settings.tree import Settings
from models.artifacts.audit import Change
from models.artifacts.registry import Registry
from models.training.training_context import TrainingContext
from serving.automation.actions.catalog import suite_actions_of
from serving.automation.runner.suite_reach import suite_reach
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import PageRequest
from tests.conformance.action_suite import ActionCase, keeps_to_the_contract, leaves_what_others_changed, refuses_parameters
from tests.testing.service_frames import history
from tests.testing.store_rows import incident
from tests.testing.trained_forest import trained_forest

START = datetime(2026, 1, 1, tzinfo=UTC)
FOREST = "isolation-forest"


class Suite:
    """A suite's own things of one tenant, at a time that the test moves."""

    def __init__(self, home: Path, tenant: str = "default") -> None:
        self.now = START
        self.settings = Settings(home=home, responder=ResponderSettings(webhook_url="https://hooks.example.org/secret"))  # type: ignore[arg-type]
        self.store = IncidentStore.open(f"sqlite:///{home / 'incidents.db'}", tenant)
        self.actions = suite_actions_of(suite_reach(self.settings, self.store, lambda: self.now))

    def is_silent(self, alert: Alert) -> bool:
        return self.store.suppression().reason(alert, self.now) is not None


@pytest.fixture
def suite(tmp_path: Path) -> Iterator[Suite]:
    suite = Suite(tmp_path)
    yield suite
    suite.store.close()


def request(action: str, **parameters: Plain) -> ActionRequest:
    return ActionRequest(action, "cart", parameters)


def alert(service: str = "cart", name: str = "Slow", source: str = "alertmanager", metric: str = "latency") -> Alert:
    return Alert("1", "f", service, name, Severity.WARNING, START, labels={"metric": metric}, source=source)


@pytest.mark.parametrize("check", [keeps_to_the_contract, leaves_what_others_changed])
@pytest.mark.parametrize("action", ["suite.silence", "suite.detector_pause"])
def test_silences_are_put_in_force_and_taken_back(check: object, action: str, suite: Suite) -> None:
    def meddle() -> None:
        step = suite.actions[action].planner.plan(request(action, duration_s=600))
        name = step.target.removeprefix("silence ")
        with suite.store.writing() as writer:
            writer.add_silence(Silence(name, (Matcher("service", "=", "web"),), suite.now, suite.now + timedelta(hours=1)))

    case = ActionCase(suite.actions[action], request(action, duration_s=600), suite.store.silences, meddle)
    check(case)  # type: ignore[operator]


def test_a_silence_ends_by_itself(suite: Suite) -> None:
    silence = suite.actions["suite.silence"]
    assert silence.runner is not None
    step = silence.planner.plan(request("suite.silence", duration_s=600, alert="Slow", labels={"metric": "latency"}))
    silence.runner.apply(step, "run-1")
    assert suite.is_silent(alert())
    assert not suite.is_silent(alert(service="web"))
    assert not suite.is_silent(alert(name="Errors"))
    with pytest.raises(ContractError, match="is so already"):
        silence.planner.plan(request("suite.silence", duration_s=600, alert="Slow", labels={"metric": "latency"}))
    suite.now += timedelta(seconds=600)
    assert not suite.is_silent(alert())
    assert silence.planner.probe(step) is Outcome.OLD
    with pytest.raises(StepRefused):
        silence.runner.undo(step, "run-1-undo")
    assert [entry.what for entry in suite.store.audit(PageRequest(10)).items] == ["silence added"]


def test_a_label_does_not_widen_a_silence_to_other_services(suite: Suite) -> None:
    silence = suite.actions["suite.silence"]
    assert silence.runner is not None
    silence.runner.apply(silence.planner.plan(request("suite.silence", duration_s=600, labels={"service": "web"})), "run-1")
    assert not suite.is_silent(alert(service="web"))


def test_a_pause_of_detectors_leaves_alerts_of_others(suite: Suite) -> None:
    pause = suite.actions["suite.detector_pause"]
    assert pause.runner is not None
    pause.runner.apply(pause.planner.plan(request("suite.detector_pause", duration_s=600, metric="latency")), "run-1")
    assert suite.is_silent(alert(source="detections"))
    assert not suite.is_silent(alert(source="detections", metric="errors"))
    assert not suite.is_silent(alert(source="alertmanager"))
    for wrong in ({"duration_s": 5}, {"duration_s": "10m"}):
        assert "with.duration_s" in refuses_parameters(pause, request("suite.detector_pause", duration_s=600), wrong)


@pytest.fixture(scope="module")
def models_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home whose registry has two champions after one another."""
    home = tmp_path_factory.mktemp("models")
    registry = Registry(Settings(home=home))
    trained = trained_forest(history(days=4), TrainingContext("synthetic", "detection_v1", "0123abc"))
    for minute, version in enumerate(("1", "2")):
        change = Change("alice", START + timedelta(minutes=minute), "trained")
        registry.register(trained.model, trained.run, change)
        registry.set_alias(FOREST, "champion", version, change)
    return home


def test_a_model_is_rolled_back_and_put_back(models_home: Path) -> None:
    suite, registry = Suite(models_home), Registry(Settings(home=models_home))
    wanted = request("suite.model_rollback", model=FOREST)
    champion = lambda: registry.get(FOREST, "champion").version  # noqa: E731
    keeps_to_the_contract(ActionCase(suite.actions["suite.model_rollback"], wanted, champion, lambda: None))
    assert champion() == "2"
    assert registry.champion_before(FOREST) == "1"
    assert [(entry.who, entry.action, entry.why) for entry in registry.audit(FOREST)][-2:] == [
        ("automation", "rollback", "run key-1"),
        ("automation", "alias", "run key-1-undo"),
    ]
    assert "`aiops models`" in refuses_parameters(suite.actions["suite.model_rollback"], wanted, {"model": "no-such"})
    suite.store.close()


def test_a_tenant_rolls_back_no_shared_model(models_home: Path) -> None:
    suite = Suite(models_home, "acme")
    with pytest.raises(ContractError, match="no such model of its own"):
        suite.actions["suite.model_rollback"].planner.plan(request("suite.model_rollback", model=FOREST))
    suite.store.close()


def test_a_message_is_sent_once(suite: Suite) -> None:
    with suite.store.writing() as writer:
        writer.put_incidents([incident("inc-1")])
    notify = suite.actions["notify"]
    wanted = request("notify", incident="inc-1", text="cart was\nrestarted")
    step = notify.planner.plan(wanted)
    assert notify.planner.plan(wanted) == step
    assert (notify.planner.probe(step), notify.planner.probe(step, "run-1")) == (Outcome.OLD, Outcome.OLD)
    assert notify.runner is not None
    for _ in range(2):
        notify.runner.apply(step, "run-1")
        suite.now += timedelta(seconds=5)
    (message,) = suite.store.messages("inc-1")
    assert (message.channel, message.payload["headline"]) == ("webhook", "cart was restarted")
    assert notify.planner.probe(step, "run-1") is Outcome.NEW
    assert notify.planner.probe(step, "run-2") is Outcome.OLD
    with pytest.raises(StepRefused, match="cannot be taken back"):
        notify.runner.undo(step, "run-1-undo")
    assert "not configured; there are: webhook" in refuses_parameters(notify, wanted, {"channels": ["slack"]})
    assert "hooks.example.org" not in repr(step)
    with pytest.raises(ContractError):
        notify.planner.plan(request("notify", incident="inc-9", text="gone"))
