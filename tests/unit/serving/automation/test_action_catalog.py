"""The table of all kinds of actions."""

import subprocess
import sys

import pytest

from aiops.automation.action import ActionRequest
from aiops.errors import ContractError
from serving.automation.actions.catalog import ActionReach, actions_of
from serving.automation.actions.secret_references import Secrets

ACTIONS = actions_of(ActionReach(Secrets({})))


def test_every_kind_has_both_halves_and_its_own_name() -> None:
    assert sorted(ACTIONS) == [
        *(
            "ansible.playbook",
            "dagster.job",
            "feature_flag.file",
            "haproxy.weight",
            "http.call",
            "kubernetes.cordon",
            "kubernetes.limits",
            "kubernetes.restart",
        ),
        *("kubernetes.rollback", "kubernetes.scale", "postgres.kill_session", "postgres.setting", "process.restart"),
        *("redis.setting", "ssh.command", "systemd.restart"),
    ]
    assert all(action.runner is not None for action in ACTIONS.values())


@pytest.mark.parametrize("name", ACTIONS)
def test_without_parameters_each_says_what_it_takes(name: str) -> None:
    with pytest.raises(ContractError, match=f"action {name}: with.*It takes"):
        ACTIONS[name].planner.plan(ActionRequest(name, "cart", {}))


def test_the_table_does_not_import_the_library_of_kubernetes() -> None:
    code = "import sys, serving.automation.actions.catalog; sys.exit('kubernetes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
