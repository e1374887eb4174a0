"""Pages of a Loki: every line once and in order, whatever shares a moment, and each entry's id depends on itself alone."""

from collections import Counter
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from serving.ingest.pull.loki_http import LokiPage, LokiResult
from serving.ingest.pull.loki_range import parts_of
from serving.ingest.receive.signals.lines.loki_push import accept_loki_results
from serving.ingest.receive.signals.signal_outcome import SignalIntake
from serving.stream import streams
from tests.testing.loki_server import LokiState, answer
from tests.testing.otlp_bodies import NOW, NOW_NS

ENTRIES = st.lists(st.tuples(st.sampled_from(["cart", "web"]), st.integers(0, 12), st.sampled_from(["a", "b", "c"])), max_size=40)


class Client:
    """Answers from a state without HTTP."""

    def __init__(self, state: LokiState) -> None:
        self.state = state
        self.pages: list[LokiPage] = []

    def page(self, page: LokiPage) -> tuple[LokiResult, ...]:
        self.pages.append(page)
        wanted = {"start": str(page.start_ns), "end": str(page.end_ns), "limit": str(page.limit)}
        results: list[dict[str, Any]] = answer(self.state, wanted, False)["data"]["result"]
        return tuple(LokiResult(result["stream"], tuple(result["values"])) for result in results)


def state_of(drawn: list[tuple[str, int, str]]) -> LokiState:
    return LokiState([({"app": app}, NOW_NS + at * 1000, line) for app, at, line in drawn])


@given(ENTRIES, st.integers(2, 9), st.integers(1, 20))
def test_each_line_is_read_once_unless_a_moment_has_more_than_a_page(
    drawn: list[tuple[str, int, str]], limit: int, most_lines: int
) -> None:
    state = state_of(drawn)
    client = Client(state)
    parts = list(parts_of(client, LokiPage("{}", NOW_NS, NOW_NS + 12_000, limit), most_lines))
    read = [(r.labels["app"], int(v[0]), v[1]) for part in parts for r in part.results for v in r.values]
    wanted = [(labels["app"], at, line) for labels, at, line in state.entries if at < NOW_NS + 12_000]
    fullest = max(Counter(at for _, at, _ in wanted).values(), default=0)
    assert Counter(read) <= Counter(wanted)
    if fullest < limit:
        assert Counter(read) == Counter(wanted)
        assert all(part.crowded == 0 for part in parts)
    if Counter(read) != Counter(wanted):
        assert sum(part.crowded for part in parts) > 0
    ends = [part.through_ns for part in parts]
    assert ends == sorted(ends)
    assert ends[-1] == NOW_NS + 12_000
    for part, begin in zip(parts, [NOW_NS, *ends], strict=False):
        assert all(begin <= int(v[0]) < part.through_ns for r in part.results for v in r.values)
    assert len(client.pages) <= 2 * len(drawn) + 1


def ids(results: list[tuple[dict[str, str], list[list[str]]]]) -> Counter[int]:
    outcome = accept_loki_results(results, SignalIntake(NOW))
    tables = [streams.from_ipc(entry.payload) for entry in outcome.entries]
    return Counter(pa.concat_tables(tables)["log_id"].to_pylist() if tables else [])


@given(ENTRIES, st.integers(0, 12))
def test_ids_depend_on_the_line_and_not_on_what_is_pulled_with_it(drawn: list[tuple[str, int, str]], cut: int) -> None:
    def results(keep: range) -> list[tuple[dict[str, str], list[list[str]]]]:
        chosen = sorted((entry for entry in drawn if entry[1] in keep), key=lambda entry: entry[1])
        by_app = {app: [[str(NOW_NS + at * 1000), line] for a, at, line in chosen if a == app] for app in ("cart", "web")}
        return [({"app": app}, values) for app, values in by_app.items() if values]

    whole = ids(results(range(13)))
    assert max(whole.values(), default=1) == 1
    assert whole == ids(results(range(cut))) + ids(results(range(cut, 13)))
