"""Reads one topic: its share of the partitions by leases, each from the position in the state store, in a thread of its own.

A partition that moves is given up when its run is on the broker; one whose owner fell silent is taken with a new token, and what
the former owner still tries to append is refused as a whole: each message counts once, whoever dies when.
"""

import logging
import threading
from typing import Final

from aiops.errors import Unavailable
from serving.host.log_rate_limit import LineLimit
from serving.ingest.receive.topics.topic_session import TopicParts, TopicSession

_RETRY_S: Final = 0.5

log = logging.getLogger(__name__)
_lines = LineLimit(log)


class TopicReader:
    """Reads a topic until stopped."""

    def __init__(self, parts: TopicParts) -> None:
        self._parts = parts

    def run(self, stop: threading.Event) -> None:
        """Read until stopped; what is being taken then is waited for. A topic that is not there is waited for, too."""
        try:
            while not stop.is_set():
                partitions = self._partitions()
                if partitions:
                    self._shared(partitions, stop)
                else:
                    stop.wait(_RETRY_S)
        finally:
            self._parts.client.close()

    def _partitions(self) -> int:
        name = self._parts.topic.topic
        try:
            partitions = self._parts.client.partitions()
        except Unavailable as error:
            _lines.warn(f"{name} away", str(error))
            return 0
        if not partitions:
            _lines.warn(f"{name} absent", f"topic {name}: there is no such topic yet; it is read once there is")
        return partitions

    def _shared(self, partitions: int, stop: threading.Event) -> None:
        """Read a share of so many partitions until stopped, or until there are more of them."""
        ownership, ended = self._parts.share(self._parts.topic.topic, partitions), threading.Event()
        leases = threading.Thread(target=ownership.run, args=(ended,), name=f"leases of {self._parts.topic.topic}", daemon=True)
        leases.start()
        try:
            TopicSession(self._parts, ownership).run(stop, lambda: self._grown(partitions))
        finally:
            ended.set()
            ownership.retire()
            leases.join()

    def _grown(self, partitions: int) -> bool:
        try:
            return self._parts.client.partitions() > partitions
        except Unavailable:
            return False
