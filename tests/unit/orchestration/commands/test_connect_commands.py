"""`aiops connect prometheus`: shown, as JSON, and written into the settings so that `aiops up` finds it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aiops.errors import ConfigurationError
from orchestration.cli import app
from orchestration.pipeline.producer_names import producer_id_of
from orchestration.workspace.source_choice import SourceChoice
from tests.testing.living_prometheus import LivingPrometheus, living_prometheus


@pytest.fixture
def server() -> Iterator[LivingPrometheus]:
    series = {
        "http_requests_total": [{"job": "cart", "code": "200"}, {"job": "pay", "code": "500"}],
        "traces_service_graph_request_total": [{"client": "cart", "server": "pay"}],
    }
    with living_prometheus(LivingPrometheus(series)) as state:  # type: ignore[arg-type]
        yield state


def test_what_a_server_has_is_shown_and_nothing_is_written(server: LivingPrometheus, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["connect", "prometheus", server.url, "--json"])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["services"] == ["cart", "pay"]
    assert [proposal["query"]["name"] for proposal in answer["proposals"]] == ["requests_per_second", "error_rate"]
    assert [(call["caller"], call["callee"]) for call in answer["calls"]] == [("cart", "pay")]
    assert answer["written"] == []
    shown = CliRunner().invoke(app, ["connect", "prometheus", server.url])
    assert "requests_per_second" in shown.output
    assert "1 calls" in shown.output


def test_what_is_written_is_what_up_goes_by(server: LivingPrometheus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "aiops.toml"
    path.write_text("# mine\n[up]\nmlflow_port = 5001\n")
    result = CliRunner().invoke(app, ["connect", "prometheus", server.url, "--write", str(path)])
    assert result.exit_code == 0, result.output
    assert path.read_text().startswith("# mine\n[up]\nmlflow_port = 5001\n")
    monkeypatch.setenv("AIOPS_SETTINGS_FILE", str(path))
    choice = SourceChoice("prometheus", None, ("step_s=15",))
    assert choice.follows
    source = choice.open_live()
    try:
        assert [query.name for query in source.queries] == ["requests_per_second", "error_rate"]
        assert source.truth.edges().select(["caller", "callee"]).to_pylist() == [{"caller": "cart", "callee": "pay"}]
    finally:
        source.close()
    given = SourceChoice("prometheus", None, ("queries=up", "start=2026-01-01T00:00:00Z", "end=2026-01-02T00:00:00Z"))
    assert not given.follows
    assert given.options().queries == ("up",)


def test_a_password_on_the_command_line_and_a_missing_file_of_queries_are_refused(
    server: LivingPrometheus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = CliRunner().invoke(app, ["connect", "prometheus", "http://me:secret@p:9090"])
    assert isinstance(result.exception, ConfigurationError)
    assert "secret" not in str(result.exception).replace("a secret", "")
    monkeypatch.setenv("AIOPS_SOURCE__QUERIES", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match=r"source\.queries: .*none: No such file"):
        SourceChoice("prometheus", None, (f"url={server.url}",)).open_live()


def test_a_followed_source_keeps_its_name_whatever_is_asked_of_it() -> None:
    names = {
        producer_id_of(SourceChoice("prometheus", None, ("url=http://p:9090", *more)), "default")
        for more in ((), ("step_s=15",), ("queries=up", "history=1h"))
    }
    assert len(names) == 1
    other = producer_id_of(SourceChoice("prometheus", None, ("url=http://q:9090",)), "default")
    assert other not in names


def test_what_sends_by_itself_is_not_read() -> None:
    choice = SourceChoice("remote-write", None)
    assert (choice.listens, choice.follows) == (True, False)
    choice.refuse_options()
    with pytest.raises(ConfigurationError, match="sends by itself"):
        choice.open()
    with pytest.raises(ConfigurationError, match="it takes no --path and no --set"):
        SourceChoice("otlp", None, ("url=x",)).refuse_options()
