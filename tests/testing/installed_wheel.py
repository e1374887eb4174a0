"""The suite as a user has it: sdist and wheel built, the wheel installed in an environment of its own, run in an empty folder.

The environment has the libraries of ours on its path, without what `.pth` files there add (the editable installation), and a
guard that writes down every file that one of its processes opens, lists or imports in the checkout.
"""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.testing.deadlines import within

ROOT: Final = Path(__file__).resolve().parents[2]
_LIBRARIES: Final = sysconfig.get_path("purelib")
_GUARD: Final = """\
import os, sys

CHECKOUT, LIBRARIES, LOG = {checkout!r}, {libraries!r}, {log!r}
EVENTS = frozenset(("open", "os.listdir", "os.scandir", "import", "exec"))
HERE = []


def _watch(event, arguments):
    if event not in EVENTS or HERE:
        return
    for argument in arguments[:2]:
        path = getattr(argument, "co_filename", argument)
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if isinstance(path, str) and path.startswith(CHECKOUT) and not path.startswith(LIBRARIES):
            HERE.append(1)
            with open(LOG, "a") as log:
                log.write(event + " " + path + "\\n")
            HERE.clear()


sys.addaudithook(_watch)
"""


@dataclass(frozen=True)
class InstalledWheel:
    """An installed wheel: where it and its sdist were built, its environment, the guard's log."""

    wheel: Path
    wheel_of_sdist: Path
    environment: Path
    log: Path

    @property
    def python(self) -> Path:
        """Return the interpreter of the environment."""
        return self.environment / "bin" / "python"

    @property
    def packages(self) -> Path:
        """Return the folder that the wheel was installed to."""
        return next((self.environment / "lib").glob("python3*/site-packages"))

    def touched(self) -> list[str]:
        """Return what processes of the environment opened, listed or imported in the checkout."""
        return self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []

    def run(self, folder: Path, program: str, *arguments: str, **extra: str) -> "subprocess.CompletedProcess[str]":
        """Run a program of the environment, or a module of its libraries, in `folder`, with no variable of ours."""
        paths = (str(self.environment / "bin"), str(Path(sys.executable).parent), "/usr/bin", "/bin")
        environment = {**_foreign(os.environ), "PATH": os.pathsep.join(paths), "VIRTUAL_ENV": str(self.environment), **extra}
        named = self.environment / "bin" / program
        command = [str(named)] if named.exists() else [str(self.python), "-m", program]
        return subprocess.run(
            [*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=within(300)
        )


def _foreign(environment: Mapping[str, str]) -> dict[str, str]:
    ours = ("AIOPS_", "MLFLOW_", "DAGSTER_", "PYTHON", "PYTEST", "COV_", "VIRTUAL_ENV")
    return {name: value for name, value in environment.items() if not name.startswith(ours)}


def build_and_install(folder: Path) -> InstalledWheel:
    """Build sdist and wheel, the wheel also from the unpacked sdist, and install the latter; nothing is downloaded."""
    wheel = _built(ROOT, folder / "from-checkout", "wheel")
    sdist = _built(ROOT, folder / "from-checkout", "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "sdist", filter="data")
    (unpacked,) = (folder / "sdist").iterdir()
    of_sdist = _built(unpacked, folder / "from-sdist", "wheel")
    environment = folder / "environment"
    venv.create(environment, symlinks=True)
    python = str(environment / "bin" / "python")
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", str(of_sdist)]
    subprocess.run(install, check=True, capture_output=True, timeout=within(60))
    installed = InstalledWheel(wheel, of_sdist, environment, folder / "touched.log")
    guard = _GUARD.format(checkout=f"{ROOT}{os.sep}", libraries=sys.prefix, log=str(installed.log))
    (installed.packages / "checkout_guard.py").write_text(guard, encoding="utf-8")
    (installed.packages / "libraries.pth").write_text(f"import checkout_guard\n{_LIBRARIES}\n", encoding="utf-8")
    return installed


def _built(source: Path, target: Path, kind: str) -> Path:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(target)],
        cwd=source,
        check=True,
        capture_output=True,
        timeout=within(60),
    )
    (built,) = target.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built
