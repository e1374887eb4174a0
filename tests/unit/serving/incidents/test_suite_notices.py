"""Notices of the suite's own processes become alerts, once each, and end them; what is critical goes out at once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from aiops.incidents.alert import Alert, Severity
from aiops.incidents.incident import IncidentState
from aiops.settings.responder_settings import ResponderSettings
from aiops.topology.graph import ServiceGraph
from data_contracts.schemas.notice_schemas import NOTICES, SEVERITIES
from serving.incidents.desk.desk import Desk
from serving.incidents.desk.desk_transaction import Audience
from serving.incidents.desk.detection_alerts import AlertRules
from serving.incidents.desk.stream_inputs import MOST_ENTRIES, StreamInputs
from serving.incidents.intake.received_alerts import severity_of
from serving.incidents.intake.suite_notices import alerts_of_notices
from serving.stream import streams
from serving.stream.notices import Notice, notice_rows
from tests.testing.empty_store import empty_store
from tests.testing.stream_rows import START, detections

SINCE = datetime(2026, 3, 2, 8, tzinfo=UTC)
SILENT = Notice(
    "default",
    "cart",
    "source is silent",
    "cart sends nothing any more",
    SINCE + timedelta(minutes=5),
    SINCE,
    severity="critical",
)
OVER = replace(SILENT, noticed_at=SINCE + timedelta(minutes=9), ends_at=SINCE + timedelta(minutes=9))


def entry(number: int, *notices: Notice, tenant: str = "default") -> streams.Entry:
    payload = streams.to_ipc(notice_rows(notices))
    return streams.Entry(f"{number}-0", streams.KIND_NOTICES, payload, 0, 0, tenant)


class FewStreams:
    """Streams with what they were given."""

    def __init__(self, **entries: list[streams.Entry]) -> None:
        self._entries = {getattr(streams, name): held for name, held in entries.items()}

    def read(self, after: dict[str, str], count: int, block_ms: int) -> dict[str, list[streams.Entry]]:
        return {name: held[:count] for name, held in self._entries.items()}

    def last_id(self, stream: str) -> str:
        return streams.START

    def trimmed_id(self, stream: str) -> str:
        return streams.START


def without_score(alert: Alert) -> Alert:
    """Return the alert with numbers that compare: a notice has none, and NaN equals nothing."""
    assert np.isnan([alert.value, alert.z, alert.score]).all()
    return replace(alert, value=0.0, z=0.0, score=0.0)


def test_a_notice_is_an_alert_with_its_words_and_the_same_one_again_is_the_same_alert() -> None:
    begun, ended = alerts_of_notices(notice_rows([SILENT, OVER]))
    assert (begun.service, begun.name, begun.severity, begun.starts_at) == ("cart", "source is silent", Severity.CRITICAL, SINCE)
    assert begun.labels["summary"] == "cart sends nothing any more"
    assert begun.until_ended
    assert begun.ends_at is None
    assert (ended.fingerprint, ended.instance, ended.ends_at) == (begun.fingerprint, begun.instance, OVER.ends_at)
    assert without_score(alerts_of_notices(notice_rows([SILENT]))[0]) == without_score(begun)
    later = replace(SILENT, noticed_at=SILENT.noticed_at + timedelta(hours=4))
    assert alerts_of_notices(notice_rows([later]))[0].alert_id != begun.alert_id, "said again hours later, it is a repetition"


def test_what_differs_in_its_subject_is_another_alert() -> None:
    of_a, of_b = alerts_of_notices(notice_rows([replace(SILENT, subject="a"), replace(SILENT, subject="b")]))
    assert of_a.fingerprint != of_b.fingerprint


def test_every_severity_of_the_schema_has_a_meaning() -> None:
    assert [severity_of(word) for word in SEVERITIES] == [Severity.INFO, Severity.WARNING, Severity.CRITICAL]
    assert notice_rows([]).schema == NOTICES


def test_the_desk_reads_notices_of_its_tenant_beside_detections_and_takes_no_time_from_them() -> None:
    held = [entry(1, SILENT), entry(2, SILENT, tenant="acme"), entry(3, OVER)]
    broker = FewStreams(NOTICES=held, DETECTIONS=[streams.Entry("7-0", b"", streams.to_ipc(detections({})), 0, 0)])
    batch = StreamInputs(broker).read({}, AlertRules())
    assert sorted(alert.source for alert in batch.alerts) == ["aiops", "aiops", "detections"]
    assert batch.offsets == {streams.NOTICES: "3-0", streams.DETECTIONS: "7-0"}
    assert batch.newest == START, "of the detections alone"


def test_many_notices_hold_up_no_detection() -> None:
    held = [entry(number, SILENT) for number in range(1, 2 * MOST_ENTRIES)]
    broker = FewStreams(NOTICES=held, DETECTIONS=[streams.Entry("7-0", b"", streams.to_ipc(detections({})), 0, 0)])
    batch = StreamInputs(broker).read({}, AlertRules())
    assert batch.more
    assert batch.offsets[streams.DETECTIONS] == "7-0"


def test_a_critical_notice_pages_at_once_and_its_end_resolves_the_incident(tmp_path: Path) -> None:
    with empty_store(tmp_path) as store:
        settings = ResponderSettings(settle_s=1.0, page_settle_s=1.0)
        desk = Desk(store, settings, ServiceGraph.from_pairs([]), Audience(("pager",), "http://here"))
        now = SILENT.noticed_at
        desk.take(alerts_of_notices(notice_rows([SILENT])), {streams.NOTICES: "1-0"}, now)
        desk.take(alerts_of_notices(notice_rows([SILENT])), {streams.NOTICES: "1-0"}, now)
        desk.tick(now + timedelta(seconds=5))
        (incident,) = desk.open_incidents()
        assert incident.services == ("cart",)
        assert len(store.pending_messages("pager", 10)) == 1
        over = OVER.noticed_at
        desk.take(alerts_of_notices(notice_rows([OVER])), {streams.NOTICES: "2-0"}, over)
        desk.tick(over + timedelta(seconds=5))
        assert [open_incident.state for open_incident in desk.open_incidents()] == [IncidentState.MITIGATED]
        assert store.counts()["alerts"] == 2
