"""Entries that come twice are left out by their numbers; a restored state leaves out the same."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from serving.stream.entry import Entry
from serving.stream.sent_sequences import FORGOTTEN_AFTER_NS, MOST_PRODUCERS, SentSequences


def entry(number: str, producer: str = "a", produced_ns: int = 1) -> Entry:
    return Entry("1-0", b"t", b"", produced_ns, 0, source=f"{producer} {number}")


def numbers(entries: list[Entry]) -> list[str]:
    return [sent.source for sent in entries]


def test_what_was_sent_again_is_left_out_and_other_producers_are_not_seen() -> None:
    sent = SentSequences()
    assert len(sent.fresh([entry("1-0"), entry("1-1"), entry("1-0"), entry("1-1"), entry("2-0"), entry("1-0", "b")])) == 4
    assert sent.fresh([entry("2-0"), entry("1-0", "b")]) == []
    assert numbers(sent.fresh([entry("10-0")])) == ["a 10-0"]


def test_an_entry_without_a_source_is_never_left_out() -> None:
    nameless = replace(entry("1-0"), source="")
    assert SentSequences().fresh([nameless, nameless]) == [nameless, nameless]


def test_a_producer_that_was_idle_for_a_month_may_begin_anew() -> None:
    sent = SentSequences()
    sent.fresh([entry("5-0", produced_ns=1)])
    assert sent.fresh([entry("1-0", produced_ns=FORGOTTEN_AFTER_NS)]) == []
    assert len(sent.fresh([entry("1-0", produced_ns=1 + FORGOTTEN_AFTER_NS)])) == 1


def test_producers_remembered_are_bounded() -> None:
    sent = SentSequences()
    sent.fresh([entry("1-0", f"p{number}") for number in range(MOST_PRODUCERS + 1)])
    assert len(sent.fresh([entry("1-0", "p1")])) == 0
    assert len(sent.fresh([entry("1-0", "p0")])) == 1


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3)), max_size=30),
    st.integers(0, 30),
)
def test_each_entry_counts_once_however_the_stream_is_cut_and_restored(sends: list[tuple[str, int]], cut: int) -> None:
    stream: list[Entry] = []
    newest: Counter[str] = Counter()
    for producer, again in sends:
        newest[producer] += 1
        stream += [entry(f"{newest[producer]}-0", producer)] * again
    sent = SentSequences()
    first = sent.fresh(stream[:cut])
    rest = SentSequences.of_text(sent.to_text()).fresh(stream[cut:])
    assert Counter(numbers(first + rest)) == Counter(
        {f"{name} {number}-0": 1 for name in newest for number in range(1, newest[name] + 1)}
    )
