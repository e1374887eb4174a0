"""Names that the pages use beside commands, settings and paths exist: modules, calls, metrics, packages, members, defaults."""

import ast
import importlib
import importlib.util
import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from aiops.incidents.alert import Severity
from aiops.incidents.incident import IncidentState
from aiops.settings.tree import Settings
from serving.incidents.notify.notice import Cause, Notice, PlanInShort
from serving.incidents.notify.webhook_channel import webhook_body
from serving.incidents.store.records import MessageKind
from tests.testing.documentation import ROOT, blocks, name_of, pages, quoted

REFERENCE = ROOT / "docs" / "reference"
PYTHON_ROOMS = ("data_contracts", "aiops", "models", "serving", "orchestration")
WRITTEN = [
    pytest.param(page, id=name_of(page))
    for page in pages()
    if page.parent.name not in {"reference", "adr"} and page.name != "CHANGELOG.md"
]
"""Pages that people wrote, of how things are now."""
OF_OTHERS = ("http://127.0.0.1:8888", "http://127.0.0.1:9000/")
"""Feast's own page, and the receiver that a page starts."""


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def resolves(name: str) -> bool:
    """Return whether a dotted name is a module, or what one of its modules holds."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            value: object = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            if not hasattr(value, part):
                return False
            value = getattr(value, part)
        return True
    return False


def absent_modules(text: str) -> list[str]:
    """Return modules that a page starts, dotted names that it quotes and imports of its programs that do not exist."""
    rooms = "|".join(PYTHON_ROOMS)
    started = re.findall(rf"python -m ((?:{rooms})[\w.]*)", text)
    dotted = [span for span in quoted(text) if re.fullmatch(rf"(?:{rooms})(?:\.[A-Za-z_]\w*)+", span)]
    imported = [name for block in blocks(text) if block.language == "python" for name in imports(block.body)]
    names = [*started, *(name for name in dotted if not name.endswith(".toml")), *imported]
    return [name for name in names if not resolves(name)]


def imports(program: str) -> list[str]:
    """Return `module.name` of everything that a program imports from the rooms and from the tests."""
    code = re.sub(r"\A(?::\w+:.*\n)+", "", program)  # options of the block
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom) and node.module]
    ours = [node for node in nodes if str(node.module).split(".")[0] in (*PYTHON_ROOMS, "tests")]
    return [f"{node.module}.{alias.name}" for node in ours for alias in node.names]


def calls() -> dict[int, list[str]]:
    """Return the path of every call by the port of its process, as the reference lists them; `{name}` stands for any word."""
    settings = Settings(home=Path("unused"))
    return {
        settings.serving.http_port: call_paths("http-scoring.md"),
        settings.responder.port: call_paths("http-incidents.md"),
        settings.consumer.metrics_port: ["/metrics", "/findings", "/livez", "/readyz"],
        settings.ingest.port: call_paths("http-receivers.md"),
        settings.signals.metrics_port: ["/metrics", "/livez", "/readyz"],
        settings.automation.port: call_paths("http-automation.md"),
        settings.console.port: ["/metrics", "/livez", "/readyz", "/session"],
        settings.explore.port: call_paths("http-explore.md"),
        settings.up.mlflow_port: [],
        settings.up.dagster_port: [],
    }


def call_paths(name: str) -> list[str]:
    return ["/docs.json", *re.findall(r"^## [A-Z]+ (/\S*)$", read(REFERENCE / name), re.MULTILINE)]


def absent_calls(text: str) -> list[str]:
    """Return the addresses of this machine that a page names and no process answers."""
    known = calls()
    absent = []
    for address in re.findall(r"http://127\.0\.0\.1:\d+[^\s'\"`<>)…]*", text):
        parts = urlsplit(address)
        patterns = [re.sub(r"\\{\w+\\}", r"[^/]+", re.escape(path)) for path in known.get(parts.port or 0, [])]
        answered = any(re.fullmatch(pattern, parts.path) for pattern in patterns)
        if parts.port not in known or not (parts.path in {"", "/"} or answered):
            absent.append(address)
    return absent


def absent_metrics(text: str) -> list[str]:
    known = set(re.findall(r"^\| `(aiops_\w+)`", read(REFERENCE / "metrics.md"), re.MULTILINE))
    return [span for span in quoted(text) if re.fullmatch(r"aiops_[a-z0-9_]+_[a-z0-9_]+", span) and span not in known]


def wrong_defaults(text: str) -> list[str]:
    """Return settings behind which a page gives a number in brackets that is not their default."""
    rows = re.findall(r"^\| `(AIOPS_\w+)` \| (?:`([^`]*)`)?", read(REFERENCE / "settings.md"), re.MULTILINE)
    given = re.findall(r"`(AIOPS_\w+)` \((\d[\d.]*)\)", text)
    return [f"{name} ({number})" for name, number in given if float(dict(rows)[name]) != float(number)]


def wrong_exit_codes(text: str) -> list[str]:
    """Return lines that name a command and an exit code which the reference does not name for that command."""
    sections = dict(
        re.findall(r"^## (aiops [a-z -]+)\n(.*?)(?=^## |\Z)", read(REFERENCE / "commands.md"), re.MULTILINE | re.DOTALL)
    )
    wrong = []
    for line in text.splitlines():
        code = re.search(r"exit code (\d+)", line, re.IGNORECASE)
        named = [name for name in sections if re.search(rf"\b{name}\b", line)]
        if code and named and not any(f"exit code {code[1]}" in sections[name].lower() for name in named):
            wrong.append(line)
    return wrong


@pytest.mark.parametrize("page", WRITTEN)
def test_modules_calls_metrics_defaults_and_exit_codes_exist(page: Path) -> None:
    text = read(page)
    assert absent_modules(text) == []
    assert absent_metrics(text) == []
    assert wrong_defaults(text) == []
    assert wrong_exit_codes(text) == []
    assert [address for address in absent_calls(text) if address not in OF_OTHERS] == []


def test_names_that_do_not_exist_are_refused() -> None:
    """The control: each of the checks above can fail."""
    program = "```python\nfrom aiops.ports import Detector, Nobody\nfrom tests.conformance.no_suite import check\n```\n"
    modules = f"`python -m serving.nothing`, `python -m serving.scoring`, `aiops.ports.Nothing`, `aiops.toml`\n{program}"
    assert absent_modules(modules) == [
        "serving.nothing",
        "aiops.ports.Nothing",
        "aiops.ports.Nobody",
        "tests.conformance.no_suite.check",
    ]
    address = "http://127.0.0.1:"
    addresses = f"<{address}3103> {address}3100/scores '{address}3103/incidents/inc-1/alerts?limit=1' {address}3199/"
    assert absent_calls(addresses) == [f"{address}3100/scores", f"{address}3199/"]
    assert absent_metrics("`aiops_points_total`, `aiops_point_total`") == ["aiops_point_total"]
    assert wrong_defaults("`AIOPS_SEASONAL__MIN_DAYS` (3), `AIOPS_SEASONAL__MIN_DAYS` (5)") == ["AIOPS_SEASONAL__MIN_DAYS (5)"]
    assert wrong_exit_codes("aiops status # exit code 9\naiops status # exit code 8") == ["aiops status # exit code 8"]


def test_the_table_of_rooms_lists_their_packages() -> None:
    rows = dict(re.findall(r"^\| `(\w+)/` \| [^|]* \| ([^|]*) \|$", read(ROOT / "CONTRIBUTING.md"), re.MULTILINE))
    for room in PYTHON_ROOMS:
        packages = {path.parent.name for path in (ROOT / room).glob("*/__init__.py")}
        assert set(re.findall(r"`(\w+)`", rows[room])) == packages, room


def test_members_of_a_notification_are_those_of_the_table() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    cause = Cause("db", 0.82, True, "db ran out of connections")
    notice = Notice(
        MessageKind.PAGE,
        "inc-1",
        IncidentState.OPEN,
        Severity.CRITICAL,
        at,
        ("cart",),
        1,
        3,
        "cart",
        "http://x/open/inc-1",
        cause,
        plan=PlanInShort(
            "p1", "restart", "Restart it", ("process.restart on cart",), "starts it again", ("web",), at, "http://x/approve/1"
        ),
    )
    body = webhook_body(notice, "msg-1")
    table = read(ROOT / "docs" / "how-to" / "write-a-notifier.md").partition("| member | meaning |")[2].partition("\n\n")[0]
    rows = [row.split("|")[1:3] for row in table.splitlines()[2:]]
    assert {name for members, _ in rows for name in re.findall(r"`(\w+)`", members)} == set(body)
    meanings = {members.strip(): meaning for members, meaning in rows}
    assert re.findall(r"`(\w+)`", meanings["`root_cause`"]) == list(body["root_cause"])
    assert re.findall(r"`(\w+)`", meanings["`plan`"]) == list(body["plan"])
    assert set(re.findall(r"`(\w+)`", meanings["`event`"])) == {str(kind) for kind in MessageKind}
