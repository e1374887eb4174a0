"""The long-running processes of the suite and how they are started: one place for commands, ports and environment."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from aiops.settings.automation_settings import AutomationSettings
from aiops.settings.responder_settings import ResponderSettings
from aiops.settings.settings_file import VARIABLE
from aiops.settings.tree import Settings
from orchestration.project.copies import INSTANCE
from orchestration.project.instance_file import read_instance_file
from orchestration.suite.processes import ChildSpec
from serving.host.atomic_file import write_atomically
from serving.host.child_environment import PROXIES, STORES

LOOPBACK: Final = "127.0.0.1"
SILENT: Final = {"DO_NOT_TRACK": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "BENTOML_DO_NOT_TRACK": "true"}
"""No library reports its use to its makers."""
NO_CHAMPION: Final = 20
"""Exit code of the preparation: all went well, but the gate refused the models; tier 1 watches alone until one passes."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a child is trusted with beyond the settings that are no secret: secret settings, and names that it inherits."""

    secrets: frozenset[str] = frozenset()
    inherits: tuple[str, ...] = ()


_BROKER: Final = ("broker.url", "broker.state_url")
_STORE: Final = "mlflow_tracking_uri"
SCORER: Final = Needs(frozenset({*_BROKER, _STORE, "serving.jwt_key"}), (*STORES, "BENTOML_", "OTEL_"))
CONSUMER: Final = Needs(frozenset({*_BROKER, "consumer.scoring_token", "export.token"}))
RESPONDER: Final = Needs(
    frozenset({*_BROKER, "serving.jwt_key", *(f"responder.{name}" for name in ResponderSettings.model_fields)}), PROXIES
)
RECEIVER: Final = Needs(frozenset({*_BROKER, "serving.jwt_key"}))
SIGNALS: Final = Needs(frozenset(_BROKER))
AUTOMATION: Final = Needs(
    RESPONDER.secrets | {_STORE, *(f"automation.{name}" for name in AutomationSettings.model_fields)}, (*PROXIES, *STORES)
)
CONSOLE: Final = Needs(frozenset({"serving.jwt_key"}))
EXPLORE: Final = Needs(frozenset({"serving.jwt_key"}))
MLFLOW: Final = Needs(frozenset({_STORE}), STORES)
DAGSTER: Final = Needs(frozenset({*_BROKER, _STORE}), (*STORES, "DAGSTER_"))
SOURCE: Final = Needs(frozenset({*_BROKER, "source.token", "source.url"}), PROXIES)
PREPARATION: Final = Needs(SOURCE.secrets | DAGSTER.secrets, (*PROXIES, *DAGSTER.inherits))


def environment(settings: Settings) -> Mapping[str, str]:
    """Return the variables that make this very process see `settings`, secrets included; for work inside it."""
    return {**_places(settings), **_tracking(settings), **dict(_nested(settings, None))}


def environment_of(settings: Settings, needs: Needs) -> Mapping[str, str]:
    """Return the variables of a child: the settings that are no secret, and those secrets that it needs."""
    tracking = _tracking(settings) if _STORE in needs.secrets or "@" not in settings.tracking_uri else {}
    return {**_places(settings), **tracking, **dict(_nested(settings, needs.secrets))}


def _places(settings: Settings) -> Mapping[str, str]:
    """Return where things lie; OMP_NUM_THREADS=1 keeps small models from fighting.

    A child reads no settings file: what it is to know is in its environment, and secrets in the file are not for every child.
    """
    places = {
        VARIABLE: "",
        "AIOPS_HOME": str(settings.root),
        **({} if settings.project is None else {"AIOPS_PROJECT": str(settings.project.expanduser().absolute())}),
        "AIOPS_TENANT": settings.tenant,
        "DAGSTER_HOME": str(dagster_home(settings)),
    }
    return {**places, "OMP_NUM_THREADS": "1", **SILENT}


def _tracking(settings: Settings) -> Mapping[str, str]:
    return {"MLFLOW_TRACKING_URI": settings.tracking_uri}


