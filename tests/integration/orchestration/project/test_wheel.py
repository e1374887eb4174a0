"""The wheel in an empty folder, without the checkout: what a user types after `pip install` works with what travels in it."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from aiops.version import __version__
from tests.testing.deadlines import within
from tests.testing.installed_wheel import ROOT, InstalledWheel, build_and_install

pytestmark = pytest.mark.slow
ROOMS = ("aiops", "data_contracts", "models", "orchestration", "serving")
SMALL = ("--source", "simulate", *(f"--set={pair}" for pair in ("hours=24", "services=3", "incidents_per_day=12")))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> InstalledWheel:
    return build_and_install(tmp_path_factory.mktemp("wheel"))


def well(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_is_whole_and_the_same_from_the_sdist(installed: InstalledWheel) -> None:
    assert installed.wheel.name == installed.wheel_of_sdist.name == f"aiops_suite-{__version__}-py3-none-any.whl"
    carried = names(installed.wheel)
    assert carried == names(installed.wheel_of_sdist)
    beside = "orchestration/project/files"
    written = {f"{beside}/feature_repo/{name}" for name in ("definitions.py", "feature_store.yaml", "README.md", ".feastignore")}
    assert carried >= {*written, f"{beside}/dagster.yaml", *(f"{room}/py.typed" for room in ROOMS)}
    tracked = subprocess.run(["git", "ls-files", *ROOMS], cwd=ROOT, capture_output=True, text=True, check=False)
    held = {path for path in tracked.stdout.split() if not path.startswith("serving/console/app/")}  # its bundle travels
    assert tracked.returncode != 0 or held <= carried, "whatever the rooms hold travels"
    assert "serving/console/static/index.html" in carried
    strange = [name for name in carried if name.split("/")[0] not in {*ROOMS, f"aiops_suite-{__version__}.dist-info"}]
    assert strange == [], "neither tests nor a package named feature_repo"
    assert [name for name in carried if name.endswith((".pyc", ".nbi", ".nbc"))] == []


def test_libraries_without_the_wheel_do_not_find_the_suite(installed: InstalledWheel) -> None:
    """The control: the environment reaches the checkout neither by a path nor by the editable installation."""
    ask = "import json, sys, aiops; print(json.dumps([aiops.__path__[0], *sys.path]))"
    package, *paths = json.loads(well(installed.run(Path("/"), "python", "-c", ask)))
    assert Path(package) == installed.packages / "aiops"
    assert str(ROOT) not in paths
    assert [path for path in paths if path.startswith(str(ROOT)) and not path.startswith(sys.prefix)] == []


def test_the_guard_sees_who_reads_the_checkout(installed: InstalledWheel, tmp_path: Path) -> None:
    before = installed.log.read_bytes() if installed.log.exists() else None
    well(installed.run(tmp_path, "python", "-c", f"open({str(ROOT / 'README.md')!r}).close()"))
    assert f"open {ROOT / 'README.md'}" in installed.touched()
    installed.log.unlink()
    if before is not None:
        installed.log.write_bytes(before)


def test_ingest_and_training_in_an_empty_folder(installed: InstalledWheel, tmp_path: Path) -> None:
    assert well(installed.run(tmp_path, "aiops", "--version")) == f"aiops {__version__}\n"
    counted = json.loads(well(installed.run(tmp_path, "aiops", "ingest", *SMALL, "--json")))
    assert counted["read"] == counted["stored"] + counted["already_there"] + counted["rejected"] > 0
    trained = json.loads(well(installed.run(tmp_path, "aiops", "train", "--json")))
    assert len(trained) == 3
    assert well(installed.run(tmp_path, "aiops", "incidents", "list", "--json"))
    assert {path.name for path in tmp_path.iterdir()} == {".aiops"}, "everything lies below the home, which is here"
    assert (tmp_path / ".aiops" / "dagster" / "dagster.yaml").is_file()
    assert installed.touched() == []


def test_a_project_of_feast_and_dagster(installed: InstalledWheel, tmp_path: Path) -> None:
    written = json.loads(well(installed.run(tmp_path, "aiops", "init", ".", "--json")))
    assert written["folder"] == str(tmp_path)
    repository = tmp_path / "feature_repo"
    assert "series_windows" in well(installed.run(repository, "feast.cli.cli", "apply"))
    assert (tmp_path / ".aiops" / "feast" / "registry.db").is_file()
    well(installed.run(tmp_path, "dagster", "definitions", "validate"))
    shown = well(installed.run(tmp_path, "dagster", "instance", "info", DAGSTER_HOME=str(tmp_path)))
    assert "orchestration.dagster_storage" in shown
    assert installed.touched() == []


def test_pages_schemas_and_stubs_travel(installed: InstalledWheel, tmp_path: Path) -> None:
    """What is read while a service runs: the page of people on call, the migrations of incidents, the messages of gRPC."""
    program = (
        "from serving.incidents.api.on_call_pages import OnCallPage; OnCallPage()\n"
        "from serving.incidents.store.migrate import migrate; from sqlalchemy import create_engine, inspect\n"
        "engine = create_engine('sqlite:///incidents.db'); migrate(engine)\n"
        "from serving.scoring.proto import scoring_pb2\n"
        "from serving.scoring.http_api.scoring_openapi import openapi\n"
        "messages = scoring_pb2.DESCRIPTOR.message_types_by_name\n"
        "print(openapi()['info']['version'], inspect(engine).has_table('incidents'), len(messages) > 3)"
    )
    assert well(installed.run(tmp_path, "python", "-W", "ignore", "-c", program)).split() == [__version__, "True", "True"]
    assert installed.touched() == []


TYPED = """\
import aiops.version
import data_contracts.series.tenant
import models.artifacts.audit
import orchestration.suite.load_timeout
import serving.host.private_files

number: int = aiops.version.__version__
data_contracts.series.tenant.checked_tenant(7)
serving.host.private_files.tighten("home")
"""


def test_type_checkers_see_the_types(installed: InstalledWheel, tmp_path: Path) -> None:
    """Without `py.typed` they would say that the packages are missing their marker, and find none of the three mistakes."""
    (tmp_path / "script.py").write_text(TYPED, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(installed.python), "script.py"]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=within(60))
    errors = [line for line in checked.stdout.splitlines() if ": error:" in line]
    assert [int(line.split(":")[1]) for line in errors] == [7, 8, 9], checked.stdout
