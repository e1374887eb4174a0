"""Compiled kernels do not outlive the sources they are made of: `make` follows every folder that holds one."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMPILES = re.compile(r"numba\.n?jit|from aiops\.jit import")


def followed() -> set[str]:
    """Return the folders that the Makefile looks for changed sources in."""
    named = re.search(r"^ROOMS := (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert named is not None
    return set(named[1].split())


def folders_with_kernels(root: Path) -> set[str]:
    """Return the folders of the checkout that hold a file with a kernel."""
    files = (path for path in root.glob("*/**/*.py") if not path.relative_to(root).parts[0].startswith((".", "tests")))
    return {path.relative_to(root).parts[0] for path in files if COMPILES.search(path.read_text(encoding="utf-8"))}


def test_make_follows_every_folder_with_kernels(tmp_path: Path) -> None:
    assert {"data_contracts", "aiops", "models"} <= folders_with_kernels(ROOT) <= followed()
    (tmp_path / "new" / "inner").mkdir(parents=True)
    (tmp_path / "new" / "inner" / "kernels.py").write_text("from aiops.jit import kernel\n")
    assert folders_with_kernels(tmp_path) == {"new"}, "a new folder is seen"


def test_what_a_kernel_is_made_of_lies_in_the_same_folders() -> None:
    """A room imports downward only, so the folders of kernels and those below them are all that a kernel can be made of."""
    assert followed() >= {"data_contracts", "aiops", "models", "serving"}
