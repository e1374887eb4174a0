"""The table of `make bench`: nothing is cut, regressions are named; ratios are committed and compared."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.comparison import RATIOS, Measured, commit, committed_ratios, machine, medians
from tests.benchmarks.figure_table import WIDTH, number, table

ABOUT = machine(date(2026, 11, 29), 0.1)


def figure(**cells: Any) -> Measured:
    given_cells = {
        "bench": "bench_a",
        "name": "decode",
        "value": 50.0,
        "unit": "rows/s",
        "baseline": 100.0,
        "ratio": 0.5,
        "runs": 3,
    }
    return Measured(**{**given_cells, **cells})


@pytest.mark.parametrize(
    ("unit", "ratio", "committed", "is_regression"),
    [
        ("rows/s", 0.5, 0.5, False),
        ("rows/s", 0.44, 0.5, False),
        ("rows/s", 0.42, 0.5, True),
        ("rows/s", 0.9, 0.5, False),
        ("ms", 2.4, 2.0, True),
        ("ms", 2.2, 2.0, False),
        ("ms", 0.4, 2.0, False),
        ("MiB", 1.2, 1.0, True),
        ("ms", 9.0, None, False),
        ("ms", None, 2.0, False),
    ],
)
def test_worse_depends_on_the_unit(unit: str, ratio: float | None, committed: float | None, is_regression: bool) -> None:
    assert figure(unit=unit, ratio=ratio, committed=committed).regression is is_regression


def test_change_is_that_of_the_ratio() -> None:
    assert figure(ratio=0.6, committed=0.5).change == pytest.approx(0.2)
    assert figure(ratio=None, committed=0.5).change is None
    assert figure(committed=None).change is None


@given(
    st.lists(
        st.builds(
            figure,
            bench=st.sampled_from(["bench_a", "bench_serving"]),
            name=st.text("abc ,x1", min_size=1, max_size=150).filter(str.strip),
            value=st.floats(1e-6, 1e9),
            baseline=st.floats(0, 1e9),
            ratio=st.none() | st.floats(1e-4, 1e4),
            committed=st.none() | st.floats(1e-4, 1e4),
            unit=st.sampled_from(["rows/s", "points/s", "s to ready", "times Feast"]),
        )
    )
)
def test_no_line_is_wider_than_a_terminal_and_no_word_is_lost(figures: list[Measured]) -> None:
    figures.sort(key=lambda given_figure: given_figure.bench)
    text = table(figures)
    assert max(map(len, text.splitlines())) <= WIDTH
    flat = "".join(text.split())
    for given_figure in figures:
        assert "".join(given_figure.name.split()) in flat
        assert number(given_figure.value) in text


def test_regressions_are_named_at_the_end() -> None:
    text = table([figure(committed=0.5), figure(name="encode", ratio=0.3, committed=0.5)])
    assert "-40 % !" in text
    assert "REGRESSIONS: 1 of 2 ratios" in text
    assert text.index("bench_a: encode") > text.index("REGRESSIONS")
    assert "ratio 0.3 instead of 0.5" in text


def test_without_regressions_it_says_so() -> None:
    assert "No ratio of 1 is worse" in table([figure(committed=0.5), figure(name="new")])


def test_ratios_come_back_as_committed_and_benchmarks_that_did_not_run_keep_theirs(tmp_path: Path) -> None:
    path = tmp_path / "ratios.json"
    assert committed_ratios(path) == {}
    commit([figure(), figure(bench="bench_b", name="old", ratio=2.0)], ABOUT, path)
    commit([figure(ratio=0.61234), figure(name="no baseline", ratio=None)], ABOUT, path)
    assert committed_ratios(path) == {"bench_a": {"decode": 0.612}, "bench_b": {"old": 2.0}}
    about = json.loads(path.read_text(encoding="utf-8"))["machine"]
    assert about["date"] == "2026-11-29"
    assert about["cores"] >= 1
    assert about["load_a_core"] == 0.1


def test_rounds_become_medians_beside_their_committed_ratio() -> None:
    lines: list[dict[str, object]] = [
        {"bench": "bench_a", "name": "decode", "value": value, "unit": "rows/s", "baseline": 10} for value in (1, 9, 4)
    ]
    lines.append({"bench": "bench_b", "name": "decode", "value": 3, "unit": "rows/s"})
    first, second = medians(lines, {"bench_a": {"decode": 0.8}})
    assert (first.value, first.ratio, first.runs, first.committed, first.regression) == (4, 0.4, 3, 0.8, True)
    assert (second.ratio, second.committed) == (None, None)


def test_the_committed_file_can_be_read() -> None:
    assert all(ratio > 0 for ratios in committed_ratios(RATIOS).values() for ratio in ratios.values())
