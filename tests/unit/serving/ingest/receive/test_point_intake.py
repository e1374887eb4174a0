"""What becomes of points: series, limits, pairs, repetitions, times; by the real decoders and a clock of the test's."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from aiops.settings.ingest_settings import IngestSettings
from data_contracts.series.key import labels_of
from serving.ingest.receive.intake_rules import IntakeRules
from serving.ingest.receive.point_intake import TenantIntake
from serving.ingest.receive.raw_batch import RawBatch
from serving.ingest.receive.receipts import REASONS, Receipt
from serving.ingest.receive.series_identity import IdentityRules, SeriesIdentities
from serving.ingest.receive.tenant_limits import LimitsByTenant
from serving.ingest.receive.wire.body_compression import uncompressed
from serving.ingest.receive.wire.remote_write_decoders import RemoteWrite1Decoder, RemoteWrite2Decoder
from serving.stream.partitioning import partitions_of
from tests.testing.receiver_harness import Sent, write_1, write_2
from tests.testing.wire_messages import REMOTE_WRITE_1

NOW_S = 1_800_000_000.0
NOW_MS = int(NOW_S * 1000)


@dataclass(slots=True)
class Taken:
    """A receipt, with the rows that came out of it."""

    receipt: Receipt
    batch: RawBatch

    @property
    def definitions(self) -> list[Any]:
        return [row for share in self.batch.shares.values() for row in share.definitions]

    @property
    def values(self) -> list[float]:
        return [value for share in self.batch.shares.values() for part in share.points for value in part.value.tolist()]

    @property
    def ids(self) -> list[int]:
        return [row for share in self.batch.shares.values() for part in share.points for row in part.series_id.tolist()]

    @property
    def histograms(self) -> int:
        return sum(len(part.time_us) for share in self.batch.shares.values() for part in share.histograms)

    @property
    def exemplars(self) -> int:
        return sum(len(share.exemplars) for share in self.batch.shares.values())

    @property
    def refused(self) -> dict[str, int]:
        return {REASONS[reason]: refusal.total for reason, refusal in self.receipt.refusals.items()}


@dataclass(slots=True)
class Bench:
    """An intake with a clock that the test moves."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    at_s: float = 0.0
    intake: TenantIntake = field(init=False)
    decoders: dict[int, Any] = field(default_factory=lambda: {1: RemoteWrite1Decoder(3), 2: RemoteWrite2Decoder(3)})

    def __post_init__(self) -> None:
        settings = IngestSettings(**self.settings)
        rules = IntakeRules(
            2,
            announce_s=settings.announce_s,
            replica_silent_s=settings.replica_silent_s,
            explosion_series=settings.explosion_series,
            clock=lambda: NOW_S + self.at_s,
            monotonic=lambda: self.at_s,
        )
        identities = SeriesIdentities(IdentityRules(pair_labels=("prometheus", "region")))
        self.intake = TenantIntake("acme", LimitsByTenant(settings).of("acme"), identities, rules)

    def take(self, series: Sequence[Sent], version: int = 1, metadata: Sequence[tuple[str, int]] = ()) -> Taken:
        body = write_1(series, metadata) if version == 1 else write_2(series)
        batch = RawBatch()
        decoded = self.decoders[version].decode(uncompressed(body, "snappy", 1 << 24))
        return Taken(self.intake.take(decoded, batch), batch)

    def take_rows(self, *rows: Any) -> Taken:
        """Take rows of remote write 1.0."""
        batch = RawBatch()
        decoded = self.decoders[1].decode(REMOTE_WRITE_1["WriteRequest"](timeseries=rows).SerializeToString())
        return Taken(self.intake.take(decoded, batch), batch)


def gauge(name: str, value: float = 1.0, at_ms: int = NOW_MS, **labels: str) -> Sent:
    return Sent({"__name__": name, "job": "cart", **labels}, [(value, at_ms)])


def test_a_series_is_defined_once_and_again_when_it_is_due() -> None:
    bench = Bench({"announce_s": 100.0})
    assert len(bench.take([gauge("a"), gauge("b")]).definitions) == 2
    bench.at_s = 70.0
    assert bench.take([gauge("a", 2.0, NOW_MS + 1)]).definitions == []
    bench.at_s = 101.0
    (again,) = bench.take([gauge("a", 3.0, NOW_MS + 2)]).definitions
    assert again.identity.key.metric == "a"
    bench.at_s = 140.0
    assert bench.take([gauge("a", 3.0, NOW_MS + 3)]).definitions == []


