"""Dead letters of topics: a message, or a part of it, that was refused, with topic, partition, offset, reason, rule and fix."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import pyarrow as pa

from data_contracts.telemetry.rejects import Refusal, rejected_batch, rejected_payload
from data_contracts.values.masking import NOTHING_MASKED, Masks
from serving.ingest.producer_sequence import EncodedEntry
from serving.ingest.receive import receipts
from serving.ingest.receive.receipts import Receipt
from serving.ingest.receive.topics.topic_messages import TopicMessage
from serving.stream import streams

_REASONS: Final[Mapping[int, str]] = {
    receipts.SERIES_CAP: "too_many_series",
    receipts.OLD_TIME: "bad_timestamp",
    receipts.FUTURE_TIME: "future_timestamp",
    receipts.BAD_NAME: "name",
    receipts.TOO_MANY_LABELS: "name",
    receipts.LABEL_TOO_LONG: "name",
}
"""Reasons of dead letters by those of receipts; rules of the wire format are the rest."""
_FIELDS: Final = {"bad_timestamp": "timestamp", "future_timestamp": "timestamp", "undecodable": "series"}
_MOST_DETAIL: Final = 1000


class TopicLetters:
    """Dead letters of one topic; `source` names it."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._source = f"kafka/{topic}"

    def unreadable(self, message: TopicMessage, error: Exception, now: datetime, masks: Masks = NOTHING_MASKED) -> pa.RecordBatch:
        """Return a message of which nothing can be read, one row; what stands in it as text is masked."""
        return rejected_payload(_masked(message.content, masks), masks.text(str(error)), now, self._source, self._place(message))

    def refused(self, message: TopicMessage, receipt: Receipt, now: datetime) -> Iterator[pa.RecordBatch]:
        """Yield what was refused of a message: one row a reason, with how much it was and the first of it."""
        place = self._place(message)
        rows, refusals = [], []
        for refusal in receipt.refusals.values():
            reason = _REASONS.get(refusal.reason, "undecodable")
            counts = {"points": refusal.points, "histograms": refusal.histograms, "exemplars": refusal.exemplars}
            rows.append(json.dumps({"entry": place, "rule": receipts.REASONS[refusal.reason], **counts}))
            text = f"message {place}: {refusal.text()}"
            refusals.append(Refusal(reason, _FIELDS.get(reason, "labels"), text[:_MOST_DETAIL]))
        if rows:
            yield rejected_batch(rows, refusals, now, self._source)

    def placed(self, message: TopicMessage, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return refused logs or spans with the message that they came in as their source."""
        at = rows.schema.get_field_index("source")
        source = pa.array([self._source_of(message)] * rows.num_rows, rows.schema.field(at).type)
        return rows.set_column(at, rows.schema.field(at), source)

    def _source_of(self, message: TopicMessage) -> str:
        return f"kafka/{self._place(message)}"

    def _place(self, message: TopicMessage) -> str:
        return f"{self._topic}/{message.partition}/{message.offset}"


def letters_entry(tenant: str, letters: Sequence[pa.RecordBatch]) -> list[EncodedEntry]:
    """Return dead letters of a run as one entry, none where there are none."""
    if not letters:
        return []
    return [EncodedEntry(tenant, streams.KIND_REFUSED, streams.to_ipc(pa.Table.from_batches(letters)))]


def _masked(content: bytes, masks: Masks) -> bytes:
    """Return bytes with the secrets in them masked as text; where they are no UTF-8 each byte is a character, and stays."""
    try:
        return masks.text(content.decode()).encode()
    except UnicodeDecodeError:
        return masks.text(content.decode("latin-1")).encode("latin-1", "backslashreplace")
