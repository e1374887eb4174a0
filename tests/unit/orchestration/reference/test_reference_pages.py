"""The pages of docs/ that are made from the code say what the code says now, and leave nothing out."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from data_contracts.schemas.feature_views import VIEWS
from orchestration.cli import app
from orchestration.reference.call_page import PROTO
from orchestration.reference.command_page import TYPICAL, commands_page, walk
from orchestration.reference.inert import incident_api_description
from orchestration.reference.pages import reference_pages, rewrite
from orchestration.reference.schema_page import schemas_page
from orchestration.reference.setting_page import settings_page, variables
from serving.scoring.http_api.scoring_openapi import openapi

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return reference_pages(ROOT)


def test_pages_are_what_the_code_says_now(pages: dict[str, str]) -> None:
    old = [name for name, page in pages.items() if (ROOT / "docs" / name).read_text(encoding="utf-8") != page]
    assert old == [], "run `make docs`"


def test_no_page_is_left_of_what_is_no_longer_made(pages: dict[str, str]) -> None:
    there = {f"reference/{path.name}" for path in (ROOT / "docs" / "reference").iterdir()}
    assert there == {name for name in pages if name.startswith("reference/")} | {"reference/index.md"}


def test_a_page_that_differs_is_rewritten_and_no_other(tmp_path: Path) -> None:
    records = tmp_path / "infra" / "adr"
    records.mkdir(parents=True)
    (records / "0001-first.md").write_text("# 0001 First\n\nStatus: accepted\n", encoding="utf-8")
    everything = rewrite(tmp_path)
    assert "reference/commands.md" in everything
    (tmp_path / "docs" / "reference" / "commands.md").write_text("old", encoding="utf-8")
    assert rewrite(tmp_path) == ["reference/commands.md"]
    assert rewrite(tmp_path) == []


def test_every_setting_is_described() -> None:
    rows = re.findall(r"^\| `((?:AIOPS|MLFLOW)_\w+)` \| [^|]*\| (.*) \|$", settings_page(), re.MULTILINE)
    assert {name for name, _ in rows} == variables()
    assert len(rows) > 40
    assert all(re.match(r"\w", meaning) for _, meaning in rows)


def test_secrets_are_marked() -> None:
    (row,) = re.findall(r"^\| `AIOPS_SERVING__JWT_KEY`.*$", settings_page(), re.MULTILINE)
    assert row.endswith("(secret) |")


def test_every_column_of_every_table_has_a_meaning() -> None:
    page = schemas_page().partition("## Feature views")[0]
    assert all(f"\n## {view.table_name}\n" in page for view in VIEWS)
    rows = re.findall(r"^\| `\w+` \|.*$", page, re.MULTILINE)
    assert len(rows) > 200
    assert [row for row in rows if row.endswith("|  |")] == []
    assert re.findall(r"^## (\w+)\n\nVersion \d+\.\n", page, re.MULTILINE) == [], "tables of which their module says nothing"


def test_every_call_that_a_service_publishes_is_listed(pages: dict[str, str]) -> None:
    documents = {
        "reference/http-scoring.md": openapi(),
        "reference/http-incidents.md": incident_api_description(),
    }
    for name, document in documents.items():
        calls = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
        assert set(re.findall(r"^## ([A-Z]+ /.*)$", pages[name], re.MULTILINE)) == calls
        assert set(re.findall(r"^### (\w+)$", pages[name], re.MULTILINE)) == set(document["components"]["schemas"])


def undescribed(schema: Any, place: str) -> Iterator[str]:
    """Yield each field without a description, of objects within objects too."""
    if isinstance(schema, list):
        for part in schema:
            yield from undescribed(part, place)
    if not isinstance(schema, dict):
        return
    fields = schema.get("properties", {})
    for name, field in fields.items():
        if not re.match(r"\S", field.get("description", "")):
            yield f"{place}.{name}"
        yield from undescribed(field, f"{place}.{name}")
    for name, part in schema.items():
        if name not in {"properties", "example", "examples", "default"}:
            yield from undescribed(part, place if fields else f"{place}/{name}")


def test_every_field_of_every_body_has_a_meaning(pages: dict[str, str]) -> None:
    for document in (openapi(), incident_api_description()):
        assert len(document["components"]["schemas"]) > 8
        assert list(undescribed(document["components"], "")) == []
        assert list(undescribed(document["paths"], "")) == []
    rows = [row for name in ("http", "http-incidents", "http-scoring") for row in _bodies(pages[f"reference/{name}.md"])]
    assert len(rows) > 250
    assert [row for row in rows if row.endswith("|  |")] == []


def _bodies(page: str) -> list[str]:
    return re.findall(r"^\| `[\w.\[\]]+` \| .*$", page, re.MULTILINE)


def test_a_field_without_a_meaning_is_noticed() -> None:
    within = {"type": "array", "description": "points", "items": {"type": "object", "properties": {"at": {"type": "string"}}}}
    assert list(undescribed({"Body": {"properties": {"rows": within, "by": {"type": "string"}}}}, "")) == [
        "/Body.rows/items.at",
        "/Body.by",
    ]


def test_every_call_of_the_proto_is_listed(pages: dict[str, str]) -> None:
    calls = re.findall(r"rpc (\w+)", PROTO.read_text(encoding="utf-8"))
    assert re.findall(r"^\| `(\w+)` \| `", pages["reference/grpc.md"], re.MULTILINE) == calls
    assert len(calls) >= 5


def test_every_metric_that_the_code_names_is_listed(pages: dict[str, str]) -> None:
    """Names are looked for in the source, so that a family in a registry that the page does not know is missed here."""
    made = re.compile(r'(?:Counter|Gauge|Histogram|CounterMetricFamily|GaugeMetricFamily)\(\s*"(aiops_\w+)"')
    of_answers = re.compile(r'AnswerMetrics\([^,)]+,\s*"(aiops_\w+)"')
    rooms = (path for room in ("aiops", "models", "serving", "orchestration") for path in (ROOT / room).rglob("*.py"))
    texts = [path.read_text(encoding="utf-8") for path in rooms]
    named = {name.removesuffix("_total") for text in texts for name in made.findall(text)}
    named |= {f"{prefix}_{part}" for text in texts for prefix in of_answers.findall(text) for part in ("requests", "seconds")}
    listed = re.findall(r"^\| `(aiops_\w+)` \| (\w+) \|", pages["reference/metrics.md"], re.MULTILINE)
    assert {name.removesuffix("_total") for name, _ in listed} == named
    assert len(named) > 60
    assert all(name.endswith("_total") == (kind == "counter") for name, kind in listed)


def test_labels_of_metrics_are_listed(pages: dict[str, str]) -> None:
    page = pages["reference/metrics.md"]
    assert "| `aiops_notifications_total` | counter | `tenant`, `channel`, `outcome` |" in page
    assert "| `aiops_scoring_seconds` | histogram | `tier` |" in page


def test_every_exit_code_has_a_command_and_its_causes_as_a_list() -> None:
    codes = commands_page().partition("## Exit codes")[2]
    parts = re.findall(r"^- \*\*(\d+)\*\*, for example `(aiops [^`]+)`:\n((?:  - .+\n)+)", codes, re.MULTILINE)
    assert [int(number) for number, _, _ in parts] == sorted(TYPICAL)
    commands = {name for name, _ in walk(get_command(app), "aiops")}
    assert all(any(f"{command} ".startswith(f"{name} ") for name in commands) for _, command, _ in parts)
    assert {number: command for number, command, _ in parts}["9"] == "aiops status"
    assert {number: len(causes.splitlines()) for number, _, causes in parts}["6"] == 4


def test_usage_lines_say_what_may_be_left_out_and_what_may_be_several() -> None:
    page = commands_page()
    assert "Usage: `aiops init [FOLDER]`" in page
    assert "Usage: `aiops rejected redrive [REJECT_ID…]`" in page
    assert "Usage: `aiops incidents silence add NAME MATCHERS…`" in page
    assert "Usage: `aiops incidents show INCIDENT`" in page