def places(taken: Taken) -> dict[str, int]:
    """Return the partition of each series that was defined, by metric and bound."""
    return {
        f"{row.identity.key.metric} {row.identity.bound}": place.partition
        for place, share in taken.batch.shares.items()
        for row in share.definitions
    }


def test_points_go_to_the_partition_of_their_series_in_order() -> None:
    bench = Bench()
    taken = bench.take([gauge(f"m{number}", number) for number in range(40)] + [gauge("m3", 41.0, NOW_MS + 1)])
    for place, share in taken.batch.shares.items():
        rows = [row for part in share.points for row in part.series_id.tolist()]
        assert set(partitions_of(np.array(rows), 2).tolist()) == {place.partition}
        values = [value for part in share.points for value in part.value.tolist()]
        assert values == sorted(values)
    assert len(taken.batch.shares) == 2
    assert len(taken.values) == 41


def test_the_parts_of_a_histogram_meet_in_one_partition() -> None:
    bench = Bench()
    for base in ("a", "b", "c", "d", "e"):
        parts = [gauge(f"{base}_bucket", 1.0, le=bound) for bound in ("0.1", "1", "5", "10", "+Inf")]
        partition_of = places(bench.take([*parts, gauge(f"{base}_sum"), gauge(f"{base}_count")]))
        assert len(partition_of) == 7
        assert len(set(partition_of.values())) == 1


def test_a_series_whose_kind_is_learnt_later_moves_to_where_it_belongs() -> None:
    bench, moved = Bench(), 0
    for number in range(20):
        name = f"jobs{number}_count"
        before = places(bench.take([gauge(name)]))
        bench.take([], metadata=[(name, 2)])
        taken = bench.take([gauge(name, 2.0, NOW_MS + 1000)])
        after = places(taken)
        assert [place.partition for place, share in taken.batch.shares.items() if share.points] == list(after.values())
        assert taken.definitions[0].family_id is None
        moved += before != after
    assert 0 < moved < 20


def test_the_order_of_labels_and_the_version_do_not_change_the_series() -> None:
    bench = Bench()
    first = bench.take([gauge("a", zone="x")])
    assert bench.take([gauge("a", 2.0, NOW_MS + 1, zone="x")], version=2).ids == first.ids
    assert len(bench.intake.table) == 1


def test_the_same_point_again_counts_once_and_another_value_goes_on() -> None:
    bench = Bench()
    bench.take([gauge("a", 1.0)])
    again = bench.take([gauge("a", 1.0)])
    assert (again.receipt.samples, again.receipt.repeated, again.values) == (1, 1, [])
    other = bench.take([gauge("a", 2.0)])
    assert (other.receipt.repeated, other.values) == (0, [2.0])
    stale = bench.take([gauge("a", math.nan, NOW_MS + 1)] * 2)
    assert (stale.receipt.repeated, len(stale.values)) == (1, 1)


def test_what_did_not_reach_the_broker_is_taken_again_with_its_definition() -> None:
    bench = Bench()
    lost = bench.take([gauge("a", 1.0)])
    lost.batch.take_back()
    again = bench.take([gauge("a", 1.0)])
    assert (again.receipt.repeated, again.values, len(again.definitions)) == (0, [1.0], 1)


def test_what_was_lost_before_series_were_forgotten_is_taken_again() -> None:
    bench = Bench()
    bench.take([gauge("idle")])
    bench.at_s = 50.0
    lost = bench.take([gauge("a", 1.0)])
    assert bench.intake.forget(10.0) == 1
    lost.batch.take_back()
    assert bench.take([gauge("a", 1.0)]).values == [1.0]


def test_new_series_beyond_the_limit_are_refused_by_name_and_known_ones_never() -> None:
    bench = Bench({"max_series": 2})
    bench.take([gauge("a"), gauge("b")])
    beyond = bench.take([gauge("c", user="u1"), gauge("a", 5.0, NOW_MS + 1), gauge("d")])
    assert (beyond.values, beyond.refused) == ([5.0], {"series_limit": 2})
    assert 'c{job="cart",user="u1"}: the tenant has 2 active series' in beyond.receipt.text()
    assert bench.take([gauge("c", 2.0, NOW_MS + 1)]).refused == {"series_limit": 1}
    (explosion,) = bench.intake.growth.look()
    assert (explosion.name, explosion.service) == ("series limit reached", "cart")
    bench.at_s = 1000.0
    bench.take([gauge("a", 6.0, NOW_MS + 2)])
    assert bench.intake.forget(500.0) == 1
    assert bench.take([gauge("c", 3.0, NOW_MS + 3)]).values == [3.0]


