"""`aiops logs pull` against a stand-in of Loki: pages, tenant, token, metadata, masks; retries, refusals, time-outs; going on."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from aiops.errors import SourceError
from aiops.settings.tree import Settings
from orchestration.cli import run
from orchestration.pipeline.log_pull import PullMark
from orchestration.workspace.workspace import Workspace
from serving.ingest.pull.loki_http import LokiAccess, LokiHttp, LokiPage
from serving.ingest.pull.request_retries import RetryPolicy
from tests.testing.loki_server import LokiState, loki
from tests.testing.otlp_bodies import NOW_NS

MINUTE_NS = 60 * 10**9
RANGE = ("--start", "2026-01-01T00:00:00Z", "--end", "2026-01-01T01:00:00Z")
CART = {"app": "cart", "pod": "cart-1"}


def filled(lines: int = 450) -> LokiState:
    """Return a Loki with lines of two streams, three a moment."""
    entries = []
    for number in range(lines):
        labels = CART if number % 3 else {"app": "web"}
        entries.append((labels, NOW_NS + number // 3 * 1_000_000, f"level=info request {number} took {number % 7} ms"))
    return LokiState(entries)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIOPS_HOME", str(tmp_path / "home"))
    return tmp_path


def pull(url: str, *more: str, code: int = 0) -> int:
    got = run(["logs", "pull", "--url", url, "--query", '{app=~".+"}', "--limit", "100", "--json", *more])
    assert got == code
    return got


def stored() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = Workspace.open(Settings()).lake.read("logs").to_pylist()
    return rows


def test_all_pages_are_stored_once_and_again_adds_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with loki(state := filled()) as url:
        pull(url, *RANGE)
        first = json.loads(capsys.readouterr().out)
        assert (first["lines"], first["stored"], first["already_there"], first["rejected"]) == (450, 450, 0, 0)
        assert len(state.asked) >= 5
        assert all(asked["limit"] == "100" for asked in state.asked)
        pull(url, *RANGE)
        assert json.loads(capsys.readouterr().out)["already_there"] == 450
    rows = stored()
    assert len(rows) == 450
    assert {row["service"] for row in rows} == {"cart", "web"}
    assert {row["severity_number"] for row in rows} == {9}


def test_the_next_pull_goes_on_where_the_last_one_ended(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with loki(state := filled(30)) as url:
        assert run(["logs", "pull", "--url", url, "--query", '{app=~".+"}', "--json"]) == 2
        assert "nothing of this query was pulled yet" in capsys.readouterr().err
        pull(url, *RANGE)
        state.entries.append((CART, NOW_NS + 90 * MINUTE_NS, "later"))
        capsys.readouterr()
        pull(url, "--end", "2026-01-01T02:00:00Z")
        again = json.loads(capsys.readouterr().out)
        assert (again["lines"], again["stored"]) == (1, 1)
        assert state.asked[-1]["start"] == str(NOW_NS + 60 * MINUTE_NS)
        pull(url, "--end", "2026-01-01T02:00:00Z", code=2)
        assert "there is nothing to pull" in capsys.readouterr().err


def test_what_was_stored_before_a_failure_counts_once(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration.pipeline.log_pull.PART_LINES", 100)
    with loki(state := filled()) as url:
        pages = []
        answered = state.faults

        class FailsAtTheThird(list[tuple[int, dict[str, str], str]]):
            def __bool__(self) -> bool:
                pages.append(1)
                return len(pages) == 3

            def pop(self, _: Any = 0) -> tuple[int, dict[str, str], str]:
                return 400, {}, "parse error"

        state.faults = FailsAtTheThird()
        pull(url, *RANGE, "--retries", "0", code=3)
        assert "parse error" in capsys.readouterr().err
        assert 0 < len(stored()) < 450
        state.faults = answered
        pull(url, "--end", "2026-01-01T01:00:00Z")
        assert 0 < json.loads(capsys.readouterr().out)["stored"] < 450
    assert len(stored()) == 450


def test_tenant_token_metadata_and_masks(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    token = home / "token"
    token.write_text("s3cret\n")
    state = LokiState([(CART, NOW_NS, "user password=hunter2 came")], org="shop", token="s3cret")
    state.metadata = {"trace_id": "ab" * 16, "user": "7"}
    with loki(state) as url:
        pull(url, *RANGE, code=3)
        refused = capsys.readouterr().err
        assert "no org id" in refused
        assert "give the tenant (--org)" in refused
        pull(url, *RANGE, "--org", "shop", "--token-file", str(token))
        assert run(["logs", "pull", "--url", "http://a:b@loki", "--query", "{}", *RANGE]) == 2
        assert "b@" not in capsys.readouterr().err
    (row,) = stored()
    assert row["trace_id"] == "ab" * 16
    assert json.loads(row["attributes"]) == {"user": "7"}
    assert "hunter2" not in row["body"]


@pytest.mark.parametrize("content", ["s3cret\nsecond", "s3crét"])
def test_a_token_that_no_header_can_hold_is_refused_and_not_shown(
    home: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    token = home / "token"
    token.write_text(content)
    pull("http://127.0.0.1:9", *RANGE, "--token-file", str(token), code=2)
    said = capsys.readouterr().err
    assert "--token-file" in said
    assert "s3cr" not in said


def test_an_end_in_the_future_leaves_what_is_still_to_come_for_the_next_pull(home: Path) -> None:
    with loki(filled(3)) as url:
        pull(url, "--start", "2026-01-01T00:00:00Z", "--end", "2999-01-01T00:00:00Z")
        mark = PullMark(Workspace.open(Settings()), f'{client(url, []).url}  {{app=~".+"}}').through_ns()
    assert mark is not None
    assert mark <= time.time_ns()


def client(url: str, slept: list[float], retries: int = 3, timeout_s: float = 5.0) -> LokiHttp:
    return LokiHttp(LokiAccess(url, timeout_s=timeout_s), RetryPolicy(retries, slept.append, lambda: 1.0))


def test_a_busy_server_is_asked_again_at_its_own_pace_and_a_query_that_is_wrong_is_not() -> None:
    page = LokiPage("{}", NOW_NS, NOW_NS + 1, 100)
    with loki(state := filled(3)) as url:
        slept: list[float] = []
        state.faults = [(429, {"Retry-After": "7"}, "too many outstanding requests"), (503, {}, "busy")]
        assert len(client(url, slept).page(page)) == 2
        assert slept == [7.0, 1.0]
        state.faults = [(400, {}, "parse error at line 1, col 1: syntax error")]
        with pytest.raises(SourceError, match="syntax error"):
            client(url, slept).page(page)
        state.faults = [(500, {}, "no")] * 3
        with pytest.raises(SourceError, match=r"status 500: no \(tried 3 times\)"):
            client(url, slept, retries=2).page(page)
        with pytest.raises(SourceError, match="give a smaller --limit"):
            client(url, slept).page(LokiPage("{}", 0, 1, 9_999))
        matrix = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": []}})
        for body, words in ((matrix, "the query counts lines"), ("<html>", "none of Loki's"), ("{}", "none of Loki's")):
            state.faults = [(200, {}, body)]
            with pytest.raises(SourceError, match=words):
                client(url, slept).page(page)
    with pytest.raises(SourceError, match=r"ConnectError.*tried twice|ConnectError.*tried 2 times"):
        client(url, slept, retries=1).page(page)
