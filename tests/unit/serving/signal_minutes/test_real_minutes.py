"""The stage with what the product makes of lines: series of closed minutes, the same over a restart."""

import pyarrow as pa

from aiops.settings.signal_settings import SignalSettings
from serving.signal_minutes.partition_minutes import Closed, PartitionMinutes, PartitionRules
from serving.signal_minutes.series_makers import makers_of
from serving.signal_minutes.tenant_minutes import MinuteRules
from serving.stream import streams
from tests.testing.signal_lines import SECOND_US, line_entry, minute

RULES = PartitionRules(MinuteRules(lateness_us=10 * SECOND_US))
ENTRIES = [
    line_entry(
        number,
        [(minute(number) + second * SECOND_US, "cart", f"order {second} of user {number} is paid") for second in range(50)],
    )
    for number in range(1, 5)
]


def closed_by(minutes: PartitionMinutes, entries: list[streams.Entry]) -> list[pa.Table]:
    closed = Closed()
    for entry in entries:
        minutes.apply(entry, closed)
    return closed.series.get("default", [])


def test_lines_become_series_of_their_service_and_a_restart_changes_nothing() -> None:
    makers = makers_of(SignalSettings())
    whole = pa.concat_tables(closed_by(PartitionMinutes(RULES, makers), ENTRIES))
    assert set(whole["service"].to_pylist()) == {"cart"}
    assert {"log.records_per_second", "log.error_ratio"} <= set(whole["metric"].to_pylist())
    records = whole.filter(pa.compute.equal(whole["metric"], "log.records_per_second"))
    assert len(set(records["timestamp"].to_pylist())) == 3, "the fourth minute is open"
    first = PartitionMinutes(RULES, makers)
    before = closed_by(first, ENTRIES[:2])
    after = closed_by(PartitionMinutes.restore(RULES, makers, first.snapshot()), ENTRIES[2:])
    assert pa.concat_tables([*before, *after]).equals(whole)
