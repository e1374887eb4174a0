"""Compiled kernels on disk: several processes at once, sources in a folder that cannot be written, no folder at all."""

import ast
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import numba
import numpy as np
import pytest
from numba.core import config

from data_contracts.kernel_cache import COMPILING, KernelFiles, kept, number_of

SOURCE = "def doubled(values):\n    return values * 2\n"


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setattr(config, "CACHE_DIR", str(folder))
    return folder


def function_in(folder: Path) -> Callable[..., Any]:
    """Return the function of a source file that is written to `folder`, anew each time."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "doubling.py"
    if not path.exists():
        path.write_text(SOURCE, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("doubling", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["doubling"] = module
    spec.loader.exec_module(module)
    function: Callable[..., Any] = module.doubled
    return function


def compiled_in(folder: Path, version: str = "") -> Any:
    return kept(numba.njit(function_in(folder)), version)


def hits(dispatcher: Any) -> int:
    return sum(dispatcher.stats.cache_hits.values())


def test_a_second_process_loads_what_the_first_compiled(tmp_path: Path, cache_folder: Path) -> None:
    first = compiled_in(tmp_path / "code")
    assert first(2.0) == 4.0
    assert hits(first) == 0
    second = compiled_in(tmp_path / "code")
    assert second(3.0) == 6.0
    assert hits(second) == 1
    assert list(cache_folder.rglob("*.nbc"))


def test_another_version_of_the_suite_compiles_anew(tmp_path: Path, cache_folder: Path) -> None:
    compiled_in(tmp_path / "code", "1.0")(2.0)
    upgraded = compiled_in(tmp_path / "code", "1.1")
    assert upgraded(3.0) == 6.0
    assert hits(upgraded) == 0


def test_signatures_compiled_at_the_same_time_are_both_kept_and_never_exchanged(tmp_path: Path, cache_folder: Path) -> None:
    """Both read the index before either writes: numba's own files would give both the same number."""
    integers, decimals = compiled_in(tmp_path / "code"), compiled_in(tmp_path / "code")
    integers(np.arange(3))
    decimals(np.arange(3.0))
    later = compiled_in(tmp_path / "code")
    assert later(np.arange(3)).dtype == np.int64
    assert later(np.array([0.5])).tolist() == [1.0]
    assert hits(later) == 2
    assert len(list(cache_folder.rglob("*.nbc"))) == 2


class SlowFiles:
    """Files of one kernel in memory, whose index takes its time between reading and writing."""

    def __init__(self, folder: Path) -> None:
        self._index_path = str(folder / "kernel.nbi")
        self.saved: dict[str, object] = {}
        Path(self._index_path).write_text("{}")

    def load(self, key: object) -> object | None:
        name = self._load_index().get(key)
        return None if name is None else self.saved.get(name)

    def _data_name(self, number: int) -> str:
        return f"kernel.{number}"

    def _save_data(self, name: str, compiled: object) -> None:
        self.saved[name] = compiled

    def _load_index(self) -> dict[object, str]:
        overloads: dict[object, str] = ast.literal_eval(Path(self._index_path).read_text())
        return overloads

    def _save_index(self, overloads: dict[object, str]) -> None:
        Path(self._index_path).write_text(repr(overloads))


def test_no_writer_of_the_index_loses_what_another_wrote(tmp_path: Path) -> None:
    files = SlowFiles(tmp_path)
    kernels = KernelFiles(files, None)
    writers = [Thread(target=kernels.save, args=(("signature", number), number)) for number in range(16)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [kernels.load(("signature", number)) for number in range(16)] == list(range(16))


def test_numbers_are_those_of_the_key_alone() -> None:
    assert number_of((("float64",), "cpu")) == number_of((("float64",), "cpu"))
    assert number_of((("float64",), "cpu")) != number_of((("int64",), "cpu"))


@contextmanager
def compiled_beside(code: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compile beside the sources first, as an image does, then look elsewhere for a folder that can be written."""
    with monkeypatch.context() as built:
        built.setattr(config, "CACHE_DIR", "")
        assert compiled_in(code)(2.0) == 4.0
    assert list((code / "__pycache__").glob("*.nbc"))
    yield


def test_kernels_that_came_with_the_sources_are_read_where_others_are_written_elsewhere(
    tmp_path: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with compiled_beside(tmp_path / "code", monkeypatch):
        installed = compiled_in(tmp_path / "code")
        assert installed(3.0) == 6.0
        assert hits(installed) == 1
        assert not list(cache_folder.rglob("*.nbc"))
        assert installed(np.arange(3)).tolist() == [0, 2, 4]
        assert len(list(cache_folder.rglob("*.nbc"))) == 1, "a signature that did not come with them"


def test_without_any_folder_kernels_live_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    function = function_in(tmp_path / "code")
    monkeypatch.setattr(config, "CACHE_LOCATOR_CLASSES", "ZipCacheLocator")  # none that takes a plain file
    dispatcher: Any = kept(numba.njit(function))
    assert dispatcher(2.0) == 4.0
    assert not list((tmp_path / "code").rglob("*.nb[ci]"))


class FullDisk(SlowFiles):
    """Files of a kernel in a folder where nothing fits any more."""

    def _save_data(self, name: str, compiled: object) -> None:
        raise OSError(28, "No space left on device")


def test_a_kernel_that_cannot_be_kept_is_used_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kernels = KernelFiles(FullDisk(tmp_path), None)
    before = COMPILING.kernels
    assert kernels.load("signature") is None
    kernels.save("signature", "machine code")
    assert "a compiled kernel is not kept" in caplog.text
    assert "No space left on device" in caplog.text
    assert COMPILING.kernels == before + 1, "it is over for whoever waits for the end"
