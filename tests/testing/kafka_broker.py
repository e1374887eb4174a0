"""A Kafka-compatible broker for tests: a program of another project (`.ci/peers` fetches it); without it the test is skipped.

It is young software, used because it starts anywhere: what passes on it is shown for the protocol, not for any cluster.
"""

import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.testing.deadlines import Deadline, within
from tests.testing.free_ports import free_ports
from tests.testing.peers import needed_peer

LOADER = "ld-linux-x86-64.so.2"
SETTLES_S = 2.0
"""It acknowledges before the disk has what it acknowledged: a kill sooner would lose it, which no reader or writer can mend."""


class KafkaBroker:
    """One broker on a port of its own; `kill` ends it as a crash would, `start` goes on with its data."""

    def __init__(self, folder: Path) -> None:
        program = needed_peer("noida-db").path
        libraries = (parent / "newer/usr/lib/x86_64-linux-gnu" for parent in program.parents)
        library = next((folder for folder in libraries if (folder / LOADER).is_file()), None)
        own = [] if library is None else [str(library / LOADER), "--library-path", f"{library}:/lib/x86_64-linux-gnu"]
        self.port = free_ports(1)[0]
        self._log = folder / "kafka.log"
        self._command = [*own, str(program), "start", "--only", "kafka"]
        self._command += ["--kafka-port", str(self.port), "--data-dir", str(folder / "kafka")]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"kafka://127.0.0.1:{self.port}"

    def start(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = Deadline(20)
        while not self._answers():
            assert not deadline.passed, self._log.read_text()
            time.sleep(0.05)
        return self

    def kill(self, settle_s: float = SETTLES_S) -> None:
        """End the broker at once, `settle_s` after what was acknowledged last."""
        time.sleep(within(settle_s) if settle_s else 0.0)
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill(0.0)

    def _answers(self) -> bool:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        try:
            AdminClient({"bootstrap.servers": f"127.0.0.1:{self.port}", "log_level": 0}).list_topics(timeout=1.0)
        except KafkaException:
            return False
        return True
