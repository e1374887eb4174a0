"""Secrets: masked in messages, on no command line, in no child that does not need them, and in files of their owner alone."""

import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from aiops.errors import ConfigurationError
from aiops.settings.reading import read_settings
from aiops.settings.tree import Settings
from orchestration.pipeline.timeline import FILE, Timeline
from orchestration.suite import services
from orchestration.suite.processes import ChildSpec, Supervisor
from orchestration.workspace.source_choice import SourceChoice, with_secrets
from serving.host.log_files import bound_log
from serving.host.private_files import tighten
from serving.stream.broker_password import broker_url, ensure_password, password_of
from tests.testing.stream_harness import wait_until

SECRET = "s3cret-of-the-test"
SETTINGS = {
    "AIOPS_SERVING__JWT_KEY": f"{SECRET}-jwt-and-32-bytes-of-it-or-more",
    "AIOPS_CONSUMER__SCORING_TOKEN": f"{SECRET}-token",
    "AIOPS_EXPORT__TOKEN": f"{SECRET}-export",
    "AIOPS_RESPONDER__SLACK_URL": f"https://{SECRET}-slack",
    "AIOPS_RESPONDER__DATABASE_URL": f"postgresql://a:{SECRET}-database@db/x",
    "AIOPS_BROKER__URL": f"redis://:{SECRET}-broker@cache:6379/0",
    "AIOPS_SOURCE__TOKEN": f"{SECRET}-source",
    "MLFLOW_TRACKING_URI": f"postgresql://m:{SECRET}-mlflow@db/y",
}
FOREIGN = {
    "GITHUB_TOKEN": f"{SECRET}-foreign",
    "AWS_SECRET_ACCESS_KEY": f"{SECRET}-aws",
    "HTTPS_PROXY": f"http://u:{SECRET}-proxy@p:1",
}
NEEDED = {
    "scorer": {"jwt", "broker", "mlflow", "aws"},
    "consumer": {"token", "broker", "export"},
    "responder": {"jwt", "slack", "database", "broker", "proxy"},
    "mlflow": {"mlflow", "aws"},
    "dagster": {"broker", "mlflow", "aws"},
    "dagster-daemon": {"broker", "mlflow", "aws"},
    "prepare": {"broker", "mlflow", "aws", "source", "proxy"},
    "feeder": {"broker", "source", "proxy"},
}


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch, home: Path) -> Settings:
    """Return settings with every kind of secret, in an environment that holds others' too."""
    for name in os.environ:
        if name.startswith(("AIOPS_", "MLFLOW_", "DAGSTER_")):
            monkeypatch.delenv(name)
    for name, value in {**SETTINGS, **FOREIGN, "AIOPS_HOME": str(home)}.items():
        monkeypatch.setenv(name, value)
    return read_settings()


def specs(settings: Settings) -> list[ChildSpec]:
    source = ("--source", "simulate")
    return [
        services.scorer(settings),
        services.consumer(settings),
        services.responder(settings),
        services.mlflow_server(settings),
        services.dagster_webserver(settings),
        services.dagster_daemon(settings),
        services.preparation(settings, source),
        services.feeder(settings, source, 1.0),
    ]


def secrets_in(environment: Mapping[str, str]) -> set[str]:
    """Return the secrets that an environment holds, by the word that follows ours."""
    return {value.partition(f"{SECRET}-")[2].split("-")[0].split("@")[0] for value in environment.values() if SECRET in value}


def test_every_child_gets_the_secrets_it_needs_and_no_others(full: Settings, tmp_path: Path) -> None:
    waiting = ("-c", "print('here', flush=True); import time; time.sleep(60)")
    assert {spec.name for spec in specs(full)} == set(NEEDED)
    with Supervisor(tmp_path / "logs", lambda _: None) as supervisor:
        for spec in specs(full):
            stand_in = ChildSpec(spec.name, waiting, spec.environment, inherits=spec.inherits)
            (child,) = supervisor.start(stand_in)
            assert wait_until(lambda child=child: child.tail() == "here", 20), child.tail()
            seen = psutil.Process(child.process.pid).environ()
            assert secrets_in(seen) == NEEDED[spec.name], spec.name
            assert "GITHUB_TOKEN" not in seen
            assert {"PATH", "AIOPS_HOME"} <= set(seen)
            assert SECRET not in " ".join(spec.command), "a command line is seen by everyone"


def test_a_control_that_inherits_all_is_detected(full: Settings) -> None:
    assert full.root
    assert secrets_in(dict(os.environ)) > NEEDED["scorer"]