def test_an_exploding_label_is_named() -> None:
    bench = Bench({"explosion_series": 10})
    bench.take([gauge("a", code="200"), gauge("requests", user="u0")])
    bench.at_s = 601.0
    list(bench.intake.growth.look())
    bench.take([gauge("requests", user=f"u{number}", code=str(200 + number % 3)) for number in range(1, 12)])
    (explosion,) = bench.intake.growth.look()
    assert (explosion.name, explosion.metric, explosion.label) == ("label with too many values", "requests", "user")
    assert list(bench.intake.growth.look()) == []
    bench.at_s = 1300.0
    list(bench.intake.growth.look())
    bench.at_s = 2000.0
    (over,) = bench.intake.growth.look()
    assert over.ends_s == NOW_S + 2000.0


def test_everything_new_is_no_explosion() -> None:
    bench = Bench({"explosion_series": 10})
    bench.take([gauge("requests", user=f"u{number}") for number in range(50)])
    assert list(bench.intake.growth.look()) == []


@pytest.mark.parametrize(
    ("series", "reason", "words"),
    [
        (gauge("a", at_ms=NOW_MS + 400_000), "future_timestamp", "is more than 300 s ahead"),
        (gauge("a", at_ms=1000), "bad_timestamp", "is before 2000-01-01"),
        (gauge("a", text="x" * 2600), "label_too_long", "the longest is 'text' with 2600"),
        (gauge("a", text="\n" * 1100), "label_too_long", "at most 2048 are allowed"),
        (gauge("a", **{f"l{number}": "x" for number in range(70)}), "too_many_labels", "at most 64 are allowed"),
        (Sent({"__name__": "a", "job": "x|y"}, [(1.0, NOW_MS)]), "name", "reserved as a separator"),
        (Sent({"__name__": "a", "job": "x\ny"}, [(1.0, NOW_MS)]), "name", "control character U+000A"),
        (Sent({"job": "cart"}, [(1.0, NOW_MS)]), "name_present", "a series has a metric name"),
        (Sent({"__name__": "a", "job": "x" * 201}, [(1.0, NOW_MS)]), "name", "at most 200 are allowed"),
    ],
)
def test_what_breaks_a_rule_is_refused_by_name_each_time(series: Sent, reason: str, words: str) -> None:
    bench = Bench()
    for _ in range(2):
        taken = bench.take([series, gauge("kept", 7.0, NOW_MS)])
        assert taken.refused == {reason: 1}
        assert words in taken.receipt.text()
        assert taken.receipt.samples == 1
    assert len(bench.intake.table) <= 2


@pytest.mark.parametrize("text", ["/api|/v1", "line\nbreak\r\n", 'quote" and \\', "\t\x00\x1b[31m", "é\u2028", "x" * 1500])
def test_a_value_of_a_label_is_any_text(text: str) -> None:
    taken = Bench().take([gauge("a", path=text)])
    (definition,) = taken.definitions
    assert (taken.values, taken.refused) == ([1.0], {})
    assert labels_of(definition.identity.labels) == (("path", text),)


def test_one_of_a_pair_leads_and_the_other_is_answered_as_written() -> None:
    bench = Bench({"replica_silent_s": 30.0})
    left, right = ({"cluster": "eu", "__replica__": name} for name in ("r1", "r2"))
    first = bench.take([gauge("a", 1.0, **left)])
    other = bench.take([gauge("a", 1.1, NOW_MS + 5, **right)])
    assert (other.receipt.samples, other.receipt.other_replica, other.values) == (1, 1, [])
    assert len(bench.intake.table) == 1
    bench.at_s = 29.0
    bench.take([gauge("a", 2.0, NOW_MS + 10, **left)])
    bench.at_s = 40.0
    assert bench.take([gauge("a", 2.1, NOW_MS + 15, **right)]).values == []
    bench.at_s = 60.0
    over = bench.take([gauge("a", 3.0, NOW_MS + 20, **right)])
    assert (over.values, over.ids) == ([3.0], first.ids)
    assert bench.take([gauge("a", 3.1, NOW_MS + 25, **left)]).values == []
    assert bench.take([gauge("a", 4.0, NOW_MS + 30)]).values == [4.0], "a sender that is of no pair is always taken"


