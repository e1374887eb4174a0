"""The programs of the how-to pages are run as they stand on the page, through the project's own suites."""

import importlib
import io
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import numpy as np
import pytest

from aiops.errors import FileError
from aiops.incidents.alert import Severity
from aiops.incidents.incident import IncidentState
from aiops.settings.tree import Settings
from models.artifacts.catalog import CATALOG, ModelDescriptor
from serving.http.signature import signed_headers
from serving.incidents.intake.alert_sources import read_alert_sources
from serving.incidents.intake.alertmanager import alerts_of
from serving.incidents.notify.delivery import Outcome, Poster
from serving.incidents.notify.notice import Cause, Notice, plain_notice
from serving.incidents.notify.routes import read_routes
from serving.incidents.notify.webhook_channel import WebhookChannel
from serving.incidents.store.records import MessageKind, OutboxMessage
from serving.stream.broker import EmbeddedBroker
from serving.stream.streams import telemetry
from tests.conformance.detector_suite import check_detector, check_persistence
from tests.conformance.source_suite import check_source
from tests.testing.documentation import ROOT
from tests.testing.local_server import served_by, serving_on
from tests.testing.point_batches import regular

PAGES = ROOT / "docs" / "how-to"
BLOCK = r"^```\{{code-block\}} python\n:name: {}\n(.*?)^```$"
PROGRAMS = {
    "median-band": "write-a-detector.md",
    "graphite-lines": "write-a-source.md",
    "notification-receiver": "write-a-notifier.md",
    "chat-channel": "write-a-notifier.md",
    "live-feed": "your-files.md",
}
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "a secret of the webhook"
CAUSE = Cause("db", 0.82, True, "db ran out of connections")
NOTICE = Notice(
    MessageKind.PAGE, "inc-1", IncidentState.OPEN, Severity.CRITICAL, AT, ("cart",), 1, 3, "critical: cart", "http://x/open/inc-1"
)

Program = Callable[[str], ModuleType]


