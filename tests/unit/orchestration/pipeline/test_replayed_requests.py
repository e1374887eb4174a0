"""Series of requests among replayed telemetry: in their place in time, and those that the process of signals would make."""

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

from aiops.replay.request_reader import RequestReader
from aiops.settings.signal_settings import SignalSettings
from aiops.signals.signal_sentences import SIGNAL_PREFIXES
from aiops.simulator.simulate import simulate
from aiops.simulator.simulation_config import SimulationConfig
from aiops.types import RequestRows
from orchestration.pipeline.replayed_requests import ReplayedRequests
from orchestration.pipeline.row_arrivals import arrival_times

CONFIG = SimulationConfig(seed=5, services=4, hours=3.0, incidents_per_day=0.0, traces_per_min=4.0, dirty_share=0.01)
SIMULATION = simulate(CONFIG)


class Ledger:
    """Where requests are sent, in memory."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, RequestRows, datetime]] = []

    def publish(self, rows: RequestRows, seq: int, available_at: datetime) -> bool:
        self.batches.append((seq, rows, available_at))
        return True


def replayed(minutes: int, ledger: Ledger) -> list[pa.Table]:
    requests = ReplayedRequests(RequestReader(SIMULATION.requests()), ledger, SignalSettings())
    step, tables = timedelta(minutes=minutes), []
    for number in range(180 // minutes):
        begin = CONFIG.start + number * step
        tables += [requests.beside(chunk) for chunk in SIMULATION.telemetry(begin, begin + step)]
    return tables


def of_signals(tables: list[pa.Table]) -> pa.Table:
    kept = [table.filter(pa.array([name.startswith(SIGNAL_PREFIXES) for name in names(table)])) for table in tables]
    return pa.concat_tables(kept, promote_options="default")


def names(table: pa.Table) -> list[str]:
    return [name or "" for name in table["metric"].cast(pa.string()).to_pylist()]


def test_telemetry_stays_as_it_was_and_series_stand_in_their_place_in_time() -> None:
    tables = replayed(60, Ledger())
    both = pa.concat_tables([table.select(["timestamp", "service", "metric", "value"]) for table in tables])
    own = both.filter(pa.array([not name.startswith(SIGNAL_PREFIXES) for name in names(both)]))
    expected = pa.concat_tables(list(SIMULATION.telemetry()))
    assert own["timestamp"].equals(expected["timestamp"])
    np.testing.assert_array_equal(own["value"].to_numpy(), expected["value"].to_numpy())
    assert both.num_rows > expected.num_rows
    known = (
        both.filter(pa.array([name.startswith(SIGNAL_PREFIXES) for name in names(both)]))["timestamp"].cast(pa.int64()).to_numpy()
    )
    assert (np.diff(known) >= 0).all()
    assert (known % 60_000_000 == 10_000_000).all(), "a point bears the time at which its minute may be closed"
    due = arrival_times(both["timestamp"])
    assert (np.diff(due) >= 0).all()


def test_series_do_not_depend_on_where_chunks_are_cut() -> None:
    whole, parts = (of_signals(replayed(minutes, Ledger())).to_pylist() for minutes in (180, 15))
    assert len(parts) > 1000
    ordered = [sorted(map(repr, rows)) for rows in (whole, parts)]
    assert ordered[0] == ordered[1]


def test_rows_are_sent_once_numbered_and_not_before_they_are_known() -> None:
    ledger = Ledger()
    replayed(30, ledger)
    assert [seq for seq, _, _ in ledger.batches] == list(range(1, len(ledger.batches) + 1))
    sent = [span for _, rows, _ in ledger.batches for span in rows.spans["span_id"].to_pylist()]
    assert len(sent) == len(set(sent)) > 100
    for _, rows, available in ledger.batches:
        assert max(rows.logs["available_at"].to_pylist()) < available


def test_a_source_without_requests_leaves_chunks_alone() -> None:
    ledger = Ledger()
    requests = ReplayedRequests(RequestReader(iter(())), ledger, SignalSettings())
    chunk = next(iter(SIMULATION.telemetry()))
    assert requests.beside(chunk) is chunk
    assert ledger.batches == []
