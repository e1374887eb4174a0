"""`make test-other`: which interpreter it takes, which it passes over with a word, and that it passes where there is none."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.testing.deadlines import within

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".ci" / "test-other"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder in which the script finds itself, a `uv` that notes what it is asked, and no interpreter."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(SCRIPT, tmp_path / ".ci" / "test-other")
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    program(tmp_path / ".venv" / "bin" / "uv", 'echo "uv $*" >> log\n[ "$1" = venv ] || exit 0\n' + MAKE_ENVIRONMENT)
    return tmp_path


MAKE_ENVIRONMENT = """
case "$5" in *broken-venv*) exit 1;; esac
mkdir -p "$6/bin" && cp "$5" "$6/bin/python"
"""
STARTS = """
case "$*" in
    *version_info*) exit 0;;
    *base_prefix*) echo {prefix};;
    --version) echo Python {version};;
    *pytest*) echo "ran $*";;
esac
"""


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/bash\n" + text, encoding="utf-8")
    path.chmod(0o755)


def interpreter(folder: Path, version: str) -> None:
    program(folder / f"python{version}", STARTS.format(prefix=folder, version=version))


def ci(checkout: Path, code: int = 0, **environment: str) -> str:
    own = {
        "PATH": f"{checkout / 'path'}:/usr/bin:/bin",
        "HOME": str(checkout),
        "PYENV_ROOT": str(checkout / "pyenv"),
        **environment,
    }
    done = subprocess.run(
        [str(checkout / ".ci" / "test-other"), "-q"], env=own, capture_output=True, text=True, check=False, timeout=within(60)
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def test_without_another_interpreter_it_says_so_and_passes(checkout: Path) -> None:
    said = ci(checkout)
    if "nothing was tested on another interpreter" not in said:
        pytest.skip("the system itself has another Python in /usr/bin")
    assert not (checkout / "log").exists()


def test_the_newest_one_is_taken_and_tests_run_in_an_environment_of_its_own(checkout: Path) -> None:
    interpreter(checkout / "path", "3.12")
    interpreter(checkout / "path", "3.14")
    said = ci(checkout)
    assert f"Python 3.14, {checkout}/path/python3.14" in said
    assert "ran -m pytest tests/unit tests/property -q" in said
    asked = (checkout / "log").read_text(encoding="utf-8").splitlines()
    assert [line.split()[1] for line in asked] == ["venv", "pip"]
    ci(checkout)
    assert len((checkout / "log").read_text(encoding="utf-8").splitlines()) == 2, "what is installed is kept"


def test_one_that_does_not_start_or_makes_no_environment_is_passed_over_with_a_word(checkout: Path) -> None:
    program(checkout / "path" / "python3.14", "echo 'not found' >&2; exit 127\n")
    interpreter(checkout / "pyenv" / "versions" / "3.13.broken-venv" / "bin", "3.13")
    interpreter(checkout / "pyenv" / "versions" / "3.12.1" / "bin", "3.12")
    said = ci(checkout)
    assert f"{checkout}/path/python3.14 does not start as Python 3.14 or cannot make an environment: passed over" in said
    assert "3.13.broken-venv/bin/python3.13 does not start" in said
    assert f"Python 3.12, {checkout}/pyenv/versions/3.12.1/bin/python3.12" in said


@pytest.mark.parametrize(("environment", "code"), [({"CI": "true"}, 0), ({}, 1)])
def test_where_the_suite_cannot_be_installed_ci_goes_on_and_a_person_is_told_by_the_exit_code(
    checkout: Path, environment: dict[str, str], code: int
) -> None:
    interpreter(checkout / "path", "3.14")
    program(checkout / ".venv" / "bin" / "uv", '[ "$1" = venv ] || exit 1\n' + MAKE_ENVIRONMENT)
    output = ci(checkout, code, **environment)
    assert "could not be installed" in output
    assert "ran" not in output


def test_one_may_be_named(checkout: Path) -> None:
    interpreter(checkout / "path", "3.14")
    interpreter(checkout / "elsewhere", "3.13")
    named = checkout / "elsewhere" / "python3.13"
    named.write_text(
        named.read_text().replace(
            "*version_info*) exit 0;;", f"*version_info*executable*) echo 3.13 {named};;\n *version_info*) exit 0;;"
        )
    )
    assert f"Python 3.13, {named}" in ci(checkout, OTHER_PYTHON=str(named))


def test_the_script_can_be_run() -> None:
    assert os.access(SCRIPT, os.X_OK)
