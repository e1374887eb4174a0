"""Notices: what a process of the suite has to say of what it watches, on a stream of which the responder makes alerts.

A notice is written when something begins, and once more, with `ends_at`, when it is over; writing it again changes nothing.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import pyarrow as pa

from data_contracts.schemas.notice_schemas import NOTICES
from serving.stream import streams

MOST_ENTRIES: Final = 10_000
"""Entries that the stream keeps; the oldest go first."""
_ADD: Final = """#!lua flags=allow-oom
return redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', unpack(ARGV, 2))
"""


@dataclass(frozen=True, slots=True)
class Notice:
    """What began (`ends_at` None) or ended. Times aware UTC: `noticed_at` by the wall; `starts_at` is the same at begin and end.

    `name`, `service` and `subject` say what it is about: of one such there is one alert. A critical one pages at once, a warning
    once it is repeated or something else joins it.
    """

    tenant: str
    service: str
    name: str
    text: str
    noticed_at: datetime
    starts_at: datetime
    ends_at: datetime | None = None
    severity: Literal["info", "warning", "critical"] = "warning"
    subject: str = ""


def notice_rows(notices: Sequence[Notice]) -> pa.Table:
    """Return notices as rows of NOTICES, in their order; tenants are not in it."""
    columns = {
        "timestamp": [notice.noticed_at for notice in notices],
        **{name: [getattr(notice, name) for notice in notices] for name in NOTICES.names[1:]},
    }
    return pa.Table.from_pydict(columns, schema=NOTICES)


def notice_fields(tenant: str, notices: Sequence[Notice]) -> list[bytes | str | int]:
    """Return the fields and values of the entry that holds a tenant's notices, for a script that adds it with other keys."""
    payload = streams.to_ipc(notice_rows(notices))
    return ["k", streams.KIND_NOTICES, "b", payload, "t", time.time_ns(), "n", tenant]


def add_notices(broker: streams.Streams, notices: Sequence[Notice]) -> None:
    """Write notices, also on a full broker; those of a tenant in one entry.

    Raises:
        Unavailable: the broker did not answer; write them again, a notice that is written twice counts once.
    """
    by_tenant: dict[str, list[Notice]] = defaultdict(list)
    for notice in notices:
        by_tenant[notice.tenant].append(notice)
    for tenant, owned in by_tenant.items():
        broker.evaluate(_ADD, [streams.NOTICES], [MOST_ENTRIES, *notice_fields(tenant, owned)])
