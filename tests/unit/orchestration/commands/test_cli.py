"""The command line: what it offers, what it prints where, how it refuses, with which exit code, how fast it starts."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from aiops.settings.reading import read_settings
from data_contracts.schemas.telemetry_schemas import SERVICE_FEATURES
from orchestration.cli import app, run
from orchestration.workspace import current_settings
from orchestration.workspace.current_settings import note_running, read_running, settings_in_force
from orchestration.workspace.home_lock import hold
from serving.lake import parquet_writing

COMMANDS = (  # noqa: SIM905
    "run up init status ingest replay detections forecast train drift score models promote rollback verdict "
    "connect rejected graph changes route rca series backtest bench incidents migrate repair logs runbooks "
    "plans approve reject runs automation tokens"
).split()
ROWS = (
    "timestamp,service,metric,value\n"
    "2025-03-01T00:00:00Z,cart,latency_p50_ms,10\n"
    "2025-03-01T00:01:00Z,cart,latency_p50_ms,-5\n"
    "2025-03-01T00:02:00Z,cart,latency_p50_ms,nan\n"
)


@pytest.fixture(autouse=True)
def private_home(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free_port: int) -> Path:
    monkeypatch.setenv("AIOPS_HOME", str(home))
    for name in (
        "BROKER__PORT",
        "SERVING__HTTP_PORT",
        "CONSUMER__METRICS_PORT",
        "RESPONDER__PORT",
        "INGEST__PORT",
        "INGEST__GRPC_PORT",
        "SERVING__GRPC_PORT",
        "UP__MLFLOW_PORT",
        "UP__DAGSTER_PORT",
    ):
        monkeypatch.setenv(f"AIOPS_{name}", str(free_port))
    monkeypatch.chdir(tmp_path)
    return home


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    file = tmp_path / "rows.csv"
    file.write_text(ROWS)
    return file


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert set(COMMANDS) == set(get_command(app).commands)  # type: ignore[attr-defined]
    assert all(name in shown for name in COMMANDS)


@pytest.mark.parametrize(
    "command",
    [
        *COMMANDS,
        "rejected list",
        "rejected redrive",
        "route explain",
        "route list",
        "rca explain",
        "rca ask",
        "incidents verdict",
        "incidents silence add",
        "incidents maintenance add",
        "bench nezha-detect",
        "bench incidents",
        "bench breach",
        "runbooks check",
        "runbooks explain",
        "runbooks replay",
    ],
)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command.split(), "--help"]) == 0
    assert "Usage:" in capsys.readouterr().out


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("aiops ")


def test_starting_imports_nothing_heavy() -> None:
    program = "import sys, orchestration.cli; print(*[m for m in sys.argv[1:] if m in sys.modules])"
    heavy = ["dagster", "mlflow", "feast", "pandas", "pyarrow", "numpy", "sklearn", "evidently", "pydantic"]
    done = subprocess.run([sys.executable, "-c", program, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_ingest_counts_exactly_and_rejected_rows_are_listed(csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ingest", "--source", "csv", "--path", str(csv), "--json"]) == 0
    printed = capsys.readouterr()
    counted = json.loads(printed.out)
    assert (counted["read"], counted["stored"], counted["already_there"], counted["rejected"]) == (3, 1, 0, 2)
    assert "ingest from csv" in printed.err
    assert run(["rejected", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["reason"] for row in rows} == {"out_of_range", "non_finite"}
    assert run(["rejected", "redrive", "--reason", "out_of_range", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"tried": 1, "redriven": 0, "still_rejected": {"out_of_range": 1}}
    assert run(["rejected", "list", "--reason", "non_finite"]) == 0
    assert "non_finite" in capsys.readouterr().out


def test_ingesting_a_simulation_needs_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "ingest",
        "--source",
        "simulate",
        "--set",
        "hours=1",
        "--set",
        "services=3",
        "--end",
        "2025-03-03T00:10:00Z",
        "--json",
    ]
    assert run(words) == 0
    counted = json.loads(capsys.readouterr().out)
    assert counted["read"] == counted["stored"] + counted["already_there"] + counted["rejected"] > 0


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("nosuch", 2, "No such command 'nosuch'"),
        ("ingest", 2, "Missing option '--source'"),
        ("ingest --source nosuch", 2, "choose one of simulate, csv"),
        ("ingest --source remotewrite", 2, "of `aiops up` also otlp or remote-write"),
        ("ingest --source csv", 2, "needs --path"),
        ("ingest --source csv --path absent.csv", 2, "absent.csv does not exist"),
        ("ingest --source csv --path empty.csv", 2, "empty.csv: is empty; give a CSV file"),
        ("ingest --source csv --path columns.csv", 2, "no column 'timestamp'; its columns are a, b"),
        ("ingest --source parquet --path columns.csv", 2, "columns.csv"),
        ("ingest --source simulate --set nosuch=1", 2, "nosuch: no such source option; known: "),
        ("ingest --source simulate --set hours", 2, "is not name=value"),
        ("ingest --source simulate --set hours=long", 2, "hours: 'long'"),
        ("ingest --source simulate --set hours=1 --start yesterday", 2, "--start: 'yesterday' is not an ISO 8601 time"),
        ("rejected redrive", 2, "name ids or --reason"),
        ("rejected redrive nosuch", 2, "no row has the id nosuch"),
        ("rejected list --reason nosuch", 2, "reason 'nosuch' is unknown"),
        ("train", 3, "no telemetry in"),
        ("models nosuch", 6, "name one of robust-stream, service-ensemble, incident-predictor"),
        ("promote nosuch", 6, "model 'nosuch' is not known"),
        ("rollback nosuch", 6, "model 'nosuch' is not known"),
        ("verdict nosuch --true", 4, "detection_id 'nosuch'"),
        ("rca explain nosuch", 4, "nosuch"),
        ("rca ask --service cart --at yesterday", 2, "--at: 'yesterday' is not an ISO 8601 time"),
        ("route explain cart", 2, "'cart' is not service|metric; `aiops route list` shows"),
        ("score absent.csv", 2, "absent.csv does not exist"),
        ("score rows.txt", 2, "'.txt' is not read"),
        ("score columns.csv", 4, "column 'service' is missing"),
        ("score broken.parquet", 4, "broken.parquet cannot be read as parquet"),
        ("score broken.json", 4, "broken.json cannot be read as json"),
        ("score words.csv", 4, "features must be numbers"),
        ("score good.csv", 9, "is the service up"),
        ("replay --source csv --path rows.csv", 9, "broker"),
        ("run --source csv --path absent.csv", 2, "absent.csv does not exist"),
        ("run --json rows.csv/run.json --source csv --path rows.csv", 2, "name a file that can be written"),
        ("up --source csv --path absent.csv", 2, "absent.csv does not exist"),
        ("up --speed 0", 2, "--speed"),
    ],
)
def test_refusals_say_what_and_how_to_mend_it(words: str, code: int, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    feature = SERVICE_FEATURES[0]
    for name, content in (
        ("empty.csv", ""),
        ("rows.csv", ROWS),
        ("columns.csv", "a,b\n1,2\n"),
        ("rows.txt", ""),
        ("broken.parquet", "junk"),
        ("broken.json", "{junk"),
        ("words.csv", f"service,{feature}\ncart,many\n"),
        ("good.csv", f"service,{feature}\ncart,0.5\n"),
    ):
        Path(name).write_text(content)
    assert run(words.split()) == code
    printed = capsys.readouterr()
    assert says in printed.err
    assert printed.out == ""


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("AIOPS_SERVING__HTTP_PORT", "many", "setting AIOPS_SERVING__HTTP_PORT = 'many': Input should be a valid integer"),
        ("AIOPS_NONSENSE", "1", "setting AIOPS_NONSENSE = (not shown): no such setting"),
        ("AIOPS_SERVING__NOSUCH", "1", "setting AIOPS_SERVING__NOSUCH = (not shown): no such setting"),
    ],
)
def test_a_wrong_setting_is_named(
    name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    assert run(["rejected", "list"]) == 2
    assert says in capsys.readouterr().err


def test_a_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("AIOPS_SERVING__JWT_KEYS", "geheim")
    assert run(["rejected", "list"]) == 2
    assert "geheim" not in capsys.readouterr().err


def test_a_home_that_cannot_be_written_is_named(
    monkeypatch: pytest.MonkeyPatch, csv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIOPS_HOME", str(csv / "home"))
    assert run(["ingest", "--source", "csv", "--path", str(csv)]) == 1
    assert "check AIOPS_HOME" in capsys.readouterr().err
    assert run(["run", "--source", "csv", "--path", str(csv)]) == 2
    assert "name a folder that can be written" in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_and_the_command_can_be_given_again(
    number: int, home: Path, csv: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    command = ["ingest", "--source", "csv", "--path", str(csv)]
    with monkeypatch.context() as patch:
        patch.setattr(parquet_writing, "write_atomically", full)
        assert run(command) == 1
    stderr = capsys.readouterr().err
    assert f"disk: {os.strerror(number)} (AIOPS_HOME {home}: " in stderr
    assert "MB free" in stderr
    assert "Traceback" not in stderr
    assert run(command) == 0
    assert "stored 1 + already there 0 + rejected 2" in " ".join(capsys.readouterr().out.split())


def test_a_home_in_use_is_refused(home: Path, csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with hold(home, "aiops up"):
        assert run(["run", "--source", "csv", "--path", str(csv)]) == 2
        assert "is in use by aiops up, process" in capsys.readouterr().err
    assert list(home.iterdir()) == [], "the lock leaves nothing behind"
    with hold(home, "aiops run"):
        pass


def test_status_says_that_everything_is_down(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "--json"]) == 9
    report = json.loads(capsys.readouterr().out)
    assert report["healthy"] is False
    assert {line["name"]: line["healthy"] for line in report["processes"]}["broker"] is False


def test_status_where_nothing_answers_says_how_it_is_started(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    assert run(["status"]) == 9
    said = capsys.readouterr().err
    assert "nothing answers: `aiops up` starts everything" in said
    assert str(home) in said


def test_another_shell_finds_what_runs_on_the_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = read_settings().broker.port
    monkeypatch.setenv("AIOPS_RESPONDER__PORT", "4343")
    monkeypatch.setenv("AIOPS_RESPONDER__CLOCK", "event")
    note_running(read_settings(), {"feeder": 1})
    for name in ("BROKER__PORT", "UP__MLFLOW_PORT", "RESPONDER__PORT", "RESPONDER__CLOCK"):
        monkeypatch.delenv(f"AIOPS_{name}")
    monkeypatch.setenv("AIOPS_SERVING__HTTP_PORT", "4242")
    settings = settings_in_force()
    assert settings.broker.port == expected
    assert (settings.responder.port, settings.responder.clock) == (4343, "event")
    assert settings.serving.http_port == 4242, "the environment wins"
    running = read_running(home)
    assert running is not None
    assert running.children == {"feeder": 1}
    note = home / current_settings.RECORD
    note.write_text(note.read_text().replace('"created": 1', '"created": 2'))
    assert read_running(home) is None, "a note that another process left behind does not count"
    assert settings_in_force().broker.port == read_settings().broker.port


def test_a_command_ends_with_its_code_after_threads_and_exit_handlers() -> None:
    program = (
        "import atexit, sys, threading, time\n"
        "from orchestration.cli import main\n"
        "atexit.register(print, 'handler')\n"
        "threading.Thread(target=lambda: (time.sleep(0.2), print('thread'))).start()\n"
        "sys.argv = ['aiops', 'ingest', '--source', 'nosuch']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (2, ["thread", "handler"])
    assert "choose one of" in done.stderr.splitlines()[-1]
