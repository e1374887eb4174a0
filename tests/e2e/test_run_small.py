"""The whole loop on a small simulated application, through the public command."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.testing.aiops_commands import COMMAND, SMALL, aiops, check_figures, environment, figures
from tests.testing.deadlines import within

pytestmark = pytest.mark.slow


def test_the_loop_runs_and_runs_again_in_the_same_home(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    done = aiops(["run", *SMALL, "--set=hours=30", "--set=history_share=0.8", "--json", str(file)], environment(home))
    assert done.returncode == 0, done.stderr
    check_figures(figures(file))
    assert "Traceback" not in done.stderr
    champions = {model["name"] for model in figures(file)["models"] if "champion" in model["alias"]}
    assert "service-ensemble" in champions
    (home / "lake" / "left-over").touch()
    again = aiops(["run", "--source", "csv", "--path", str(tmp_path / "absent.csv")], environment(home))
    assert again.returncode == 2
    assert (home / "lake" / "left-over").exists(), "a run that cannot begin clears nothing"
    assert interrupted_in_training(home) == 130
    assert not (home / "lake" / "left-over").exists(), "a second run clears what a run made"
    assert list((home / "lake" / "tenant=default" / "telemetry").rglob("*.parquet")), "and begins again"


def interrupted_in_training(home: Path) -> int:
    """Start a run, press Ctrl-C while it trains, and return its exit code."""
    command = [*COMMAND, "run", *SMALL, "--set=hours=30"]
    with subprocess.Popen(
        command, env=environment(home), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "training set" in line:
                process.send_signal(signal.SIGINT)
        return process.wait(within(30))


def test_a_home_with_foreign_data_is_refused_and_left_alone(home: Path) -> None:
    (home / "thesis.txt").write_text("years of work")
    refused = aiops(["run", *SMALL], environment(home))
    assert refused.returncode == 2
    assert "holds data that `aiops run` did not make" in refused.stderr
    assert [entry.name for entry in home.iterdir()] == ["thesis.txt"]
