"""A folder of runbooks: read again where a file has changed, the last good version stays in force, nothing outside is read."""

import os
from pathlib import Path

import pytest

from aiops.automation.runbook_text import read_runbook
from serving.automation.runbook_folder import LIBRARY, RunbookFolder, RunbookShelf
from tests.testing.runbook_texts import KINDS, ROLL_BACK

VERSION = read_runbook(ROLL_BACK, "a.yaml").version


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(".staged")
    staged.write_text(text)
    staged.replace(path)


def names(folder: RunbookFolder) -> list[str]:
    return [runbook.name for runbook in folder.read().runbooks]


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    folder = RunbookFolder(tmp_path / "none")
    assert folder.read().runbooks == ()
    write(tmp_path / "none" / "deep" / "a.yaml", ROLL_BACK)
    assert names(folder) == ["roll-back"]


def test_the_last_good_version_stays_in_force_and_the_error_is_said(tmp_path: Path) -> None:
    folder = RunbookFolder(tmp_path, KINDS)
    write(tmp_path / "a.yaml", ROLL_BACK)
    assert folder.read().faults == ()
    write(tmp_path / "a.yaml", ROLL_BACK.replace("cause.decided", "cause.undecided"))
    damaged = folder.read()
    assert [runbook.version for runbook in damaged.runbooks] == [VERSION]
    assert damaged.faults[0].message.startswith("a.yaml:5:3: match: cause.undecided is no fact")
    assert damaged.faults[0].in_force == VERSION
    write(tmp_path / "a.yaml", ROLL_BACK.replace("0.8", "0.9"))
    mended = folder.read()
    assert mended.faults == ()
    assert [runbook.version == VERSION for runbook in mended.runbooks] == [False]
    (tmp_path / "a.yaml").unlink()
    assert folder.read().runbooks == ()


def test_a_file_that_was_never_good_is_not_in_force(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "runbook: a")
    faulty = RunbookFolder(tmp_path).read()
    assert faulty.runbooks == ()
    assert faulty.faults[0].in_force == ""


def test_two_files_may_not_bear_one_name(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", ROLL_BACK)
    write(tmp_path / "b.yml", ROLL_BACK.replace("0.8", "0.9"))
    read = RunbookFolder(tmp_path).read()
    assert [runbook.version for runbook in read.runbooks] == [VERSION]
    assert [(fault.source, fault.in_force) for fault in read.faults] == [("b.yml", VERSION)]


def test_hidden_files_and_those_of_other_tenants_do_not_count(tmp_path: Path) -> None:
    for name in (".git/a.yaml", "tenant=acme/a.yaml", ".a.yaml", "README.md", "a.yaml.bak"):
        write(tmp_path / name, "no runbook")
    write(tmp_path / "x" / "a.yaml", ROLL_BACK)
    read = RunbookFolder(tmp_path).read()
    assert (len(read.runbooks), read.faults) == (1, ())


def test_a_mounted_folder_of_links_is_read_and_a_link_that_leads_out_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "runbooks"
    write(folder / "..data" / "a.yaml", ROLL_BACK)
    (folder / "a.yaml").symlink_to("..data/a.yaml")
    write(tmp_path / "secret", "password: x")
    (folder / "b.yaml").symlink_to(tmp_path / "secret")
    read = RunbookFolder(folder).read()
    assert [runbook.name for runbook in read.runbooks] == ["roll-back"]
    assert "leads out of the folder" in read.faults[0].message
    assert "password" not in read.faults[0].message


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a: " + b"x" * 100_000])
def test_what_is_no_text_of_a_runbook_is_a_fault(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    assert len(RunbookFolder(tmp_path).read().faults) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_a_fault(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", ROLL_BACK)
    (tmp_path / "a.yaml").chmod(0)
    assert "cannot be read" in RunbookFolder(tmp_path).read().faults[0].message


def test_the_library_is_good_and_an_own_runbook_takes_the_place_of_one_of_it(tmp_path: Path) -> None:
    library = RunbookFolder(LIBRARY).read()
    assert library.faults == ()
    assert len(library.runbooks) >= 6
    cases = {test.case for runbook in library.runbooks for test in runbook.runbook.tests}
    assert {"cured", "worse", "changed", "killed", "no-match"} <= cases
    assert all({"cured", "worse", "changed", "killed"} <= {test.case for test in each.runbook.tests} for each in library.runbooks)
    name = library.runbooks[0].name
    write(tmp_path / "own.yaml", ROLL_BACK.replace("runbook: roll-back", f"runbook: {name}"))
    shelf = RunbookShelf(tmp_path, library=True).read()
    assert len(shelf.runbooks) == len(library.runbooks)
    assert shelf.named(name) != library.named(name)
    assert RunbookShelf(tmp_path, library=False).read().runbooks == RunbookFolder(tmp_path).read().runbooks
