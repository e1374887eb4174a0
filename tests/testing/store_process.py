"""Processes that write to an incident store: `python -m tests.testing.store_process URL NAME COUNT`.

COUNT > 0: so many transactions, each counts one up, adds an alert, a line to the audit log and an event. COUNT 0: one transaction
that is never committed: it writes, says "inside" and waits to be killed.
"""

import signal
import sys

from serving.incidents.store.incident_store import IncidentStore
from tests.testing.store_rows import BEGAN, alert, incident, message


def count_up(store: IncidentStore, name: str, count: int) -> None:
    for number in range(count):
        with store.writing() as writer:
            writer.note("count", (writer.noted("count") or 0) + 1)
            writer.put_alerts([alert(f"{name}-{number}")], BEGAN)
            writer.audit(BEGAN, name, "count", str(number), {})
            writer.event(BEGAN, "count", "", {"by": name})
            writer.save_desk(f"{name}-{number}".encode(), {name: str(number)}, number)


def hang_inside(store: IncidentStore) -> None:
    with store.writing() as writer:
        writer.put_alerts([alert(f"lost-{number}") for number in range(2000)], BEGAN)
        writer.put_incidents([incident("i-lost")])
        writer.enqueue([message("lost")])
        writer.audit(BEGAN, "nobody", "lost", "", {})
        writer.save_desk(b"lost" * 100_000, {}, 5)
        writer.finish()
        print("inside", flush=True)
        signal.pause()


if __name__ == "__main__":
    with IncidentStore.open(sys.argv[1], "default") as opened:
        if int(sys.argv[3]):
            count_up(opened, sys.argv[2], int(sys.argv[3]))
        else:
            hang_inside(opened)