def test_pairs_without_a_cluster_are_told_apart_by_their_other_external_labels() -> None:
    bench = Bench()
    shop, bank = {"prometheus": "shop", "region": "eu"}, {"prometheus": "bank", "region": "eu"}
    assert bench.take([gauge("a", 1.0, **shop, __replica__="r1")]).values == [1.0]
    assert bench.take([gauge("b", 2.0, **bank, __replica__="r2")]).values == [2.0], "another pair"
    assert bench.take([gauge("a", 1.1, **shop, __replica__="r2")]).values == []
    assert bench.intake.election.leaders() == {"prometheus=shop,region=eu": "r1", "prometheus=bank,region=eu": "r2"}


def named(label: str, value: float, at_ms: int = NOW_MS, **labels: str) -> Sent:
    return Sent({"__name__": "m", label: "x", "zone": "a", **labels}, [(value, at_ms)])


@pytest.mark.parametrize("together", [True, False], ids=["in one body", "in two"])
def test_two_series_that_only_the_label_of_their_service_tells_apart_are_not_merged(together: bool) -> None:
    bench = Bench()
    both = [named("service", 1.0), named("job", 2.0)]
    taken = [bench.take(both)] if together else [bench.take(both[:1]), bench.take(both[1:])]
    assert [value for part in taken for value in part.values] == [1.0]
    assert taken[-1].refused == {"series_collision": 1}
    words = taken[-1].receipt.text()
    assert 'm{job="x",zone="a"}' in words
    assert 'm{service="x",zone="a"}' in words
    for number in (1, 2):
        again = bench.take([named("service", 3.0, NOW_MS + number), named("job", 4.0, NOW_MS + number)])
        assert (again.values, again.refused) == ([3.0], {"series_collision": 1}), "each time"
    assert len(bench.intake.table) == 1


def test_the_label_of_a_service_may_change_once_the_other_series_is_idle() -> None:
    bench = Bench()
    assert bench.take([named("service", 1.0)]).values == [1.0]
    bench.at_s = 10_000.0
    assert bench.intake.forget(7200.0) == 1
    assert bench.take([named("job", 2.0, NOW_MS + 1)]).values == [2.0]


def test_metadata_gives_types_and_series_are_defined_anew() -> None:
    bench = Bench()
    assert bench.take([gauge("depth")]).definitions[0].identity.role == "value"
    bench.take([], metadata=[("depth", 1)])
    (again,) = bench.take([gauge("depth", 2.0, NOW_MS + 1)]).definitions
    assert (again.identity.role, again.identity.why) == ("total", "from the sender's metadata: counter")
    bench.take([], metadata=[("depth", 1)])
    assert bench.take([gauge("depth", 3.0, NOW_MS + 2)]).definitions == []


def test_parts_of_a_classic_histogram_share_their_family() -> None:
    bench = Bench()
    names = ("rpc_seconds_bucket", "rpc_seconds_bucket", "rpc_seconds_sum", "rpc_seconds_count")
    bounds = ({"le": "0.5"}, {"le": "+Inf"}, {}, {})
    taken = bench.take([gauge(name, **labels) for name, labels in zip(names, bounds, strict=True)])
    assert {row.family_id for row in taken.definitions} == {taken.definitions[0].family_id}
    assert taken.definitions[0].family_id is not None
    members = {(row.identity.role, row.identity.bound) for row in taken.definitions}
    assert members == {("bucket", 0.5), ("bucket", math.inf), ("bucket_sum", None), ("bucket_count", None)}


def test_findings_of_the_suite_itself_are_left_out() -> None:
    bench = Bench()
    for _ in range(2):
        taken = bench.take([gauge("aiops_anomaly_score", 0.9), gauge("a", 1.0)])
        assert (taken.receipt.own_findings, taken.receipt.samples, taken.refused) == (1, 2, {})
    assert len(bench.intake.table) == 1


