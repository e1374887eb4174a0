"""`aiops.toml`: which one counts, what it may hold, what its relative paths mean; the environment wins over it."""

import os
from pathlib import Path

import pytest

from aiops.errors import ConfigurationError
from aiops.settings.reading import read_settings
from aiops.settings.settings_file import FILE, VARIABLE, settings_file
from aiops.settings.tree import Settings
from orchestration.suite.services import RESPONDER, environment_of


@pytest.fixture(autouse=True)
def project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return an empty folder that is the current one, with no settings in the environment."""
    for name in os.environ:
        if name.startswith("AIOPS_") or name == "MLFLOW_TRACKING_URI":
            monkeypatch.delenv(name)
    folder = tmp_path / "project"
    (folder / "below" / "deeper").mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def write(folder: Path, text: str) -> Path:
    path = folder / FILE
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_nothing_changes() -> None:
    assert settings_file(os.environ) is None
    assert Settings().home == Path(".aiops")
    assert Settings().project is None


def test_the_nearest_file_above_counts_and_its_folder_is_home(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, "[serving]\nhttp_port = 3999\n")
    monkeypatch.chdir(project / "below" / "deeper")
    settings = read_settings()
    assert settings.serving.http_port == 3999
    assert (settings.home, settings.project) == (project / ".aiops", project)
    write(project / "below", "[serving]\nhttp_port = 4000\n")
    assert (read_settings().serving.http_port, read_settings().root) == (4000, project / "below" / ".aiops")


def test_relative_paths_count_from_the_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, 'home = "data"\n[consumer]\ntier1_path = "tier1"\n[responder]\nalert_sources = "/etc/sources.toml"\n')
    monkeypatch.chdir(project / "below")
    settings = read_settings()
    assert settings.root == project / "data"
    assert settings.consumer.tier1_path == project / "tier1"
    assert settings.responder.alert_sources == Path("/etc/sources.toml")


def test_the_environment_wins_name_by_name(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, 'mlflow_tracking_uri = "http://file"\n[serving]\nhttp_port = 3999\ngrpc_port = 3998\n')
    assert read_settings().tracking_uri == "http://file"
    monkeypatch.setenv("AIOPS_SERVING__HTTP_PORT", "4001")
    monkeypatch.setenv("AIOPS_HOME", "elsewhere")
    settings = read_settings()
    assert (settings.serving.http_port, settings.serving.grpc_port) == (4001, 3998)
    assert settings.root == project / "elsewhere"
    for name in ("AIOPS_MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, f"http://{name}")
        assert read_settings().tracking_uri == f"http://{name}"


def test_the_file_may_be_named_or_shut_out(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write(project, "[serving]\nhttp_port = 3999\n")
    other = tmp_path / "other.toml"
    other.write_text("[serving]\nhttp_port = 5000\n", encoding="utf-8")
    monkeypatch.setenv(VARIABLE, str(other))
    assert (read_settings().serving.http_port, read_settings().root) == (5000, tmp_path / ".aiops")
    monkeypatch.setenv(VARIABLE, "")
    assert read_settings().serving.http_port == 3100
    monkeypatch.setenv(VARIABLE, str(tmp_path / "absent.toml"))
    with pytest.raises(ConfigurationError, match=r"absent.toml': no such file"):
        read_settings()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[serving]\nhttp_prot = 1\n", "serving.http_prot: no such setting in this release; did you mean serving.http_port?"),
        ("[watch]\nx = 1\n", "watch: no such setting in this release; remove it"),
        ("retention = 3\n", "retention: no such setting in this release"),
        ("home = .aiops\n", "texts stand in quotes"),
        (
            "[serving]\nhttp_port = 70000\n",
            "setting serving.http_port in {path} = 70000: Input should be less than or equal to 65535",
        ),
        ('[serving]\njwt_key = ["hidden"]\n', "setting serving.jwt_key in {path} = (not shown)"),
        ('serving = "hidden"\n', "setting serving in {path}"),
        ('[broker]\nurl = "hidden"\n', "setting broker.url in {path} = (not shown)"),
    ],
)
def test_a_mistake_names_file_and_key_and_no_secret(text: str, said: str, project: Path) -> None:
    path = write(project, text)
    with pytest.raises(ConfigurationError) as refused:
        read_settings()
    assert said.format(path=path) in str(refused.value)
    assert str(path) in str(refused.value)
    assert "hidden" not in str(refused.value)
    assert refused.value.exit_code == 2


def test_a_mistake_in_the_environment_is_not_blamed_on_the_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, "[serving]\nhttp_port = 3999\n")
    monkeypatch.setenv("AIOPS_SERVING__HTTP_PORT", "70000")
    with pytest.raises(ConfigurationError, match="setting AIOPS_SERVING__HTTP_PORT = '70000'"):
        read_settings()


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_what_is_no_file_is_refused(kind: str, project: Path) -> None:
    (project / FILE).unlink(missing_ok=True)
    if kind == "folder":
        (project / FILE).mkdir()
    else:
        (project / FILE).symlink_to(project / "nowhere")
    with pytest.raises(ConfigurationError, match="no file that can be read"):
        read_settings()


def test_what_is_no_text_is_refused(project: Path) -> None:
    (project / FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_settings()


def test_a_file_of_another_user_counts_only_where_it_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(project, "[serving]\nhttp_port = 3999\n")
    if os.geteuid() == 0:
        os.chown(path, 4242, 4242)
    monkeypatch.setattr("os.geteuid", lambda: 4243)
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        read_settings()
    monkeypatch.setenv(VARIABLE, str(path))
    assert read_settings().serving.http_port == 3999


def test_children_read_no_file_and_get_no_secret_from_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gets the settings that it needs; what stands in the file beyond them stays with the parent."""
    write(project, f'[serving]\njwt_key = "{"k" * 32}"\n[consumer]\nscoring_token = "hidden"\nscore_batch = 7\n')
    child = environment_of(read_settings(), RESPONDER)
    assert (child[VARIABLE], child["AIOPS_PROJECT"], child["AIOPS_CONSUMER__SCORE_BATCH"]) == ("", str(project), "7")
    assert "hidden" not in child.values()
    for name, value in child.items():
        monkeypatch.setenv(name, value)
    seen = read_settings()
    assert (seen.root, seen.project, seen.consumer.score_batch) == (project / ".aiops", project, 7)
    assert seen.consumer.scoring_token is None
