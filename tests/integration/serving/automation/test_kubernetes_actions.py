"""Actions on Kubernetes against a stand-in of its API, and the stand-in against a real kubectl."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient, Configuration

from aiops.automation.action import Action, ActionRequest, Outcome, Risk
from aiops.errors import ContractError, StepRefused, Unavailable
from serving.automation.actions.kubernetes_action import ResourceEdit, kubernetes_action
from serving.automation.actions.kubernetes_api import Cluster
from serving.automation.actions.kubernetes_cordon import KubernetesCordon
from serving.automation.actions.kubernetes_limits import KubernetesLimits
from serving.automation.actions.kubernetes_restart import KubernetesRestart
from serving.automation.actions.kubernetes_rollback import KubernetesRollback
from serving.automation.actions.kubernetes_scale import KubernetesScale
from tests.conformance.action_suite import ActionCase, keeps_to_the_contract, leaves_what_others_changed, refuses_parameters
from tests.testing.free_ports import free_port
from tests.testing.kubernetes_stand_in import StandIn, kubernetes_stand_in
from tests.testing.peers import needed_peer

CART = {"namespace": "shop", "workload": "cart"}
REQUESTS: dict[str, dict[str, Any]] = {
    "restart": CART,
    "scale": {**CART, "factor": 1.5},
    "rollback": {"namespace": "shop", "deployment": "cart"},
    "limits": {**CART, "container": "main", "limit": "512Mi", "most": "1Gi"},
    "cordon": {"node": "n1"},
}
EDITS: dict[str, ResourceEdit] = {
    "restart": KubernetesRestart(),
    "scale": KubernetesScale(),
    "rollback": KubernetesRollback(),
    "limits": KubernetesLimits(),
    "cordon": KubernetesCordon(),
}


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with kubernetes_stand_in() as server:
        server.put_node("n1")
        path = server.put_workload("cart")
        server.set_image(path, "cart:2")
        yield server


def cluster(url: str) -> Cluster:
    return Cluster(lambda: ApiClient(Configuration(host=url)))


def action(stand_in: StandIn, name: str) -> Action:
    return kubernetes_action(EDITS[name], cluster(stand_in.url))


def request(name: str, **more: Any) -> ActionRequest:
    return ActionRequest(EDITS[name].kind, "cart", {**REQUESTS[name], **more})


def meddling(stand_in: StandIn, name: str) -> Callable[[], None]:
    """Return what somebody else does to the part that an action changes."""
    path = EDITS[name].path(request(name))

    def meddle() -> None:
        body = json.loads(json.dumps(stand_in.objects[path]))
        template = body["spec"].get("template", {})
        if name == "restart":
            template["metadata"]["annotations"] = {"aiops/restarts": "7"}
        elif name == "scale":
            body["spec"]["replicas"] = 9
        elif name == "limits":
            template["spec"]["containers"][0]["resources"]["limits"]["memory"] = "300Mi"
        else:
            template["spec"]["containers"][0]["image"] = "cart:3"
        stand_in.handle("PUT", path, {}, body, "")

    return meddle


def spec(stand_in: StandIn, name: str) -> Any:
    return json.loads(json.dumps(stand_in.objects[EDITS[name].path(request(name))]["spec"]))


@pytest.mark.parametrize("name", EDITS)
def test_a_kind_keeps_to_the_contract(name: str, stand_in: StandIn) -> None:
    keeps_to_the_contract(ActionCase(action(stand_in, name), request(name), lambda: spec(stand_in, name), lambda: None))
    assert any(entry.startswith("PUT") and entry.endswith("dryRun=All") for entry in stand_in.requests)


@pytest.mark.parametrize("name", [name for name in EDITS if name != "cordon"])
def test_what_others_changed_is_left_alone(name: str, stand_in: StandIn) -> None:
    case = ActionCase(action(stand_in, name), request(name), lambda: spec(stand_in, name), meddling(stand_in, name))
    leaves_what_others_changed(case)


def test_a_change_between_reading_and_replacing_is_a_conflict(stand_in: StandIn) -> None:
    behind = cluster(stand_in.url)
    path = EDITS["scale"].path(request("scale"))
    read = behind.get(path)
    stand_in.set_image(path, "cart:9")
    with pytest.raises(StepRefused, match="409"):
        behind.replace(path, read)
    assert stand_in.objects[path]["spec"]["template"]["spec"]["containers"][0]["image"] == "cart:9"


def test_a_rollback_goes_to_the_revision_before_and_back(stand_in: StandIn) -> None:
    step = action(stand_in, "rollback").planner.plan(request("rollback"))
    assert (step.before["images"], step.after["images"]) == ("cart:2", "cart:1")
    assert step.parameters["revision"] == 1
    assert step.replica_share == 0.25


def test_without_an_earlier_revision_there_is_nothing_to_roll_back_to(stand_in: StandIn) -> None:
    stand_in.put_workload("fresh")
    with pytest.raises(ContractError, match="no earlier revision"):
        action(stand_in, "rollback").planner.plan(request("rollback", deployment="fresh"))
    assert "no revision 9" in refuses_parameters(action(stand_in, "rollback"), request("rollback"), {"revision": 9})


def test_an_autoscaled_workload_is_not_scaled(stand_in: StandIn) -> None:
    stand_in.put_autoscaler("cart")
    with pytest.raises(ContractError, match="autoscaler cart-hpa"):
        action(stand_in, "scale").planner.plan(request("scale"))


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        ("scale", {"factor": 9.0}, "with.most"),
        ("scale", {"replicas": 3}, "one of them"),
        ("scale", {"kind": "daemonset"}, "daemon set"),
        ("scale", {"namespace": "shop/../kube-system"}, "with.namespace"),
        ("limits", {"limit": "2Gi"}, "above with.most"),
        ("limits", {"limit": "512m"}, "thousandth of a byte"),
        ("limits", {"limit": "0Mi"}, "more than 0"),
        ("limits", {"container": "sidecar"}, "has main"),
        ("restart", {"workload": "absent"}, "404"),
        ("cordon", {"node": "n1?dryRun="}, "with.node"),
    ],
)
def test_wrong_parameters_are_named(name: str, wrong: dict[str, Any], words: str, stand_in: StandIn) -> None:
    assert words in refuses_parameters(action(stand_in, name), request(name), wrong)


def test_what_the_cluster_would_refuse_is_no_plan(stand_in: StandIn) -> None:
    stand_in.deny = "/apis/apps/v1/namespaces/shop/deployments/cart"
    with pytest.raises(ContractError, match="would refuse"):
        action(stand_in, "restart").planner.plan(request("restart"))


def test_fewer_pods_need_a_person(stand_in: StandIn) -> None:
    planner = action(stand_in, "scale").planner
    assert planner.plan(request("scale")).risk is Risk.LOW
    assert planner.plan(request("scale", factor=0.5)).risk is Risk.HIGH


def test_a_cluster_that_is_away_is_unknown(stand_in: StandIn) -> None:
    step = action(stand_in, "restart").planner.plan(request("restart"))
    away = kubernetes_action(EDITS["restart"], cluster(f"http://127.0.0.1:{free_port()}"))
    assert away.planner.probe(step) is Outcome.UNKNOWN
    assert away.runner is not None
    with pytest.raises((Unavailable, StepRefused)):
        away.runner.apply(step, "key")


@pytest.fixture
def kubectl(stand_in: StandIn, tmp_path: Path) -> Callable[..., str]:
    program = needed_peer("kubectl").path

    def run(*arguments: str, fails: bool = False) -> str:
        command = [str(program), "--server", stand_in.url, "--namespace", "shop", "--cache-dir", str(tmp_path), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={"HOME": str(tmp_path)})
        assert (done.returncode != 0) is fails, done.stderr
        return done.stdout + done.stderr

    return run


def test_kubectl_and_the_actions_do_the_same(kubectl: Callable[..., str], stand_in: StandIn) -> None:
    by_hand: dict[str, Any] = {}
    for name, command in {
        "scale": ("scale", "deployment/cart", "--replicas=6"),
        "rollback": ("rollout", "undo", "deployment/cart"),
        "cordon": ("cordon", "n1"),
    }.items():
        chosen = action(stand_in, name)
        step = chosen.planner.plan(request(name))
        kubectl(*command)
        assert chosen.planner.probe(step) is Outcome.NEW, name
        by_hand[name] = spec(stand_in, name)
        assert chosen.runner is not None
        chosen.runner.undo(step, "undo")
        chosen.runner.apply(step, "again")
        assert spec(stand_in, name) == by_hand[name], name


def test_kubectl_meets_the_rules_of_the_stand_in(kubectl: Callable[..., str], stand_in: StandIn, tmp_path: Path) -> None:
    before = spec(stand_in, "restart")
    kubectl("scale", "deployment/cart", "--replicas=2", "--dry-run=server")
    assert spec(stand_in, "restart") == before, "a dry run changes nothing"
    old = tmp_path / "old.json"
    old.write_text(kubectl("get", "deployment/cart", "--output", "json"))
    kubectl("rollout", "restart", "deployment/cart")
    assert spec(stand_in, "restart") != before
    assert "modified" in kubectl("replace", "--validate=false", "--filename", str(old), fails=True)
    assert "not found" in kubectl("get", "deployment/absent", fails=True)