def test_children_read_the_settings_that_were_meant(full: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name)
    for name, value in services.environment_of(full, services.RESPONDER).items():
        monkeypatch.setenv(name, value)
    there = read_settings()
    assert (there.responder, there.serving.jwt_key, there.broker) == (full.responder, full.serving.jwt_key, full.broker)
    assert there.consumer.scoring_token is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AIOPS_SERVNG__JWT_KEY", SECRET),
        ("AIOPS_SERVING__JWT_KEYS", SECRET),
        ("AIOPS_JWT", SECRET),
        ("AIOPS_RESPONDER__PAGERDUTY", SECRET),
        ("AIOPS_RESPONDER__PASSWORD", SECRET),
        ("AIOPS_RESPONDER", f'{{"slack": "{SECRET}"}}'),
        ("AIOPS_SERVING__HTTP_PORT__X", SECRET),
    ],
)
def test_the_value_of_a_misspelt_setting_is_not_shown(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as refusal:
        read_settings()
    assert SECRET not in str(refusal.value)
    assert SECRET not in str(refusal.value.__cause__), "nor in a traceback"
    assert "AIOPS_" in str(refusal.value)


def test_what_is_no_secret_is_shown_with_its_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOPS_SERVING__HTTP_PORT", "65536")
    with pytest.raises(ConfigurationError, match="AIOPS_SERVING__HTTP_PORT = '65536': Input should be less"):
        read_settings()


@pytest.mark.parametrize("module", ["serving.stream.consumer", "serving.incidents.responder", "serving.scoring"])
def test_processes_name_a_misspelt_setting_without_its_value(module: str, home: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "AIOPS_HOME": str(home), "AIOPS_SERVNG__JWT_KEY": SECRET}
    done = subprocess.run([sys.executable, "-m", module], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "AIOPS_SERVNG" in done.stderr
    assert SECRET not in done.stderr + done.stdout


@pytest.mark.parametrize("given", [f"token={SECRET}", f"url=http://me:{SECRET}@prometheus:9090"])
def test_a_secret_on_the_command_line_is_refused_unseen(given: str) -> None:
    with pytest.raises(ConfigurationError, match=r"_file=FILE, or export AIOPS_SOURCE__") as refusal:
        SourceChoice("prometheus", None, (given,)).open()
    assert SECRET not in str(refusal.value)


def test_secrets_come_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n")
    assert with_secrets("prometheus", {"token_file": str(file)}) == {"token": SECRET}
    monkeypatch.setenv("AIOPS_SOURCE__TOKEN", "of the environment")
    assert with_secrets("prometheus", {"token_file": str(file)})["token"] == SECRET
    assert with_secrets("prometheus", {})["token"] == "of the environment"
    assert with_secrets("simulate", {"seed": "1"}) == {"seed": "1"}
    for content in (None, b"", b"\xff"):
        file.unlink() if content is None else file.write_bytes(content)
        with pytest.raises(ConfigurationError, match="token_file"):
            with_secrets("prometheus", {"token_file": str(file)})


def test_a_token_that_an_older_home_kept_is_forgotten(home: Path) -> None:
    old = {
        "source": f"--source prometheus --set token={SECRET}",
        **dict.fromkeys(("origin", "position", "newest"), "2026-01-01T00:00+00:00"),
    }
    (home / FILE).write_text(str(old).replace("'", '"'))
    kept = Timeline.load(home)
    assert kept is not None
    assert kept.source == "--source prometheus"
    kept.save(home)
    assert SECRET not in (home / FILE).read_text()


def modes(home: Path) -> set[str]:
    return {oct(stat.S_IMODE(path.stat().st_mode)) for path in (home, *home.rglob("*"))}


def test_an_older_home_is_tightened_once(home: Path) -> None:
    (home / "lake" / "day").mkdir(parents=True)
    (home / "lake" / "day" / "rows.parquet").write_bytes(b"rows")
    for path in (home, *home.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (home / "elsewhere").symlink_to("/etc/hostname")
    assert tighten(home)
    (home / "elsewhere").unlink()
    assert modes(home) == {"0o700", "0o600"}
    assert not tighten(home)
    assert not tighten(home / "absent")


def test_what_a_command_writes_is_its_owners(home: Path) -> None:
    code = "import os; os.umask(0o022); from orchestration.cli import main; main()"
    arguments = ["ingest", "--source", "simulate", "--set=hours=1", "--set=services=3"]
    environment = {"PATH": os.environ["PATH"], "AIOPS_HOME": str(home)}
    home.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list((home / "lake").rglob("*.parquet"))
    assert modes(home) == {"0o700", "0o600"}


def test_the_embedded_broker_has_a_password_of_its_own(home: Path) -> None:
    settings = Settings(home=home)
    assert (password_of(home), broker_url(settings)) == ("", settings.redis_url)
    made = ensure_password(home)
    assert len(made) >= 32
    assert ensure_password(home) == password_of(home) == made
    assert oct(stat.S_IMODE((home / "broker" / "password").stat().st_mode)) == "0o600"
    assert broker_url(settings) == settings.redis_url.replace("//", f"//:{made}@")
    own = settings.broker.model_copy(update={"url": "redis://cache:1/0"})
    assert broker_url(settings.model_copy(update={"broker": own})) == "redis://cache:1/0"


def test_logs_stay_within_their_bound(tmp_path: Path) -> None:
    log = tmp_path / "consumer.log"
    assert bound_log(log, 1000) == 0
    with log.open("ab", buffering=0) as writer:
        for round_number in range(5):
            writer.write(b"x" * 999 + b"\n")
            assert bound_log(log, 1000) == 0
            writer.write(f"round {round_number}\n".encode())
            assert bound_log(log, 1000) == 1008
            assert log.stat().st_size == 0, "the writer goes on at the new end"
    assert (tmp_path / "consumer.log.1").read_bytes().endswith(b"round 4\n")
    assert len(list(tmp_path.iterdir())) == 2
