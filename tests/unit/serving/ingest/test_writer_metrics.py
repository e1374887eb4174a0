"""Gauges of writers: those that are to go on, at the moment of the scrape."""

from prometheus_client import CollectorRegistry

from serving.ingest.receive.writer_metrics import WriterMetrics
from serving.ingest.writers import Writer


def test_lag_and_standing_still_are_of_the_moment_and_of_writers_that_are_to_go_on() -> None:
    registry, now_s = CollectorRegistry(), [1000.0]
    metrics = WriterMetrics(registry, lambda: now_s[0])
    metrics.know([Writer("feed", 990.0, 999.0, 1.0, True), Writer("replay", 1.0, 999.0, 1.0, False)])
    feed = {"producer": "feed"}
    assert registry.get_sample_value("aiops_writer_lag_seconds", feed) == 10.0
    assert registry.get_sample_value("aiops_writer_stands_still", feed) == 0.0
    assert registry.get_sample_value("aiops_writer_lag_seconds", {"producer": "replay"}) is None
    now_s[0] += 100.0
    assert registry.get_sample_value("aiops_writer_lag_seconds", feed) == 110.0
    assert registry.get_sample_value("aiops_writer_stands_still", feed) == 1.0
    metrics.know([])
    assert registry.get_sample_value("aiops_writer_lag_seconds", feed) is None
