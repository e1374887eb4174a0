"""Entries of several requests become one: every row once, in order, within what an entry may hold; tenants and kinds apart."""

import pyarrow as pa

from serving.ingest.entry_batch import EncodedEntry
from serving.ingest.receive.joined_signals import JoinedSignals
from serving.ingest.receive.signals.signal_outcome import ENTRY_ROWS
from serving.stream import streams
from tests.testing.signal_lines import line_rows, minute


def entry(first: int, rows: int, tenant: str = "acme", service: str = "cart") -> EncodedEntry:
    lines = [(minute(0) + number, service, f"line {number}") for number in range(first, first + rows)]
    return EncodedEntry(tenant, streams.KIND_LOGS, streams.to_ipc(line_rows(lines)))


def joined(*entries: EncodedEntry) -> list[EncodedEntry]:
    signals = JoinedSignals()
    for given in entries:
        signals.add(given)
    return signals.entries()


def bodies(entries: list[EncodedEntry]) -> list[list[str]]:
    return [streams.from_ipc(each.payload)["body"].to_pylist() for each in entries]


def test_rows_of_a_tenant_share_an_entry_in_order_and_keep_their_services() -> None:
    (whole,) = joined(entry(0, 3), entry(3, 2, service="pay"), entry(5, 1))
    table = streams.from_ipc(whole.payload)
    assert table["body"].to_pylist() == [f"line {number}" for number in range(6)]
    assert table["service"].to_pylist() == ["cart", "cart", "cart", "pay", "pay", "cart"]
    assert all(chunked.num_chunks == 1 for chunked in table.columns), "one batch, one dictionary"
    assert table.schema.equals(line_rows([]).schema)


def test_tenants_and_kinds_stay_apart() -> None:
    refused = EncodedEntry("acme", streams.KIND_REFUSED, streams.to_ipc(pa.table({"row": ["x"]})))
    made = joined(entry(0, 1), entry(1, 1, tenant="globex"), refused, entry(2, 1))
    assert [(each.tenant, each.kind) for each in made] == [
        ("acme", streams.KIND_LOGS),
        ("globex", streams.KIND_LOGS),
        ("acme", streams.KIND_REFUSED),
    ]
    assert bodies([made[0], made[1]]) == [["line 0", "line 2"], ["line 1"]]
    assert made[2] is refused


def test_what_does_not_fit_an_entry_begins_another() -> None:
    half = ENTRY_ROWS // 2
    made = joined(entry(0, half), entry(half, half), entry(2 * half, 1))
    assert [len(texts) for texts in bodies(made)] == [ENTRY_ROWS, 1]


def test_a_single_entry_is_left_as_it_is() -> None:
    lone = entry(0, 2)
    assert joined(lone)[0] is lone


def test_other_columns_are_not_mixed() -> None:
    other = EncodedEntry("acme", streams.KIND_LOGS, streams.to_ipc(line_rows([(minute(0), "cart", "x")]).drop_columns(["event"])))
    assert joined(entry(0, 1), other) == [entry(0, 1), other]
