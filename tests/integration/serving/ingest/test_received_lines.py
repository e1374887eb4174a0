"""Log lines from a request to the lake: forms, compression, tenants, refusals; what was accepted is there."""

import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cramjam
import httpx

from orchestration.suite.health import ask
from serving.ingest.receive.intake_rules import IN_LOOP_BYTES
from serving.lake.opening import open_lake
from serving.stream import streams
from serving.stream.archiver import ArchiveConfig, Archiver
from serving.stream.broker import open_streams
from tests.testing.deadlines import within
from tests.testing.loki_bodies import PushedEntry, push_protobuf
from tests.testing.receiver_harness import Receiver, compressed, receiver_settings


def post(receiver: Receiver, query: str, body: bytes, **headers: str) -> httpx.Response:
    sent = {name.replace("_", "-"): text for name, text in headers.items()}
    return httpx.post(f"{receiver.url}/v1/logs/lines{query}", content=body, headers=sent, timeout=within(30))


def counted(answer: httpx.Response) -> tuple[int, int]:
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    assert bool(content["message"]) == bool(content["rejected"])
    return content["accepted"], content["rejected"]


def test_lines_of_every_form_are_in_the_lake(home: Path) -> None:
    settings = receiver_settings(home)
    now = datetime.fromtimestamp(time.time(), UTC).isoformat()
    docker = f'{{"log":"a\\n","stream":"stdout","time":"{now}"}}\n'.encode()
    with Receiver(settings) as receiver:
        assert counted(post(receiver, "", b'{"msg":"a","service":"cart"}\n')) == (1, 0)
        assert counted(post(receiver, "?form=json", b'{"msg":"a"}\nnone\n')) == (1, 1)
        assert counted(post(receiver, "?form=syslog", b"<34>1 - web-1 su - - - a\nnone\n")) == (1, 1)
        assert counted(post(receiver, "?form=journald", b"MESSAGE=a\n\nMESSAGE=b\n")) == (2, 0)
        assert counted(post(receiver, "?form=cri&k8s.pod.name=p-1", f"{now} stdout F a\n".encode())) == (1, 0)
        gzipped = bytes(cramjam.gzip.compress(docker))
        assert counted(post(receiver, "?form=docker", gzipped, content_encoding="gzip")) == (1, 0)
        zstd = bytes(cramjam.zstd.compress(b"line\n" * IN_LOOP_BYTES))
        assert counted(post(receiver, "?form=text&service.name=web", zstd, content_encoding="zstd")) == (IN_LOOP_BYTES, 0)
        assert counted(post(receiver, "", b"ERROR a\n  more\n", x_scope_orgid="acme")) == (1, 0)
        assert counted(post(receiver, "", b"")) == (0, 0)
        lakes = open_lake(settings)
        Archiver(open_streams(settings), lakes.for_tenant, ArchiveConfig((0, 1))).catch_up(threading.Event())
        counts = ask(settings).counts
    mine, acme = lakes.for_tenant("default"), lakes.for_tenant("acme")
    assert [mine.count(table) for table in ("logs", "rejected")] == [7 + IN_LOOP_BYTES, 2]
    assert {row["service"] for row in mine.read("logs").to_pylist()} == {"cart", "unknown_service", "su", "p-1", "web"}
    assert [row["body"] for row in acme.read("logs").to_pylist()] == ["ERROR a\n  more"]
    assert (counts["logs_in"], counts["signals_rejected"]) == (8 + IN_LOOP_BYTES, 2)


def test_what_is_pushed_as_to_loki_is_in_the_lake(home: Path) -> None:
    settings = receiver_settings(home)
    now_ns = time.time_ns()
    body = push_protobuf({'{app="cart"}': [PushedEntry(now_ns, "a"), PushedEntry(now_ns + 1, "b")]})
    bad = {"streams": [{"stream": {"app": "cart"}, "values": [[str(now_ns), "c"], ["soon", "d"]]}]}
    with Receiver(settings) as receiver:
        url = f"{receiver.url}/loki/api/v1/push"
        kind = {"content-type": "application/x-protobuf"}
        answers = [
            httpx.post(url, content=compressed(body), headers={**kind, "x-scope-orgid": "acme"}, timeout=within(30)),
            httpx.post(url, json=bad, timeout=within(30)),
            httpx.post(url, content=body, headers=kind, timeout=within(30)),
            httpx.post(url, content=b"{", headers={"content-type": "application/json"}, timeout=within(30)),
            httpx.post(url, content=b"a", headers={"content-type": "text/plain"}, timeout=within(30)),
        ]
        lakes = open_lake(settings)
        Archiver(open_streams(settings), lakes.for_tenant, ArchiveConfig((0, 1))).catch_up(threading.Event())
    assert [answer.status_code for answer in answers] == [204, 400, 400, 400, 415]
    assert answers[0].content == b""
    assert answers[1].text.startswith("kept all but: 1 of 2 log lines refused (bad_timestamp 1)")
    assert [row["service"] for row in lakes.for_tenant("acme").read("logs").to_pylist()] == ["cart", "cart"]
    assert [row["body"] for row in lakes.for_tenant("default").read("logs").to_pylist()] == ["c"]


def test_what_cannot_be_taken_is_refused_as_a_whole(home: Path) -> None:
    settings = receiver_settings(home, max_body_bytes=2000)
    with Receiver(settings) as receiver:
        refused = [
            post(receiver, "?form=xml", b"a"),
            post(receiver, "?service=cart", b"a"),
            post(receiver, "", b"a", content_encoding="gzip"),
            post(receiver, "", b"a", content_encoding="br"),
            post(receiver, "", b"a" * 2001),
            post(receiver, "", b"a", x_scope_orgid="../x"),
            httpx.get(f"{receiver.url}/v1/logs/lines", timeout=within(30)),
        ]
        assert [answer.status_code for answer in refused] == [400, 400, 400, 415, 413, 400, 405]
        assert {answer.headers["content-type"] for answer in refused} == {"application/problem+json"}
        assert "must be one of auto, json, ecs, syslog, journald, cri, docker, text" in refused[0].json()["detail"]
        assert receiver.rows(streams.KIND_LOGS, "signals") == []
        described = httpx.get(f"{receiver.url}/docs.json", timeout=within(30)).json()
        names = [parameter["name"] for parameter in described["paths"]["/v1/logs/lines"]["post"]["parameters"]]
    assert "form" in names


def test_without_an_archiver_lines_are_refused(home: Path) -> None:
    with Receiver(receiver_settings(home), {"AIOPS_CONSUMER__ARCHIVE": "off"}) as receiver:
        answer = post(receiver, "", b"a")
    assert (answer.status_code, "AIOPS_CONSUMER__ARCHIVE is off" in answer.json()["detail"]) == (400, True)