def program_text(name: str) -> str:
    page = (PAGES / PROGRAMS[name]).read_text(encoding="utf-8")
    blocks = re.findall(BLOCK.format(name), page, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 1, f"{PROGRAMS[name]} has {len(blocks)} programs called {name}"
    return str(blocks[0])


def saved(name: str, folder: Path) -> Path:
    """Write a program of a page under the name by which the page calls it."""
    path = folder / f"{name.replace('-', '_')}.py"
    path.write_text(program_text(name), encoding="utf-8")
    return path


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Import a program of a page, for this test only."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def imported(name: str) -> ModuleType:
        module = saved(name, tmp_path).stem
        monkeypatch.delitem(sys.modules, module, raising=False)
        return importlib.import_module(module)

    return imported


def test_every_named_program_of_the_pages_is_run_here() -> None:
    named = {
        name
        for page in PAGES.glob("*.md")
        for name in re.findall(r"^:name: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named == set(PROGRAMS)


def test_the_detector_conforms(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = program("median-band")
    monkeypatch.setitem(CATALOG, module.NAME, ModelDescriptor(module.NAME, "median_band:MedianBand", backtest="median_band:fit"))
    check_detector(module.MedianBand())
    check_detector(module.MedianBand(level=9.0))
    check_persistence(module.MedianBand(level=9.0), tmp_path / "stored", regular(160).batch())


def test_a_detector_that_looks_ahead_would_be_caught(program: Program) -> None:
    """The control: the suite can fail on what the page shows."""
    module = program("median-band")

    class Ahead(module.MedianBand):  # type: ignore[name-defined, misc]
        def score(self, batch: Any) -> Any:
            return super().score(batch) * np.nanmax(super().score(batch), initial=0.5)

    with pytest.raises(AssertionError):
        check_detector(Ahead())


def test_the_detector_is_backtested_as_the_page_says(tmp_path: Path) -> None:
    script = saved("median-band", tmp_path)
    words = ["--source", "simulate", "--set", "hours=48", "--set", "services=3", "--detector", "median-band", "--json"]
    done = subprocess.run([sys.executable, script, "backtest", *words], cwd=tmp_path, capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout)
    assert figures["rules"][0]["rule"] == "median-band"
    assert figures["unknown_share"] < 0.05


def graphite_file(folder: Path) -> Path:
    draw = random.Random(3)
    lines = [
        f"{service}.{metric} {draw.random():.3f} {1_767_225_600 + 60 * minute}"
        for minute in range(300)
        for service in ("checkout", "eu.web")
        for metric in ("cpu_utilization", "error_rate")
    ]
    lines[70] = lines[70].replace(lines[70].split()[1], "n/a")
    draw.shuffle(lines)
    path = folder / "metrics.txt"
    path.write_text("\n".join([*lines, "", lines[0]]), encoding="utf-8")
    return path


def test_the_source_conforms(program: Program, tmp_path: Path) -> None:
    module = program("graphite-lines")
    assert check_source(module.GraphiteLines(graphite_file(tmp_path), 0.6)) == 1201
    (tmp_path / "odd.txt").write_text("no Graphite line at all\n", encoding="utf-8")
    with pytest.raises(FileError, match=r"odd\.txt, line 1: .* is no Graphite line"):
        list(module.GraphiteLines(tmp_path / "odd.txt", 0.6).batches())


def test_a_source_that_drops_a_row_would_be_caught(program: Program, tmp_path: Path) -> None:
    """The control: a window that leaves a row out fails the suite."""
    module = program("graphite-lines")

    class Careless(module.GraphiteLines):  # type: ignore[name-defined, misc]
        def batches(self, start: datetime | None = None, end: datetime | None = None) -> Any:
            for chunk in super().batches(start, end):
                yield chunk.slice(0 if start is None else 1)

    with pytest.raises(AssertionError):
        check_source(Careless(graphite_file(tmp_path), 0.6))


def test_the_source_is_ingested_as_the_page_says(tmp_path: Path) -> None:
    script, path = saved("graphite-lines", tmp_path), graphite_file(tmp_path)
    command = [sys.executable, script, "ingest", "--source", "graphite", "--path", path, "--json"]
    own = {"AIOPS_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout)
    assert (figures["read"], figures["stored"], figures["already_there"], figures["rejected"]) == (1201, 1199, 1, 1)


def message(notice: Notice = NOTICE, number: str = "msg-1") -> OutboxMessage:
    return OutboxMessage(number, "webhook", notice.incident_id, notice.kind, notice.incident_id, plain_notice(notice), AT)


@dataclass
class Deliveries:
    """Takes notifications; fails as often as it is told to."""

    failures: int = 0
    notices: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, notice: dict[str, Any]) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the mail server does not answer")
        self.notices.append(notice)


def test_the_receiver_takes_each_notification_once(
    program: Program, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module, deliveries = program("notification-receiver"), Deliveries(failures=1)
    with serving_on(module.server(0, SECRET, deliveries)) as url:
        channel = WebhookChannel("webhook", Poster("responder.webhook_url", url), SECRET, lambda: datetime.now(UTC))
        outcomes = [channel.deliver(message(number=number)).outcome for number in ("msg-1", "msg-1", "msg-1", "msg-2")]
        channel.close()
    assert outcomes == [Outcome.RETRY, Outcome.DELIVERED, Outcome.DELIVERED, Outcome.DELIVERED]
    assert [notice["message_id"] for notice in deliveries.notices] == ["msg-1", "msg-2"]
    module.print_notice({**deliveries.notices[0], "root_cause": {"service": "db", "probability": 0.82, "decided": True}})
    assert capsys.readouterr().out == "PAGE inc-1: critical: cart; root cause db (82%) http://x/open/inc-1\n"


def test_the_receiver_refuses_what_nobody_signed(program: Program) -> None:
    module, deliveries = program("notification-receiver"), Deliveries()
    now, body = datetime.now(UTC), b'{"message_id": "msg-1"}'
    signed = signed_headers(SECRET, body, now)
    refused = [
        ({}, body),
        (signed_headers("another secret of a webhook", body, now), body),
        (signed, b'{"message_id": "msg-2"}'),
        (signed_headers(SECRET, body, datetime.fromtimestamp(time.time() - 301, UTC)), body),
        ({**signed, "x-aiops-timestamp": "soon"}, body),
    ]
    with serving_on(module.server(0, SECRET, deliveries)) as url:
        answers = [httpx.post(url, content=sent, headers=headers).status_code for headers, sent in refused]
        accepted = httpx.post(url, content=body, headers=signed).status_code
        too_large = httpx.post(url, content=b"x" * (module.MOST_BYTES + 1), headers=signed).status_code
    assert (answers, accepted, too_large) == ([401] * 5, 204, 413)
    assert len(deliveries.notices) == 1


def test_the_channel_posts_text_that_mentions_nobody(program: Program) -> None:
    module, posted = program("chat-channel"), io.BytesIO()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.write(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

    with served_by(Handler) as url:
        channel = module.ChatChannel(Poster("responder.chat_url", url))
        notice = Notice(
            MessageKind.PAGE,
            "inc-1",
            IncidentState.OPEN,
            Severity.CRITICAL,
            AT,
            (),
            0,
            1,
            "down: @all",
            "http://x/open/inc-1",
            CAUSE,
        )
        assert channel.deliver(message(notice)).outcome is Outcome.DELIVERED
        channel.close()
    text = json.loads(posted.getvalue())["text"]
    assert text.startswith("🔔 inc-1: down: ")
    assert "@all" not in text
    assert text.endswith("\nhttp://x/open/inc-1")


def test_the_live_feed_publishes_a_batch_once(program: Program, home: Path, free_port: int) -> None:
    module = program("live-feed")
    settings = Settings(home=home, broker={"port": free_port, "partitions": 1})  # type: ignore[arg-type]
    broker = EmbeddedBroker(settings)
    broker.start()
    try:
        producer = module.producer_of(settings, "my-application")
        number = producer.unused()
        points = module.rows([("checkout", "cpu_utilization", 0.42)], AT)
        assert [producer.publish(points, number), producer.publish(points, number)] == [1, 0]
        assert module.producer_of(settings, "my-application").unused() == number + 1
        from serving.stream.broker import connect

        assert connect(settings).xlen(telemetry(0)) == 1
    finally:
        broker.stop()


def only_block(page: str, language: str, beginning: str) -> str:
    """Return the one block of a page in a language that begins so."""
    text = (PAGES / page).read_text(encoding="utf-8")
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    (block,) = [block for block in blocks if block.startswith(beginning)]
    return str(block)


def test_the_mapping_file_and_the_routes_are_accepted(tmp_path: Path) -> None:
    mapping, routes = tmp_path / "sources.toml", tmp_path / "routes.toml"
    mapping.write_text(only_block("your-alertmanager.md", "toml", "[alertmanager]"), encoding="utf-8")
    routes.write_text(only_block("on-call.md", "toml", "# notification_routes"), encoding="utf-8")
    source = read_alert_sources(mapping).sources["shop"]
    assert (source.signed, source.tenant) == (True, "acme")
    assert read_routes(routes)["acme"].slack_url is not None


def test_the_alert_that_is_sent_by_hand_is_taken() -> None:
    sent = only_block("your-alertmanager.md", "sh", "curl -s http://127.0.0.1:3103/alerts/alertmanager")
    body = re.sub(r"'\$\(date [^)]*\)'", "2026-03-01T12:00:00Z", sent).partition(" -d '")[2].rstrip().removesuffix("'")
    received = alerts_of(body.encode(), AT)
    assert [(alert.service, alert.name, alert.severity) for alert in received.alerts] == [
        ("checkout", "HighLatency", Severity.CRITICAL)
    ]
    assert received.refused == ()
