"""The whole loop on one recorded day of a real system (Nezha), through the public command."""

from pathlib import Path

import pytest

from tests.testing.aiops_commands import aiops, check_figures, environment, figures

DAY = "2022-08-22"


@pytest.mark.data
@pytest.mark.slow
def test_the_loop_runs_on_a_recorded_day(home: Path, tmp_path: Path, corpora: Path) -> None:
    day = corpora / "nezha" / "rca_data" / DAY
    if not day.is_dir():
        pytest.skip(f"{day} is not there")
    file = tmp_path / "run.json"
    done = aiops(["run", "--source", "nezha", "--path", str(day), "--json", str(file)], environment(home), 200.0)
    assert done.returncode == 0, done.stderr
    printed = figures(file)
    check_figures(printed)
    assert printed["source"] == "nezha"
    assert printed["incidents_labelled"] > 0
