"""A run of messages into the receivers: intake, limits and tenants as requests have, and one commit with its position."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, Protocol

import pyarrow as pa

from aiops.errors import ContractError
from aiops.settings.topic_settings import TopicSettings
from serving.ingest.producer_sequence import EncodedEntry
from serving.ingest.receive.intake_rules import IN_LOOP_BYTES
from serving.ingest.receive.loop_sharing import in_or_beside_loop
from serving.ingest.receive.raw_batch import RawBatch
from serving.ingest.receive.receipts import Receipt
from serving.ingest.receive.receivers import Encoding, Receivers, SignalReader, now_utc
from serving.ingest.receive.signals.signal_outcome import SignalOutcome
from serving.ingest.receive.topics.message_content import OTLP_JSON, ContentReader, plain
from serving.ingest.receive.topics.topic_letters import TopicLetters, letters_entry
from serving.ingest.receive.topics.topic_messages import TopicMessage, TopicRun
from serving.ingest.receive.wire.decoded import DecodedBody
from serving.stream import streams

_FIRST_POINT: Final = 1
MOST_POINTS: Final = 1 << 18
MOST_BYTES: Final = 16 << 20
"""Points, or bytes of rows of logs and spans, with which a run ends early: small messages may be inflated to a lot of memory."""


class RunTaken(NamedTuple):
    """How many messages of a run could be read, and how many could not; together they may be fewer than the run has."""

    read: int
    unreadable: int


class RunIntake(Protocol):
    """Takes runs of one topic."""

    async def take(self, run: TopicRun) -> RunTaken:
        """Return once a run, or the beginning of it, is on the broker, its position with it.

        Raises:
            TooFast, BacklogFull, Unavailable, ProblemError: nothing of it is kept, take it again later.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Unread:
    """A message that cannot be read, and why."""

    error: ContractError


class MetricRunIntake:
    """Takes runs of a topic with metrics."""

    def __init__(self, receivers: Receivers, topic: TopicSettings, reader: ContentReader) -> None:
        self._receivers = receivers
        self._topic = topic
        self._reader = reader
        self._letters = TopicLetters(topic.topic)
        self._protocol = f"kafka_{topic.encoding}"

    async def take(self, run: TopicRun) -> RunTaken:
        """Take a run; a tenant that is out of points waits, and is then as much over its limit as one run holds."""
        self._receivers.hold_back()
        self._receivers.hold_to_budget(self._topic.tenant, _FIRST_POINT)
        await self._reader.prepare(run.messages)
        now, limit = now_utc(), self._receivers.limits_of(self._topic.tenant)
        contents = await in_or_beside_loop(_is_large(run), lambda: self._contents(run, limit))
        run = run.first(len(contents))
        bodies = [content for content in contents if isinstance(content, DecodedBody)]
        unread = [content.error for content in contents if isinstance(content, _Unread)]
        receipts, batch = await self._receivers.gather(self._topic.tenant, bodies)
        batch.advances.append(run.advance)
        batch.signals += letters_entry(self._topic.tenant, self._dead_letters(run, contents, receipts, now))
        await self._receivers.commit(batch)
        for error in unread:
            self._receivers.malformed(self._topic.tenant, self._protocol, error)
        for receipt, body in zip(receipts, bodies, strict=True):
            self._receivers.took(self._topic.tenant, self._protocol, receipt, _points(body))
        return RunTaken(len(bodies), len(unread))

    def _dead_letters(
        self, run: TopicRun, contents: "Sequence[DecodedBody | _Unread]", receipts: Sequence[Receipt], now: datetime
    ) -> list[pa.RecordBatch]:
        letters: list[pa.RecordBatch] = []
        receipt_of = iter(receipts)
        for message, content in zip(run.messages, contents, strict=True):
            if isinstance(content, _Unread):
                letters.append(self._letters.unreadable(message, content.error, now))
            else:
                letters += self._letters.refused(message, next(receipt_of), now)
        return letters

    def _contents(self, run: TopicRun, limit: int) -> list[DecodedBody | _Unread]:
        contents: list[DecodedBody | _Unread] = []
        points = 0
        for message in run.messages:
            contents.append(self._content(message, limit))
            points += _points(contents[-1])
            if points >= MOST_POINTS:
                break
        return contents

    def _content(self, message: TopicMessage, limit: int) -> DecodedBody | _Unread:
        try:
            return self._reader.read(message, limit)
        except ContractError as error:
            return _Unread(error)


class SignalRunIntake:
    """Takes runs of a topic with logs or spans."""

    def __init__(self, receivers: Receivers, topic: TopicSettings, reader: SignalReader) -> None:
        self._receivers = receivers
        self._topic = topic
        self._reader = reader
        self._form: Encoding = "json" if topic.encoding == OTLP_JSON else "protobuf"
        self._letters = TopicLetters(topic.topic)

    async def take(self, run: TopicRun) -> RunTaken:
        """Take a run."""
        self._receivers.hold_back()
        self._receivers.hold_to_budget(self._topic.tenant, _FIRST_POINT)
        results = await in_or_beside_loop(_is_large(run), lambda: self._read_all(run.messages))
        run = run.first(len(results))
        batch, now = RawBatch(advances=[run.advance]), now_utc()
        read = [result for result in results if isinstance(result, SignalOutcome)]
        unread = [result.error for result in results if isinstance(result, _Unread)]
        letters: list[pa.RecordBatch] = []
        for message, result in zip(run.messages, results, strict=True):
            if isinstance(result, _Unread):
                masks = self._receivers.signal_intake().masks
                letters.append(self._letters.unreadable(message, result.error, now, masks))
                continue
            for entry in result.entries:
                if entry.kind == streams.KIND_REFUSED:
                    letters.append(self._letters.placed(message, streams.single_batch(streams.from_ipc(entry.payload))))
                else:
                    batch.signals.append(EncodedEntry(self._topic.tenant, entry.kind, entry.payload))
        batch.signals += letters_entry(self._topic.tenant, letters)
        await self._receivers.commit(batch)
        for error in unread:
            self._receivers.malformed(self._topic.tenant, f"kafka_{self._topic.signal}", error)
        for outcome in read:
            self._receivers.metrics.took_records(self._topic.signal, outcome)
        return RunTaken(len(read), len(unread))

    def _read_all(self, messages: Sequence[TopicMessage]) -> list[SignalOutcome | _Unread]:
        limit = self._receivers.limits_of(self._topic.tenant)
        results: list[SignalOutcome | _Unread] = []
        size = 0
        for message in messages:
            result = self._read(message, limit)
            results.append(result)
            size += sum(len(entry.payload) for entry in result.entries) if isinstance(result, SignalOutcome) else 0
            if size >= MOST_BYTES:
                break
        return results

    def _read(self, message: TopicMessage, limit: int) -> SignalOutcome | _Unread:
        try:
            return self._reader(plain(message, limit), self._form, self._receivers.signal_intake())
        except ContractError as error:
            return _Unread(error)


def _is_large(run: TopicRun) -> bool:
    return sum(len(message.content) for message in run.messages) > IN_LOOP_BYTES


def _points(content: DecodedBody | _Unread) -> int:
    return len(content.points) + len(content.histograms) if isinstance(content, DecodedBody) else 0
