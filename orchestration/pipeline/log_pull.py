"""Log lines of a Loki into the lake, read and masked as received ones are; the next pull goes on where the last one ended."""

import hashlib
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from aiops.errors import StateError
from aiops.normalise.service_labels import ServiceRules
from aiops.settings.setting_parts import setting_parts
from data_contracts.values.moments import moment_of_us
from orchestration.workspace.workspace import Workspace
from serving.host.atomic_file import write_atomically
from serving.ingest.pull.loki_http import LokiPage
from serving.ingest.pull.loki_range import LokiClient, LokiPart, parts_of
from serving.ingest.receive.signals.lines.loki_push import accept_loki_results
from serving.ingest.receive.signals.signal_outcome import SignalIntake
from serving.stream import streams

PART_LINES: Final = 20_000
"""Lines that are read and written at a time: some 20 MB."""
_TABLES: Final = {streams.KIND_LOGS: "logs", streams.KIND_REFUSED: "rejected"}


@dataclass(frozen=True, slots=True)
class PulledLogs:
    """What one pull did. Lines of one record are one: records = stored + already_there + rejected.

    `crowded`: moments with more lines than a page holds, of which some are missing. `through`: until when all lines were read.
    """

    lines: int
    stored: int
    already_there: int
    rejected: int
    crowded: int
    through: datetime
    seconds: float

    @property
    def sum(self) -> str:
        """Return the account in words."""
        parts = f"stored {self.stored:,} + already there {self.already_there:,} + rejected {self.rejected:,}"
        return f"{self.lines:,} lines, {self.stored + self.already_there + self.rejected:,} records = {parts}"


class PullMark:
    """Until when lines of one query of one Loki were stored, in a file of the workspace."""

    def __init__(self, workspace: Workspace, source: str) -> None:
        self._folder = workspace.settings.root / "log-pulls" / workspace.tenant
        self._file: Path = self._folder / f"{hashlib.sha256(source.encode()).hexdigest()[:24]}.json"
        self._source = source

    def through_ns(self) -> int | None:
        """Return the moment, None where nothing was pulled yet.

        Raises:
            StateError: the file is damaged.
        """
        if not self._file.exists():
            return None
        try:
            return int(json.loads(self._file.read_text(encoding="utf-8"))["through_ns"])
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(f"{self._file}: is damaged ({error!r}); remove it and pull with --start") from error

    def set(self, through_ns: int) -> None:
        """Keep the moment; durable when this returns."""
        content = json.dumps({"source": self._source, "through_ns": through_ns}).encode()

        def write(file: BinaryIO) -> None:
            file.write(content)

        staging = self._folder / ".staging"
        staging.mkdir(parents=True, exist_ok=True)
        write_atomically(staging, self._file, write)


def pull_logs(workspace: Workspace, client: LokiClient, wanted: LokiPage, mark: PullMark) -> PulledLogs:
    """Store the lines of a range, part by part; a part that was stored before a failure counts once when it is pulled again.

    Raises:
        SourceError: the server refused or failed on every try; what came before is stored, and the mark says until when.
    """
    began = time.monotonic()
    lines = stored = present = rejected = crowded = 0
    through_ns = wanted.start_ns
    for part in parts_of(client, wanted, PART_LINES):
        counts = _stored(workspace, part, datetime.now(UTC))
        lines, crowded = lines + part.lines, crowded + part.crowded
        stored, present, rejected = stored + counts[0], present + counts[1], rejected + counts[2]
        through_ns = part.through_ns
        mark.set(through_ns)
    through = moment_of_us(through_ns // 1000)
    return PulledLogs(lines, stored, present, rejected, crowded, through, time.monotonic() - began)


def _stored(workspace: Workspace, part: LokiPart, now: datetime) -> tuple[int, int, int]:
    """Write a part; return records that are new, that were there already, and that are refused."""
    ingest = workspace.settings.ingest
    rules = ServiceRules(setting_parts(ingest.service_labels), setting_parts(ingest.host_metrics))
    intake = SignalIntake(now, rules, masks=ingest.masks)
    outcome = accept_loki_results([(result.labels, result.values) for result in part.results], intake)
    stored = present = 0
    for entry in outcome.entries:
        added = workspace.lake.add(_TABLES[entry.kind], streams.from_ipc(entry.payload))
        if entry.kind == streams.KIND_LOGS:
            stored, present = stored + added.stored, present + added.present
    return stored, present, outcome.rejected