def test_services_that_sent_something_are_told_once() -> None:
    bench = Bench()
    bench.take([gauge("a", 1.0), Sent({"__name__": "a", "job": "pay"}, [(1.0, NOW_MS + 7)])])
    assert dict(bench.intake.services.news()) == {"cart": NOW_MS * 1000, "pay": NOW_MS * 1000 + 7000}
    bench.take([gauge("a", 1.0)])
    assert dict(bench.intake.services.news()) == {}


def row_of(**labels: str) -> Any:
    row = REMOTE_WRITE_1["TimeSeries"]()
    for name, text in sorted({"__name__": "rpc_seconds", "job": "cart", **labels}.items()):
        row.labels.add(name=name, value=text)
    return row


def exemplar_row(**labels: str) -> Any:
    row = row_of(**labels)
    row.exemplars.add(value=0.2, timestamp=NOW_MS).labels.add(name="trace_id", value="4bf92f3577b34da6a3ce929d0e0e4736")
    return row


def histogram_row(count: int, total: float, at_ms: int = NOW_MS) -> Any:
    row = row_of()
    row.histograms.add(count_int=count, sum=total, timestamp=at_ms)
    return row


def test_exemplars_in_rows_of_their_own_do_not_say_what_a_histogram_is() -> None:
    bench = Bench({"announce_s": 100.0})
    assert bench.take_rows(exemplar_row()).exemplars == 1, "an exemplar may come before all else of its series"
    (defined,) = bench.take_rows(exemplar_row(), histogram_row(1, 0.2)).definitions
    assert defined.identity.role == "histogram"
    bench.at_s = 200.0
    assert bench.take_rows(exemplar_row()).definitions == []
    (again,) = bench.take_rows(exemplar_row(), histogram_row(2, 0.4, NOW_MS + 1), exemplar_row()).definitions
    assert again.identity.role == "histogram"


def test_histograms_are_the_same_by_count_and_sum() -> None:
    bench = Bench()
    assert bench.take_rows(histogram_row(3, 0.2)).histograms == 1
    again, other = bench.take_rows(histogram_row(3, 0.2)), bench.take_rows(histogram_row(3, 0.4))
    assert (again.receipt.repeated, again.histograms) == (1, 0)
    assert (other.receipt.repeated, other.histograms) == (0, 1)


def test_exemplars_of_the_member_of_a_pair_that_does_not_lead_are_not_kept() -> None:
    bench = Bench()
    left, right = ({"cluster": "eu", "__replica__": name} for name in ("r1", "r2"))
    assert bench.take_rows(exemplar_row(**left)).exemplars == 1
    other = bench.take_rows(exemplar_row(**right))
    assert (other.receipt.exemplars, other.exemplars) == (1, 0)


@pytest.mark.parametrize("order", [[("depth", 1), ("depth", 2)], [("depth", 2), ("depth", 1)]])
def test_targets_that_disagree_on_a_type_do_not_have_series_defined_each_time(order: list[tuple[str, int]]) -> None:
    bench = Bench()
    bench.take([gauge("depth")])
    bench.take([], metadata=order)
    assert len(bench.take([gauge("depth", 2.0, NOW_MS + 1)]).definitions) == 1
    for metadata in (order, order[::-1], [("depth", 0)]):
        bench.take([], metadata=metadata)
        assert bench.take([gauge("depth", 3.0, NOW_MS + 2)]).definitions == []


def test_whole_histograms_of_several_partitions_keep_their_series() -> None:
    """Rows of both partitions take turns, and one of them comes again: each of the others is of its own series."""
    rows = [row_of(__name__="sizes", job=job) for job in ("a", "bb", "c", "dd")]
    for number, row in enumerate(rows):
        row.histograms.add(count_int=number + 1, sum=1.0, timestamp=NOW_MS)
    bench = Bench()
    first = bench.take_rows(*rows)
    services = {definition.series_id: definition.identity.key.service for definition in first.definitions}
    rows[1].histograms[0].timestamp += 1000
    again = bench.take_rows(*rows)
    for taken, expected in ((first, {"a": 1.0, "bb": 2.0, "c": 3.0, "dd": 4.0}), (again, {"bb": 2.0})):
        parts = [part for share in taken.batch.shares.values() for part in share.histograms]
        counts = [pair for part in parts for pair in zip(part.series_id.tolist(), part.observations.tolist(), strict=True)]
        assert {services[series]: count for series, count in counts} == expected
