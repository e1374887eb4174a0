"""Dagster answers also where it has none of the suite's code: that is said, with the reason."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from orchestration.suite.dagster_health import code_fault
from tests.testing.deadlines import within
from tests.testing.local_server import served_by

BROKEN = {"__typename": "PythonError", "message": "Traceback\nModuleNotFoundError: No module named 'orchestration'\n"}


@contextmanager
def answering(answer: Any, status: int = 200) -> Iterator[str]:
    """Serve one answer to whatever is asked; yield the address."""

    class Server(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with served_by(Server) as url:
        yield url


def workspace(*outcomes: dict[str, str] | None) -> dict[str, Any]:
    entries = [{"name": "orchestration.definitions", "locationOrLoadError": outcome} for outcome in outcomes]
    return {"data": {"workspaceOrError": {"__typename": "Workspace", "locationEntries": entries}}}


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (workspace({"__typename": "RepositoryLocation"}), ""),
        (workspace(None), ""),
        (
            workspace({"__typename": "RepositoryLocation"}, BROKEN),
            "orchestration.definitions does not load, so no schedule or job runs: "
            "ModuleNotFoundError: No module named 'orchestration'",
        ),
        (
            {"data": {"workspaceOrError": {"__typename": "PythonError", "message": "no workspace"}}},
            "workspace does not load, so no schedule or job runs: no workspace",
        ),
        ({"errors": ["what is that?"]}, "it does not say whether its code is loaded (KeyError)"),
    ],
)
def test_code_that_does_not_load_is_a_fault(answer: Any, fault: str) -> None:
    with answering(answer) as url:
        assert code_fault(url, within(10)) == fault


def test_a_refused_question_is_a_fault() -> None:
    with answering({}, 403) as url:
        assert code_fault(url, within(10)) == "it does not say whether its code is loaded (HTTPStatusError)"
