"""What is compiled is said: at the first kernel, and how long it takes."""

import pytest

from data_contracts import kernel_cache
from data_contracts.kernel_cache import Compiling


def test_the_first_kernel_says_what_happens_and_later_ones_how_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    now, said = [100.0], list[str]()
    monkeypatch.setattr(kernel_cache.time, "monotonic", lambda: now[0])
    compiling = Compiling(said.append)
    compiling.begins("/kept")
    now[0] += 4
    compiling.begins("/kept")  # one that the first needs
    now[0] += 3
    compiling.ends()
    assert len(said) == 1
    assert "once for each version" in said[0]
    now[0] += 5
    compiling.ends()
    now[0] += 60  # nothing is compiled
    assert (compiling.kernels, compiling.seconds) == (2, 12.0)
    assert said[1:] == ["kernels: 2 compiled so far, in 12 s"]
    compiling.begins("/kept")
    now[0] += 1
    compiling.ends()
    assert (compiling.kernels, compiling.seconds, len(said)) == (3, 13.0, 3)