def dagster_home(settings: Settings) -> Path:
    """Return Dagster's own folder: the one of DAGSTER_HOME, else below home, so that nothing is written beside the code."""
    return Path(os.environ.get("DAGSTER_HOME") or settings.root / "dagster")


def place_dagster_instance(settings: Settings) -> None:
    """Put the instance's configuration into Dagster's folder below home; one that the user names has its own.

    Raises:
        ConfigurationError: the project's `dagster.yaml` is one that Dagster does not accept.
    """
    folder = dagster_home(settings)
    if folder != settings.root / "dagster":
        return
    text = read_instance_file(settings)
    if not (folder / INSTANCE).is_file() or (folder / INSTANCE).read_bytes() != text:
        write_atomically(folder / ".staging", folder / INSTANCE, lambda handle: _write(handle, text))


def _write(handle: BinaryIO, payload: bytes) -> None:
    handle.write(payload)


def _nested(settings: Settings, secrets: frozenset[str] | None) -> Iterator[tuple[str, str]]:
    """Yield the nested settings that have a value, as environment variables; of the secret ones those named (None = all)."""
    for section in type(settings).model_fields:
        values = getattr(settings, section)
        if not isinstance(values, BaseModel):
            continue
        for name in type(values).model_fields:
            value = getattr(values, name)
            if value is None or not (secrets is None or f"{section}.{name}" in secrets or not _is_secret(value)):
                continue
            text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            yield f"AIOPS_{section.upper()}__{name.upper()}", text


def _is_secret(value: object) -> bool:
    """Return whether a value is a secret, or an address that holds one."""
    return isinstance(value, SecretStr) or (isinstance(value, str) and "@" in urlsplit(value).netloc)


def scorer(settings: Settings, champion: bool = True) -> ChildSpec:
    """Return the BentoML service (HTTP and gRPC); without a `champion` it is awaited alive, for it cannot be ready."""
    url = f"http://{LOOPBACK}:{settings.serving.http_port}"
    awaited = f"{url}/readyz" if champion else f"{url}/livez"
    return ChildSpec(
        "scorer",
        ("-m", "serving.scoring"),
        environment_of(settings, SCORER),
        awaited,
        url,
        ready_within_s=90,
        needed=True,
        inherits=SCORER.inherits,
    )


def consumer(settings: Settings) -> ChildSpec:
    """Return the streaming consumer."""
    url = f"http://{LOOPBACK}:{settings.consumer.metrics_port}"
    return ChildSpec(
        "consumer",
        ("-m", "serving.stream.consumer"),
        environment_of(settings, CONSUMER),
        f"{url}/readyz",
        f"{url}/metrics",
        ready_within_s=120,
        stop_within_s=60,  # the checkpoint of a million series takes longer than most
        needed=True,
    )


def responder(settings: Settings) -> ChildSpec:
    """Return the responder: alerts become incidents with root causes, people are notified; HTTP API on the scorer's host."""
    url = f"http://{LOOPBACK}:{settings.responder.port}"
    return ChildSpec(
        "responder",
        ("-m", "serving.incidents.responder"),
        environment_of(settings, RESPONDER),
        f"{url}/readyz",
        url,
        ready_within_s=90,
        needed=True,
        inherits=RESPONDER.inherits,
    )


def receiver(settings: Settings) -> ChildSpec:
    """Return the receivers: remote write and OTLP in, onto the telemetry streams."""
    url = f"http://{LOOPBACK}:{settings.ingest.port}"
    return ChildSpec(
        "receiver",
        ("-m", "serving.ingest"),
        environment_of(settings, RECEIVER),
        f"{url}/readyz",
        url,
        ready_within_s=90,
        needed=True,
    )


