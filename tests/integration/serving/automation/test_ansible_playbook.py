"""Playbooks of Ansible on this machine: the real ansible-playbook, in a folder of the test."""

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from aiops.automation.action import ActionRequest
from aiops.errors import ConfigurationError, ContractError, Unavailable
from serving.automation.actions import playbook_run
from serving.automation.actions.ansible_playbook import AnsiblePlaybook
from serving.automation.actions.secret_references import Secrets
from serving.automation.actions.state_action import state_action
from tests.conformance.action_suite import ActionCase, keeps_to_the_contract, leaves_what_others_changed, refuses_parameters

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("ansible_runner") is None or importlib.util.find_spec("ansible") is None,
        reason="the extra ansible is not installed: pip install 'aiops-suite[ansible]'",
    ),
]
_PLAY = """
- hosts: web
  gather_facts: false
  tasks:
    - name: the limit of connections
      ansible.builtin.copy: {{dest: "{target}/limit", content: "{content}", mode: "0600"}}
"""
_BARE = """
- hosts: web
  gather_facts: false
  tasks:
    - name: a bare command
      ansible.builtin.command: touch {target}/touched
"""


class Place:
    """A folder of playbooks, and one that they change."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.target = folder / "playbooks", folder / "target"
        self.folder.mkdir()
        self.target.mkdir()
        self.put("inventory.ini", f"[web]\nweb-1 ansible_connection=local ansible_python_interpreter={sys.executable}\n")
        self.put("raise.yaml", _PLAY.format(target=self.target, content="{{ limit }} {{ token | default('') }}"))
        self.put("lower.yaml", _PLAY.format(target=self.target, content="100 "))
        (self.target / "limit").write_text("100 ")
        (self.target / "limit").chmod(0o600)

    def put(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def limit(self) -> str:
        return (self.target / "limit").read_text()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def action_of(place: Place, **secrets: str) -> Any:
    return state_action(AnsiblePlaybook(place.folder, Secrets({**os.environ, **secrets})))


def wanted(**more: Any) -> ActionRequest:
    parameters = {"playbook": "raise.yaml", "inventory": "inventory.ini", "hosts": "web", "variables": {"limit": "200"}}
    return ActionRequest("ansible.playbook", "cart", {**parameters, "undo": "lower.yaml", **more})


def test_a_playbook_and_its_undo(place: Place) -> None:
    keeps_to_the_contract(ActionCase(action_of(place), wanted(), place.limit, lambda: None))


def test_what_others_changed_is_left_alone(place: Place) -> None:
    second = f'    - name: the second\n      ansible.builtin.copy: {{dest: "{place.target}/second", content: "200"}}\n'
    place.put("raise.yaml", (place.folder / "raise.yaml").read_text() + second)

    def meddle() -> None:
        (place.target / "second").write_text("200")

    leaves_what_others_changed(ActionCase(action_of(place), wanted(), place.limit, meddle))


def test_the_plan_names_tasks_and_no_contents(place: Place) -> None:
    action = action_of(place, TOKEN="t0ken")
    step = action.planner.plan(wanted(secrets={"token": "env:TOKEN"}))
    assert "web-1: the limit of connections" in step.difference
    assert "t0ken" not in json.dumps([step.difference, dict(step.parameters), dict(step.before)])
    action.runner.apply(step, "key")
    assert place.limit() == "200 t0ken"


def test_settings_of_the_suite_are_not_seen_by_a_playbook(place: Place) -> None:
    place.put("raise.yaml", _PLAY.format(target=place.target, content="{{ lookup('env', 'AIOPS_SERVING__JWT_KEY') }}."))
    action = action_of(place, AIOPS_SERVING__JWT_KEY="secret")
    action.runner.apply(action.planner.plan(wanted()), "key")
    assert place.limit() == "."


def test_what_cannot_be_shown_or_reached_is_refused(place: Place) -> None:
    place.put("bare.yaml", _BARE.format(target=place.target))
    action = action_of(place)
    assert "no check mode" in refuses_parameters(action, wanted(), {"playbook": "bare.yaml"})
    assert not (place.target / "touched").exists()
    for wrong in ("roles/../../target/limit", "missing.yaml"):
        assert "holds no such file" in refuses_parameters(action, wanted(), {"playbook": wrong})
    assert "with.hosts" in refuses_parameters(action, wanted(), {"hosts": "web --become"})
    with pytest.raises(ContractError, match=r"playbook_folder is not set"):
        state_action(AnsiblePlaybook(None, Secrets({}))).planner.plan(wanted())


def test_a_task_that_fails_leaves_open_what_is_done(place: Place) -> None:
    action = action_of(place)
    step = action.planner.plan(wanted())
    failing = "    - name: then this\n      ansible.builtin.fail: {msg: hidden}\n      when: not ansible_check_mode\n"
    place.put("raise.yaml", (place.folder / "raise.yaml").read_text() + failing)
    with pytest.raises(Unavailable, match="web-1: then this") as broken:
        action.runner.apply(step, "key")
    assert "hidden" not in str(broken.value)


def test_without_the_extra_it_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playbook_run, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"aiops-suite\[ansible\]"):
        action_of(place).planner.plan(wanted())
