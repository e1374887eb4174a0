"""Settings come from arguments and the environment; a name or value that cannot be meant is refused."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from aiops.settings.drift_settings import DriftSettings
from aiops.settings.serving_settings import ServingSettings
from aiops.settings.tree import Settings


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("AIOPS_") or name == "MLFLOW_TRACKING_URI":
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    "name", ["AIOPS_SERVNG__HTTP_PORT", "AIOPS_SERVING__HTTP_PROT", "AIOPS_HOM", "AIOPS_DRIFT__SHARES", "aiops_unknown"]
)
def test_unknown_names_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(ValidationError) as refusal:
        Settings()
    assert refusal.value.errors()[0]["type"] in {"extra_forbidden", "model_attributes_type", "model_type"}


def test_names_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOPS_DATA", "somewhere")
    monkeypatch.setenv("AIOPSY_THING", "1")
    assert Settings().home == Path(".aiops")


def test_nested_names_and_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOPS_SERVING__HTTP_PORT", "3999")
    monkeypatch.setenv("AIOPS_DRIFT__WINDOW_H", "2.5")
    monkeypatch.setenv("AIOPS_HOME", "elsewhere")
    settings = Settings()
    assert (settings.serving.http_port, settings.drift.window_h, settings.home) == (3999, 2.5, Path("elsewhere"))
    assert settings.serving.grpc_port == ServingSettings().grpc_port
    assert Settings(home=Path("given")).home == Path("given")


def test_native_tracking_uri_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Settings(home=Path("/there"))
    assert home.tracking_uri == "sqlite:////there/mlflow/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert Settings().tracking_uri == "http://mlflow:5000"
    monkeypatch.setenv("AIOPS_MLFLOW_TRACKING_URI", "http://other:5000")
    assert Settings().tracking_uri == "http://mlflow:5000"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert Settings().tracking_uri == "http://other:5000"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AIOPS_SERVING__HTTP_PORT", "65536"),
        ("AIOPS_SERVING__HTTP_PORT", "http"),
        ("AIOPS_BROKER__PARTITIONS", "0"),
        ("AIOPS_BROKER__URL", "redis:/cache:6379"),
        ("AIOPS_BROKER__URL", "cache:6379"),
        ("AIOPS_TELEMETRY__STEP_S", "0"),
        ("AIOPS_TELEMETRY__STEP_S", "3601"),
        ("AIOPS_DRIFT__SHARE", "1.01"),
        ("AIOPS_DRIFT__MIN_ROWS", "49"),
        ("AIOPS_DRIFT__FALSE_POSITIVE_RATE", "1"),
        ("AIOPS_SERVING__JWT_ALGORITHM", "none"),
        ("AIOPS_MODELS__KEEP_VERSIONS", "1"),
    ],
)
def test_values_out_of_bounds_are_refused_by_name(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as refusal:
        Settings()
    (problem,) = refusal.value.errors()
    assert "AIOPS_" + "__".join(str(part) for part in problem["loc"]).upper() == name
    assert problem["input"] == value


def test_paths_and_urls_follow_home_and_ports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings()
    assert settings.root == tmp_path / ".aiops"
    assert settings.lake_path == tmp_path / ".aiops" / "lake"
    assert settings.redis_url == f"redis://127.0.0.1:{settings.broker.port}/0"
    assert settings.scoring_url == f"http://127.0.0.1:{settings.serving.http_port}"
    monkeypatch.setenv("AIOPS_BROKER__URL", "redis://cache:6379/1")
    monkeypatch.setenv("AIOPS_CONSUMER__SCORING_URL", "http://scorer:1")
    assert (Settings().redis_url, Settings().scoring_url) == ("redis://cache:6379/1", "http://scorer:1")


def test_settings_cannot_be_changed() -> None:
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.drift.window_h = 1.0  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        settings.drift = DriftSettings()  # type: ignore[misc]


def test_secrets_are_not_shown() -> None:
    shown = repr(Settings(serving=ServingSettings(jwt_key="x" * 32)))  # type: ignore[arg-type]
    assert "x" * 32 not in shown
