"""`aiops bench templates`: on small made-up sets, on folders that hold none, and on the corpus itself where it is present."""

import csv
import json
from pathlib import Path

import pytest

from orchestration.bench.corpora.log_templates import run as bench
from orchestration.cli import run


@pytest.fixture
def loghub(tmp_path: Path) -> Path:
    """Return two sets: one with true groups, one without."""
    for name, header, extra in (("Made", "LineId,Content,EventId", True), ("Plain", "LineId,Level,Content", False)):
        file = tmp_path / "loghub" / name / f"{name}_2k.log_structured_corrected.csv"
        file.parent.mkdir(parents=True)
        rows = [
            f'{row},"user {row} said ""hi"", then left",E{1}' if extra else f"{row},INFO,job {row} done" for row in range(1, 41)
        ]
        file.write_text("\n".join([header, *rows]) + "\n")
    return tmp_path / "loghub"


def test_every_line_has_a_template_and_the_figures_are_printed(
    loghub: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    words = ["bench", "templates", "--path", str(loghub), "--out", str(out)]
    assert run([*words, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["lines"] == 80
    assert facts["lines_per_second"] > 0
    assert facts["known_lines_per_second"] > 0
    assert facts["mean"] is None, "a set without true groups has no figure, so there is no mean"
    assert facts["sets"][0]["ours"] == {"grouping_accuracy": 1.0, "group_f1": 1.0}
    with out.open() as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["set"], row["line"]) for row in rows[:2]] == [("Made", "1"), ("Made", "2")]
    assert {name: len({row["template"] for row in rows if row["set"] == name}) for name in ("Made", "Plain")} == {
        "Made": 1,
        "Plain": 1,
    }
    assert run(words) == 0
    assert "digits masked" in capsys.readouterr().out


def test_a_folder_without_sets_is_refused(loghub: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "templates", "--out", str(tmp_path / "out.csv"), "--path"]
    assert run([*words, str(tmp_path / "loghub" / "Made")]) == 3
    assert "give a checkout of Loghub-2k" in capsys.readouterr().err
    (loghub / "Made" / "Made_2k.log_structured_corrected.csv").write_text("LineId,Text\n1,a\n")
    assert run([*words, str(loghub)]) == 3
    assert "LineId and Content" in capsys.readouterr().err


@pytest.mark.data
def test_templates_of_the_corpus_are_grouped_as_people_did(corpora: Path, tmp_path: Path) -> None:
    if not (corpora / "loghub").is_dir():
        pytest.skip(f"public data not found at {corpora / 'loghub'}")
    figures = bench(corpora / "loghub", tmp_path / "out.csv")
    assert figures.mean is not None
    assert figures.mean_digits_masked is not None
    assert figures.mean.grouping_accuracy >= 0.95
    assert figures.mean.group_f1 >= 0.92
    assert figures.mean_digits_masked.grouping_accuracy < 0.6
    assert not [part.name for part in figures.sets if part.refused]
