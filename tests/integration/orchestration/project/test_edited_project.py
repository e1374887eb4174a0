"""A project's own feature definitions: an edit is really used, a broken file is named with its line, a new view reaches Feast."""

import re
from pathlib import Path

import pytest

from aiops.errors import ConfigurationError
from aiops.settings.reading import read_settings
from aiops.settings.tree import Settings
from orchestration.project.copies import own_files
from orchestration.project.writing import write_project
from orchestration.suite.services import place_dagster_instance
from orchestration.workspace import feature_store

NEW_VIEW = """
    views["own_view"] = FeatureView(
        name="own_view", entities=[entities["service"]], ttl=timedelta(hours=1), source=pushes["service_features"],
        schema=[Field(name="service", dtype=String), Field(name="error_rate", dtype=Float64)],
    )
    services = {spec.name: feature_service(spec, views) for spec in FEATURE_SERVICES}
    services["own_service"] = FeatureService(name="own_service", features=[views["own_view"]])
    return Definitions("""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project of this test, which is the current folder; its home is private, as every test's."""
    write_project(tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def settings_of(project: Path) -> Settings:
    settings = read_settings()
    assert settings.project == project
    return settings


def edit(project: Path, old: str, new: str) -> None:
    path = project / "feature_repo" / "definitions.py"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_an_edited_view_is_what_is_applied(project: Path) -> None:
    settings = settings_of(project)
    feature_store.apply(settings)
    before = feature_store.open_store(settings).get_feature_view("service_health")
    edit(project, "ttl=timedelta(seconds=spec.ttl_s)", "ttl=timedelta(seconds=spec.ttl_s + 1)")
    feature_store.apply(settings)
    store = feature_store.open_store(settings)
    assert store.get_feature_view("service_health").ttl.total_seconds() == before.ttl.total_seconds() + 1
    assert store.config.repo_path == project / "feature_repo"


def test_a_new_view_and_service_are_applied_beside_the_own_ones(project: Path) -> None:
    settings = settings_of(project)
    edit(project, "    return Definitions(", NEW_VIEW)
    edit(
        project,
        "        services={spec.name: feature_service(spec, views) for spec in FEATURE_SERVICES},\n",
        "        services=services,\n",
    )
    assert "own_view" in feature_store.apply(settings)
    assert feature_store.feature_names(settings, "own_service") == ("error_rate",)
    assert "own_view" in feature_store.apply(settings, "acme"), "for every tenant"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('OWNER = "aiops-suite"', "OWNER = ", r"definitions\.py, line \d+: SyntaxError: invalid syntax"),
        ("    kinds = [", "    1 / 0\n    kinds = [", r"definitions\.py, line \d+: ZeroDivisionError"),
        (
            "from feast import Entity,",
            "from feast import Nothing, Entity,",
            r"line \d+: ImportError: cannot import name 'Nothing'",
        ),
        ("def define(", "def defined(", r"NameError: name 'define' is not defined"),
        ("for spec in FEATURE_SERVICES}", "for spec in FEATURE_SERVICES[:1]}", r"no feature service \w+, which training needs"),
        (
            "project = DEFINED.project\n",
            'project = DEFINED.project\nalone = Entity(name="alone", join_keys=["alone"], value_type=ValueType.STRING)\n',
            r"Entity alone stands beside define\(\)",
        ),
    ],
)
def test_a_broken_copy_is_named_with_what_is_wrong(old: str, new: str, said: str, project: Path) -> None:
    edit(project, old, new)
    with pytest.raises(ConfigurationError, match=said) as refused:
        feature_store.apply(settings_of(project))
    assert str(project / "feature_repo" / "definitions.py") in str(refused.value)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("storage: [", "while parsing"),
        ("storage:\n  oracle: {}\n", "oracle"),
        ("stores: {}\n", "stores"),
        ("- 1\n", "dagster.yaml"),
    ],
)
def test_an_instance_that_dagster_does_not_accept_is_named(text: str, said: str, project: Path) -> None:
    (project / "dagster.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=said) as refused:
        place_dagster_instance(settings_of(project))
    assert str(refused.value).startswith(f"{project / 'dagster.yaml'}: ")
    assert not (settings_of(project).root / "dagster" / "dagster.yaml").exists()


def test_an_edited_instance_is_what_is_placed(project: Path) -> None:
    path = project / "dagster.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("max_concurrent_runs: 2", "max_concurrent_runs: 1"), encoding="utf-8"
    )
    settings = settings_of(project)
    place_dagster_instance(settings)
    placed = settings.root / "dagster" / "dagster.yaml"
    assert placed.read_bytes() == path.read_bytes() != (own_files() / "dagster.yaml").read_bytes()


def test_a_copy_without_definitions_is_said_to_be_so(project: Path) -> None:
    path = project / "feature_repo" / "definitions.py"
    path.unlink()
    with pytest.raises(ConfigurationError, match=f"{re.escape(str(path))} does not exist; .*`aiops init --force`"):
        feature_store.apply(settings_of(project))
