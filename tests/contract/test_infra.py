"""Deployment files: Dagster's own schemas accept its instance, manifests are complete and closed, commands and settings exist."""

import importlib.util
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiops.settings.tree import Settings
from serving.stream.valkey_options import SERVER_OPTIONS

INFRA = Path(__file__).parents[2] / "infra"
MANIFESTS = sorted(path for path in (INFRA / "kubernetes").glob("*.yaml") if path.name != "kustomization.yaml")
SECRETS = {
    "aiops-secrets": {
        "AIOPS_BROKER__URL",
        "AIOPS_SERVING__JWT_KEY",
        "AIOPS_CONSUMER__SCORING_TOKEN",
        "AIOPS_RESPONDER__DATABASE_URL",
    },
    "aiops-postgres": {"DAGSTER_POSTGRES_PASSWORD", "MLFLOW_BACKEND_STORE_URI"},
    "valkey-password": {"password"},
}


def documents() -> list[dict[str, Any]]:
    return [manifest for path in MANIFESTS for manifest in yaml.safe_load_all(path.read_text()) if manifest]


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [manifest for manifest in documents() if manifest["kind"] in kinds]


def workloads() -> list[Any]:
    return [pytest.param(manifest, id=manifest["metadata"]["name"]) for manifest in of_kind("Deployment", "StatefulSet")]


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((INFRA / "compose.yaml").read_text())
    return loaded


def modules_of(command: list[str]) -> list[str]:
    return [command[place + 1] for place, word in enumerate(command) if word == "-m"]


@pytest.fixture
def dagster_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = of_kind("ConfigMap")[0]["data"]
    for name, value in (*shared.items(), ("DAGSTER_POSTGRES_PASSWORD", "secret")):
        if name.startswith("DAGSTER_") and name != "DAGSTER_HOME":
            monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("dagster_environment")
@pytest.mark.parametrize("name", ["dagster.production.yaml", "dagster.compose.yaml"])
def test_dagster_accepts_its_instance_file(name: str, tmp_path: Path) -> None:
    from dagster._core.instance.config import dagster_instance_config
    from dagster._core.instance.ref import InstanceRef

    shutil.copy(INFRA / name, tmp_path / "dagster.yaml")
    config, custom = dagster_instance_config(str(tmp_path))
    assert custom is None
    reference = InstanceRef.from_dir(str(tmp_path))
    assert reference.event_storage_data.class_name == "PostgresEventLogStorage"
    assert set(config["storage"]["postgres"]["postgres_db"]) == {"hostname", "username", "password", "db_name", "port"}


@pytest.mark.usefixtures("dagster_environment")
@pytest.mark.parametrize("name", ["dagster.production.yaml", "dagster.compose.yaml"])
def test_every_class_accepts_its_config(name: str) -> None:
    from dagster._config import process_config, resolve_to_config_type

    file = yaml.safe_load((INFRA / name).read_text())
    parts = [part for part in file.values() if isinstance(part, dict) and "class" in part]
    assert {part["class"] for part in parts} >= {"LocalComputeLogManager", "LocalArtifactStorage"}
    for part in parts:
        component = getattr(importlib.import_module(part["module"]), part["class"])
        outcome = process_config(resolve_to_config_type(component.config_type()), part["config"])
        assert outcome.success, (part["class"], outcome.errors)


@pytest.mark.usefixtures("dagster_environment")
def test_the_run_launcher_refuses_what_it_does_not_know() -> None:
    """The control: the check above can fail."""
    from dagster._config import process_config, resolve_to_config_type
    from dagster_k8s import K8sRunLauncher

    config = yaml.safe_load((INFRA / "dagster.production.yaml").read_text())["run_launcher"]["config"]
    schema = resolve_to_config_type(K8sRunLauncher.config_type())
    assert process_config(schema, config).success
    assert not process_config(schema, {**config, "job_imagee": "x"}).success