def signal_minutes(settings: Settings) -> tuple[ChildSpec, ...]:
    """Return the process that makes series of logs and spans, nothing where the settings want none."""
    if not settings.signals.minutes:
        return ()
    url = f"http://{LOOPBACK}:{settings.signals.metrics_port}"
    command = ("-m", "serving.signal_minutes")
    own = environment_of(settings, SIGNALS)
    return (ChildSpec("signals", command, own, f"{url}/readyz", f"{url}/metrics", ready_within_s=90, needed=True),)


def automation(settings: Settings) -> tuple[ChildSpec, ...]:
    """Return the process that acts on incidents, nothing where the settings want none."""
    if not settings.automation.enabled:
        return ()
    url = f"http://{LOOPBACK}:{settings.automation.port}"
    command, own = ("-m", "serving.automation"), environment_of(settings, AUTOMATION)
    return (ChildSpec("automation", command, own, f"{url}/readyz", url, ready_within_s=90, inherits=AUTOMATION.inherits),)


def explore(settings: Settings) -> ChildSpec:
    """Return the API over the data."""
    url = f"http://{LOOPBACK}:{settings.explore.port}"
    return ChildSpec(
        "explore", ("-m", "serving.explore"), environment_of(settings, EXPLORE), f"{url}/readyz", url, ready_within_s=90
    )


def console(settings: Settings) -> ChildSpec:
    """Return the console: pages for people, with the APIs behind them."""
    url = f"http://{LOOPBACK}:{settings.console.port}"
    return ChildSpec(
        "console", ("-m", "serving.console"), environment_of(settings, CONSOLE), f"{url}/readyz", url, ready_within_s=90
    )


def mlflow_server(settings: Settings) -> ChildSpec:
    """Return the MLflow server over the registry's own database."""
    url = f"http://{LOOPBACK}:{settings.up.mlflow_port}"
    command = ("-m", "orchestration.suite.web.mlflow_site", *_guarded(settings, settings.up.mlflow_port))
    own = {
        "AIOPS_HOME": str(settings.root),
        "MLFLOW_BACKEND_STORE_URI": settings.tracking_uri,
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": str(settings.root / "mlflow" / "artifacts"),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "OMP_NUM_THREADS": "1",
        **SILENT,
    }
    return ChildSpec("mlflow", command, own, f"{url}/health", url, ready_within_s=90, inherits=MLFLOW.inherits)


def _guarded(settings: Settings, port: int) -> tuple[str, ...]:
    names = settings.serving.allowed_hosts
    return ("--host", LOOPBACK, "--port", str(port), *(("--allowed-hosts", names) if names else ()))


def dagster_webserver(settings: Settings) -> ChildSpec:
    """Return the Dagster web server."""
    url = f"http://{LOOPBACK}:{settings.up.dagster_port}"
    command = ("-m", "orchestration.suite.web.dagster_site", *_guarded(settings, settings.up.dagster_port))
    return ChildSpec(
        "dagster",
        command,
        environment_of(settings, DAGSTER),
        f"{url}/server_info",
        url,
        ready_within_s=120,
        inherits=DAGSTER.inherits,
    )


def dagster_daemon(settings: Settings) -> ChildSpec:
    """Return the Dagster daemon: schedules, sensors, queued runs."""
    command = ("-m", "dagster._daemon", "run", "-m", "orchestration.definitions")
    return ChildSpec("dagster-daemon", command, environment_of(settings, DAGSTER), inherits=DAGSTER.inherits)


def preparation(settings: Settings, source: tuple[str, ...]) -> ChildSpec:
    """Return the process that learns from the source's history where there is no champion yet; it ends when that is done."""
    command = ("-m", "orchestration.dagster.first_training", *source)
    return ChildSpec("prepare", command, environment_of(settings, PREPARATION), inherits=PREPARATION.inherits)


def feeder(settings: Settings, source: tuple[str, ...], speed: float) -> ChildSpec:
    """Return the process that publishes a source at its own pace (`speed` times real time)."""
    command = ("-m", "orchestration.pipeline.source_feed", "--speed", str(speed), *source)
    return ChildSpec("feeder", command, environment_of(settings, SOURCE), inherits=SOURCE.inherits)