@pytest.mark.usefixtures("dagster_environment")
def test_runs_get_the_image_secrets_and_volume_of_the_manifests() -> None:
    config = yaml.safe_load((INFRA / "dagster.production.yaml").read_text())["run_launcher"]["config"]
    assert config["job_namespace"] == of_kind("Namespace")[0]["metadata"]["name"]
    assert config["service_account_name"] in {manifest["metadata"]["name"] for manifest in of_kind("ServiceAccount")}
    assert set(config["env_config_maps"]) == {manifest["metadata"]["name"] for manifest in of_kind("ConfigMap")}
    assert set(config["env_secrets"]) < set(SECRETS)
    claims = {manifest["metadata"]["name"] for manifest in of_kind("PersistentVolumeClaim")}
    assert {volume["persistentVolumeClaim"]["claimName"] for volume in config["volumes"]} == claims
    assert of_kind("ConfigMap")[0]["data"]["DAGSTER_RUN_IMAGE"] in {
        workload["spec"]["template"]["spec"]["containers"][0]["image"] for workload in of_kind("Deployment")
    }


def test_manifests_are_listed_named_and_unique() -> None:
    listed = yaml.safe_load((INFRA / "kubernetes" / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == [path.name for path in MANIFESTS]
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in documents()]
    assert len(names) == len(set(names))
    assert all(manifest["kind"] == "Namespace" or manifest["metadata"]["namespace"] == "aiops" for manifest in documents())
    assert not of_kind("Secret")


MODELS = {
    "Namespace": "V1Namespace",
    "ConfigMap": "V1ConfigMap",
    "PersistentVolumeClaim": "V1PersistentVolumeClaim",
    "Deployment": "V1Deployment",
    "StatefulSet": "V1StatefulSet",
    "Service": "V1Service",
    "ServiceAccount": "V1ServiceAccount",
    "Role": "V1Role",
    "RoleBinding": "V1RoleBinding",
    "HorizontalPodAutoscaler": "V2HorizontalPodAutoscaler",
    "PodDisruptionBudget": "V1PodDisruptionBudget",
    "NetworkPolicy": "V1NetworkPolicy",
}


@pytest.mark.parametrize(
    "document", [pytest.param(manifest, id=f"{manifest['kind']}-{manifest['metadata']['name']}") for manifest in documents()]
)
def test_every_field_is_one_of_kubernetes(document: dict[str, Any]) -> None:
    """The API's own models refuse a field they do not know, at any depth, and a required one that is absent."""
    import kubernetes.client
    from dagster_k8s.models import k8s_model_from_dict, k8s_snake_case_dict

    model = getattr(kubernetes.client, MODELS[document["kind"]])
    assert k8s_model_from_dict(model, k8s_snake_case_dict(model, document)).metadata.name == document["metadata"]["name"]
    with pytest.raises(Exception, match="metadatas"):
        k8s_snake_case_dict(model, {**document, "metadatas": {}})


@pytest.mark.parametrize("workload", workloads())
def test_pods_are_restricted_limited_and_probed(workload: dict[str, Any]) -> None:
    pod = workload["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["enableServiceLinks"] is False  # a Service named like a setting would otherwise become an unknown AIOPS_ name
    for container in pod["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert set(container["resources"]) == {"requests", "limits"}
        assert all(set(amounts) == {"cpu", "memory"} for amounts in container["resources"].values())
        ports = {port["name"] for port in container.get("ports", ())}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe].get("exec") or container[probe]["httpGet"]["port"] in ports
        image, _, tag = container["image"].rpartition(":")
        assert image
        assert tag not in {"", "latest"}


@pytest.mark.parametrize("workload", workloads())
def test_pods_find_their_volumes_settings_and_labels(workload: dict[str, Any]) -> None:
    spec = workload["spec"]
    pod = spec["template"]["spec"]
    claimed = {manifest["metadata"]["name"] for manifest in spec.get("volumeClaimTemplates", ())}
    volumes = {volume["name"] for volume in pod["volumes"]} | claimed
    container = pod["containers"][0]
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    for source in container.get("envFrom", ()):
        if "secretRef" in source:
            assert source["secretRef"]["name"] in SECRETS
        else:
            assert source["configMapRef"]["name"] == "aiops-environment"


def test_services_autoscaler_budgets_and_policies_select_pods_that_exist() -> None:
    labels = {
        manifest["metadata"]["name"]: manifest["spec"]["template"]["metadata"]["labels"]
        for manifest in of_kind("Deployment", "StatefulSet")
    }
    containers = {
        manifest["metadata"]["name"]: manifest["spec"]["template"]["spec"]["containers"][0]
        for manifest in of_kind("Deployment", "StatefulSet")
    }
    for service in of_kind("Service"):
        name = service["spec"]["selector"]["app.kubernetes.io/name"]
        ports = {port["name"]: port["containerPort"] for port in containers[name]["ports"]}
        assert {port["targetPort"]: port["port"] for port in service["spec"]["ports"]} == ports
    for scaler in of_kind("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]["name"]
        assert target in labels
        assert (
            "replicas"
            not in next(manifest for manifest in of_kind("Deployment") if manifest["metadata"]["name"] == target)["spec"]
        )
    for budget in of_kind("PodDisruptionBudget"):
        assert budget["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] in labels
    policies = {manifest["metadata"]["name"]: manifest["spec"] for manifest in of_kind("NetworkPolicy")}
    assert policies["closed"]["podSelector"] == {}
    assert set(policies["closed"]["policyTypes"]) == {"Ingress", "Egress"}
    listening = {name for name, container in containers.items() if container.get("ports")}
    assert listening <= set(policies)
    for name in listening:
        opened = {rule["port"] for rule in policies[name]["ingress"][0]["ports"]}
        assert opened == {port["containerPort"] for port in containers[name]["ports"]}


def test_commands_are_modules_that_exist() -> None:
    commands = [(name, service.get("command", [])) for name, service in compose()["services"].items()]
    commands += [
        (manifest["metadata"]["name"], manifest["spec"]["template"]["spec"]["containers"][0]["args"])
        for manifest in of_kind("Deployment")
    ]
    modules = {module for _, command in commands if command for module in modules_of([str(word) for word in command])}
    assert modules == {
        "serving.scoring",
        "serving.stream.consumer",
        "serving.incidents.responder",
        "serving.ingest",
        "serving.signal_minutes",
        "serving.automation",
        "serving.console",
        "serving.explore",
        "orchestration.suite.web.mlflow_site",
        "orchestration.suite.web.dagster_site",
        "dagster._daemon",
        "orchestration.definitions",
    }
    for module in modules:
        assert importlib.util.find_spec(module) is not None, module
    for module in (
        "serving.scoring",
        "serving.stream.consumer",
        "serving.incidents.responder",
        "serving.ingest",
        "serving.signal_minutes",
        "serving.automation",
        "serving.console",
        "serving.explore",
    ):
        assert importlib.util.find_spec(f"{module}.__main__") is not None, module


@pytest.mark.parametrize("where", ["compose", "kubernetes"])
def test_every_setting_is_known(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if where == "compose":
        given = {
            name: value for service in compose()["services"].values() for name, value in service.get("environment", {}).items()
        }
    else:
        secrets = {**dict.fromkeys(SECRETS["aiops-secrets"], "x" * 32), "AIOPS_BROKER__URL": "redis://broker:6379/0"}
        given = {**of_kind("ConfigMap")[0]["data"], **secrets}
    for name, value in given.items():
        if name.startswith(("AIOPS_", "MLFLOW_TRACKING")):
            monkeypatch.setenv(name, value.partition(":-")[2].rstrip("}") or value if ":-" in value else value)
    settings = Settings()
    assert settings.tracking_uri == "http://mlflow:5000"
    assert settings.scoring_url == "http://scorer:3100"
    assert settings.serving.host == "0.0.0.0"
    assert settings.serving.jwt_key is not None


def test_compose_is_hardened_and_holds_no_secret() -> None:
    file = compose()
    for name, service in file["services"].items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "healthcheck" in service, name
        assert "limits" in service["deploy"]["resources"], name
        assert not service["image"].endswith(":latest")
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        assert set(service.get("depends_on", {})) <= set(file["services"])
    text = (INFRA / "compose.yaml").read_text()
    assert all(line.count("${") for line in text.splitlines() if "PASSWORD:" in line or "JWT_KEY:" in line or "TOKEN:" in line)
    assert all((INFRA / config["file"]).is_file() for config in file["configs"].values() if "file" in config)


def published(entry: str) -> set[int]:
    """Return the ports of this machine that an entry such as 127.0.0.1:3110-3117:3102 takes."""
    first, _, last = entry.split(":")[1].partition("-")
    return set(range(int(first), int(last or first) + 1))


def test_no_two_services_of_compose_take_the_same_port() -> None:
    taken: dict[int, str] = {}
    for name, service in compose()["services"].items():
        for port in (port for entry in service.get("ports", ()) for port in published(entry)):
            assert taken.setdefault(port, name) == name, port
    assert {3100, 3103, 3104, 3107, 3108, 3109} <= set(taken)


@pytest.mark.parametrize("name", ["responder", "automation"])
def test_who_speaks_to_people_knows_database_receivers_and_addresses(name: str) -> None:
    service = compose()["services"][name]
    assert set(service["depends_on"]) >= {"valkey", "postgres"}
    settings = {"PUBLIC_URL", "WEBHOOK_URL", "SLACK_URL", "PAGERDUTY_KEY", "DATABASE_URL"}
    assert {f"AIOPS_RESPONDER__{key}" for key in settings} <= set(service["environment"])
    assert service["ports"]
    shared = of_kind("ConfigMap")[0]["data"]
    assert shared[f"AIOPS_{name.upper()}__PUBLIC_URL"] == f"http://{name}:{published(service['ports'][0]).pop()}"


def test_valkey_has_the_options_of_the_embedded_one_wherever_it_runs() -> None:
    lines = [line for line in (INFRA / "kubernetes" / "valkey.conf").read_text().splitlines() if not line.startswith("#")]
    given = {option[0]: option[1] for option in map(shlex.split, lines)}
    assert len(lines) == len(given)
    assert given == SERVER_OPTIONS
    path = "/etc/valkey/valkey.conf"
    service = compose()["services"]["valkey"]
    assert service["command"][:2] == ["valkey-server", path]
    assert service["configs"] == [{"source": "valkey", "target": path}]
    assert compose()["configs"]["valkey"] == {"file": "kubernetes/valkey.conf"}
    generated = yaml.safe_load((INFRA / "kubernetes" / "kustomization.yaml").read_text())["configMapGenerator"]
    assert generated == [{"name": "valkey-options", "files": ["valkey.conf"]}]
    pod = next(manifest for manifest in of_kind("StatefulSet"))["spec"]["template"]["spec"]
    assert pod["containers"][0]["args"][:2] == ["valkey-server", path]
    assert {"name": "options", "configMap": {"name": "valkey-options"}} in pod["volumes"]
    assert {"name": "options", "mountPath": "/etc/valkey", "readOnly": True} in pod["containers"][0]["volumeMounts"]
    overridden = {word.removeprefix("--") for word in (*service["command"], *pod["containers"][0]["args"])} & set(given)
    assert not overridden


def test_the_image_copies_what_is_there_and_runs_unprivileged() -> None:
    lines = (INFRA / "Containerfile").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]]
    assert {"pyproject.toml", "constraints.txt", "serving/", "orchestration/"} <= set(copied)
    assert all((INFRA.parent / name).exists() for name in copied)
    ignored = (INFRA / "Containerfile.dockerignore").read_text().splitlines()
    assert {f"!{name.rstrip('/')}" for name in copied} <= set(ignored)
    assert "USER 10001:10001" in lines
    assert any("-c constraints.txt" in line for line in lines)
    assert all(":latest" not in line for line in lines if line.startswith("FROM"))
