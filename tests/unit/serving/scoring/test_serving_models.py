"""Model slots follow aliases and refuse what does not prove itself; the challenger answers its share or scores in the shadow."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from prometheus_client import CollectorRegistry

from aiops.errors import ArtifactError, ModelNotFound, Unavailable
from aiops.settings.serving_settings import ServingSettings
from aiops.types import FloatArray
from data_contracts.schemas.telemetry_schemas import SEQUENCE_FEATURES, SERVED, SERVICE_FEATURES, TIMESTAMP
from models.artifacts.tenant_models import own_name
from models.prediction.incident_predictor import IncidentPredictor, PredictorConfig
from models.prediction.outlook import spans_of
from serving.http.problem import ProblemError
from serving.online.seasonal_bands import MemoryBands
from serving.scoring.answers.explanations import explain
from serving.scoring.answers.memory_features import VIEW, MemoryFeatures
from serving.scoring.answers.request_origin import RequestOrigin
from serving.scoring.answers.scoring import INCIDENT_PREDICTOR, PREDICT, SCORE, SERVICE_ENSEMBLE, Answer
from serving.scoring.answers.scoring_metrics import ScoringMetrics
from serving.scoring.answers.served_log import MOST_PARTS, PART_ROWS, ServedLog, ServedRows
from serving.scoring.requests.vector_rows import RequestRows
from serving.scoring.runtime import Adapters, Runtime
from serving.scoring.slots.challenger import ChallengerPolicy, bucket_of
from serving.scoring.slots.model_slot import ASK_AGAIN_S, RETRY_S, ModelSlot
from serving.scoring.slots.model_slots import MOST_TENANTS, ModelSlots
from serving.scoring.slots.model_source import FolderModels, MemoryModels, ServedModel, served_model
from tests.testing.fakes_models import LinearModel, linear, load_linear, online_row, point_alias, write_linear
from tests.testing.metric_totals import total_of

NAME = SERVICE_ENSEMBLE
NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)


class Swaps:
    """Remembers what a slot reports."""

    def __init__(self) -> None:
        self.seen: list[tuple[str | None, str | None]] = []
        self.failures = 0

    def swapped(self, name: str, alias: str, old: str | None, new: str | None) -> None:
        self.seen.append((old, new))

    def swap_failed(self, name: str, alias: str) -> None:
        self.failures += 1


def served_rows(at: datetime, rows: RequestRows, scores: FloatArray, tenant: str = "default") -> ServedRows:
    names = (NAME, "1", "champion")
    return ServedRows(at, RequestOrigin("id", tenant), *names, rows.services, rows.event_times, rows.features, scores)


class Lake:
    """Keeps written tables; refuses the first `refusals` writes."""

    def __init__(self, refusals: int = 0) -> None:
        self.tables: dict[str, pa.Table] = {}
        self.refusals = refusals

    def for_tenant(self, tenant: str) -> "Lake":
        assert tenant == "default"
        return self

    def write(self, table: str, rows: pa.Table, key: str) -> int:
        assert table == "served"
        if self.refusals:
            self.refusals -= 1
            raise OSError("disk full")
        before = self.tables.get(key)
        assert before is None or rows.slice(0, before.num_rows).equals(before)
        self.tables[key] = rows
        return int(rows.num_rows)

    def rows(self) -> list[dict[str, object]]:
        return pa.concat_tables(self.tables.values()).to_pylist() if self.tables else []


def rows_of(services: list[str], value: float = 0.1, looked_up: bool = False) -> RequestRows:
    features = np.full((len(services), len(SERVICE_FEATURES)), np.nan if looked_up else value)
    times = pa.array([NOW] * len(services), TIMESTAMP)
    return RequestRows(pa.array(services), times, features, np.full(len(services), looked_up))


def test_a_slot_follows_its_alias_and_keeps_what_works() -> None:
    source, swaps = MemoryModels(), Swaps()
    slot = ModelSlot(NAME, "champion", source, swaps)
    assert not slot.poll(0.0)
    assert slot.current is None
    source.add(NAME, linear(NAME, "1", 0.1), "champion")
    assert slot.poll(1.0)
    first = slot.current
    assert not slot.poll(2.0)
    wrong = linear(NAME, "2", 0.2)
    source.add(NAME, ServedModel(wrong.model, "2", wrong.example_rows, wrong.example_scores + 0.01, 0.0), "champion")
    assert not slot.poll(3.0)
    assert slot.current is first
    assert slot.status.refused_version == "2"
    assert "differ by 0.01" in slot.status.error
    assert not slot.poll(3.0 + RETRY_S / 2)
    assert swaps.failures == 1
    assert not slot.poll(4.0 + RETRY_S)
    assert swaps.failures == 2
    source.add(NAME, linear(NAME, "3", 0.3), "champion")
    assert slot.poll(5.0 + RETRY_S)
    assert slot.status.version == "3"
    assert slot.status.error == ""
    assert swaps.seen == [(None, "1"), ("1", "3")]


def test_going_back_to_the_served_version_clears_the_refusal() -> None:
    source, swaps = MemoryModels(), Swaps()
    source.add(NAME, linear(NAME, "1", 0.1), "champion")
    slot = ModelSlot(NAME, "champion", source, swaps)
    slot.poll(0.0)
    source.aliases[(NAME, "champion")] = "missing"
    assert not slot.poll(1.0)
    assert "ModelNotFound" in slot.status.error
    source.aliases[(NAME, "champion")] = "1"
    assert not slot.poll(2.0)
    assert slot.status.error == ""
    assert len(swaps.seen) == 1


class DeadSource(MemoryModels):
    """A registry that does not answer."""

    def version_of(self, name: str, alias: str) -> str | None:
        raise Unavailable("registry: no answer")


def test_a_registry_that_does_not_answer_is_asked_again_later() -> None:
    swaps = Swaps()
    slot = ModelSlot(NAME, "champion", DeadSource(), swaps)
    for second in (0.0, 1.0, ASK_AGAIN_S - 0.1):
        assert not slot.poll(second)
    assert swaps.failures == 1
    slot.poll(ASK_AGAIN_S)
    assert swaps.failures == 2


def test_a_champion_stays_without_its_alias_and_a_challenger_goes() -> None:
    source = MemoryModels()
    for alias, stays in (("champion", True), ("challenger", False)):
        source.add(NAME, linear(NAME, "1", 0.1), alias)
        slot = ModelSlot(NAME, alias, source, Swaps())
        slot.poll(0.0)
        del source.aliases[(NAME, alias)]
        slot.poll(1.0)
        assert (slot.current is not None) is stays


@pytest.mark.parametrize("features", [("unheard_of",), (SERVICE_FEATURES[0], "unheard_of")])
def test_a_model_of_unknown_features_is_refused(features: tuple[str, ...]) -> None:
    model = LinearModel(("score",), 0.1, features=features)
    example = np.zeros((1, len(features)))
    source = MemoryModels()
    source.add(NAME, ServedModel(model, "1", example, model.score(example), 0.0), "champion")
    slot = ModelSlot(NAME, "champion", source, Swaps())
    assert not slot.poll(0.0)
    assert "unheard_of" in slot.status.error


def test_models_in_a_folder(tmp_path: Path) -> None:
    source = FolderModels(tmp_path, load_linear)
    assert source.version_of(NAME, "champion") is None
    write_linear(tmp_path, NAME, "7", 0.1)
    point_alias(tmp_path, NAME, {"champion": "7"})
    assert source.version_of(NAME, "champion") == "7"
    assert source.load(NAME, "7").version == "7"
    with pytest.raises(ModelNotFound, match="version = 8"):
        source.load(NAME, "8")
    (tmp_path / NAME / "aliases.json").write_text("{")
    with pytest.raises(ArtifactError, match="not JSON"):
        source.version_of(NAME, "champion")


def runtime(source: MemoryModels, lake: Lake, settings: ServingSettings) -> Runtime:
    features = MemoryFeatures(timedelta(minutes=10))
    features.write_services(online_row("known", NOW, 0.5))
    features.write_services(online_row("stale", NOW - timedelta(hours=1), 0.5))
    return Runtime(settings, Adapters(source, features, lake, lambda: NOW, MemoryBands()), CollectorRegistry())


def models() -> MemoryModels:
    source = MemoryModels()
    for name in (SERVICE_ENSEMBLE, INCIDENT_PREDICTOR):
        source.add(name, linear(name, "1", 0.1), "champion")
        source.add(name, linear(name, "2", -0.1), "challenger")
    return source


def answered(served: Runtime, rows: RequestRows) -> Answer:
    answer = served.scoring.answer(SCORE, rows, RequestOrigin("id-1"))
    served.scoring.record(answer)
    return answer


def test_every_answered_row_is_logged_once_with_what_it_was_scored_on() -> None:
    lake = Lake()
    served = runtime(models(), lake, ServingSettings())
    served.start()
    answer = answered(served, rows_of(["a", "b"]))
    served.stop()
    logged = lake.rows()
    assert pa.concat_tables(lake.tables.values()).schema.equals(SERVED)
    assert [(entry["service"], entry["role"], entry["model_version"]) for entry in logged] == [
        ("a", "champion", "1"),
        ("b", "champion", "1"),
    ]
    assert [entry["score"] for entry in logged] == answer.scores[:, -1].tolist()
    assert logged[0]["request_id"] == "id-1"
    assert logged[0][SERVICE_FEATURES[0]] == 0.1


def test_a_shadow_is_scored_and_logged_and_never_answered() -> None:
    lake = Lake()
    served = runtime(models(), lake, ServingSettings(challenger="shadow"))
    served.start()
    answer = answered(served, rows_of(["a"]))
    served.stop()
    assert answer.versions == ("1",)
    by_role = {entry["role"]: entry for entry in lake.rows()}
    assert set(by_role) == {"champion", "shadow"}
    assert by_role["shadow"]["model_version"] == "2"
    assert by_role["shadow"]["score"] == pytest.approx(1.0 - float(answer.scores[0, 0]))


def test_a_share_of_the_services_is_answered_by_the_challenger_and_says_so() -> None:
    lake = Lake()
    served = runtime(models(), lake, ServingSettings(challenger="share", challenger_share=0.4))
    served.start()
    names = [f"service-{number}" for number in range(500)]
    answer = answered(served, rows_of(names))
    served.stop()
    versions = [answer.versions[index] for index in answer.version_index]
    assert versions == ["2" if bucket_of(name) < 4000 else "1" for name in names]
    assert 0.3 < versions.count("2") / len(versions) < 0.5
    high, low = 1 / (1 + np.exp(-0.27)), 1 / (1 + np.exp(0.27))
    assert answer.scores[:, 0] == pytest.approx([low if version == "2" else high for version in versions])
    logged = {entry["service"]: entry["model_version"] for entry in lake.rows()}
    assert logged == dict(zip(names, versions, strict=True))
    assert {entry["role"] for entry in lake.rows()} == {"champion", "challenger"}


def test_shares_nest_so_that_raising_the_share_moves_nobody_back() -> None:
    services = pa.array([f"s{number}" for number in range(300)])
    small = ChallengerPolicy("share", 0.1).answered_by_challenger(services)
    large = ChallengerPolicy("share", 0.6).answered_by_challenger(services)
    assert (large | ~small).all()
    assert not ChallengerPolicy("off", 1.0).answered_by_challenger(services).any()
    assert ChallengerPolicy("share", 1.0).answered_by_challenger(services).all()


def test_keys_alone_are_completed_online_and_staleness_is_unknown_not_normal() -> None:
    served = runtime(models(), Lake(), ServingSettings())
    served.start()
    answer = served.scoring.answer(PREDICT, rows_of(["known", "stale", "nobody"], looked_up=True), RequestOrigin("id"))
    served.stop()
    assert answer.known.tolist() == [True, False, False]
    assert np.isnan(answer.scores[1:]).all()
    assert not answer.anomalous[1:].any()
    assert answer.scores[0, 0] == pytest.approx(1 / (1 + np.exp(-0.1 * 0.5 * 26)))
    assert total_of(served.metrics.unknown_features) == 1 + 27 + 27


def test_score_does_not_look_up() -> None:
    served = runtime(models(), Lake(), ServingSettings())
    served.start()
    with pytest.raises(ProblemError) as refusal:
        served.scoring.answer(SCORE, rows_of(["known"], looked_up=True), RequestOrigin("id"))
    served.stop()
    assert refusal.value.problem.field == "rows[0]"


def test_a_model_without_champion_is_refused_with_503_and_holds_no_other_back() -> None:
    source = MemoryModels()
    source.add(SERVICE_ENSEMBLE, linear(SERVICE_ENSEMBLE, "1", 0.1), "champion")
    served = runtime(source, Lake(), ServingSettings())
    served.start()
    with pytest.raises(ProblemError) as refusal:
        served.scoring.answer(PREDICT, rows_of(["a"]), RequestOrigin("id"))
    readiness = served.readiness()
    served.stop()
    assert refusal.value.problem.status == 503
    assert refusal.value.problem.kind == "model-not-loaded"
    assert readiness.ready
    assert {slot.name for slot in readiness.slots if slot.version is None} == {INCIDENT_PREDICTOR}


def test_with_no_champion_at_all_the_service_is_not_ready() -> None:
    served = runtime(MemoryModels(), Lake(), ServingSettings())
    served.start()
    readiness = served.readiness()
    served.stop()
    assert not readiness.ready


def test_missing_stale_and_fresh_features_are_metrics() -> None:
    features = MemoryFeatures(timedelta(minutes=10))
    features.write_services(online_row("known", NOW - timedelta(seconds=90), 0.5))
    features.write_services(online_row("stale", NOW - timedelta(hours=1), 0.5))
    registry = CollectorRegistry()
    served = Runtime(ServingSettings(), Adapters(models(), features, Lake(), lambda: NOW, MemoryBands()), registry)
    served.start()
    for _ in range(2):
        served.scoring.answer(PREDICT, rows_of(["known", "stale", "absent"], looked_up=True), RequestOrigin("id"))
    served.stop()
    view = {"view": VIEW}
    assert registry.get_sample_value("aiops_feature_view_missing_total", view) == 2
    assert registry.get_sample_value("aiops_feature_view_stale_total", view) == 2
    assert registry.get_sample_value("aiops_feature_view_freshness_seconds", view) == 90


def test_explanations_add_up_and_speak() -> None:
    served = runtime(models(), Lake(), ServingSettings())
    served.start()
    rows = rows_of(["a", "b"], value=0.2)
    rows.features[0, 3] = -5.0
    rows.features[1, :] = np.nan
    explanation = explain(served.scoring, "", rows, RequestOrigin("id"))
    served.stop()
    first, second = explanation.explained
    assert first.contributions[0].feature == SERVICE_FEATURES[3]
    sizes = [abs(item.contribution) for item in first.contributions]
    assert sizes == sorted(sizes, reverse=True)
    assert first.base_value + sum(item.contribution for item in first.contributions) == pytest.approx(first.margin)
    assert first.score == pytest.approx(1 / (1 + np.exp(-first.margin)))
    assert f"Lowered by {SERVICE_FEATURES[3]} = -5 (-0.5)" in first.words
    assert second.contributions == ()
    assert "unknown" in second.words


def test_the_predictor_says_when_a_forecast_leaves_its_band() -> None:
    rng = np.random.default_rng(0)
    sequences = rng.normal(0.3, 0.01, (400, len(SEQUENCE_FEATURES)))
    rising = np.arange(400) % 4 == 0
    latency = [SEQUENCE_FEATURES.index(name) for name in spans_of("latency_level")[-4:]]
    sequences[np.ix_(rising, latency)] = 0.305 + 0.005 * np.arange(4)
    rows = RequestRows(
        pa.array(["a"] * 400),
        pa.array([NOW] * 400, TIMESTAMP),
        np.full((400, len(SERVICE_FEATURES)), 0.2),
        np.zeros(400, dtype=np.bool_),
        sequences.astype(np.float32),
    )
    matrix = rows.matrix(PredictorConfig().features)
    model = IncidentPredictor.fit(matrix, np.stack([rising] * 3, axis=1).astype(np.float64), PredictorConfig(rounds=30))
    source = models()
    source.add(INCIDENT_PREDICTOR, served_model(model, "3", matrix[:4], model.score(matrix[:4])), "champion")
    served = runtime(source, Lake(), ServingSettings())
    served.start()
    explained = explain(served.scoring, "", rows.take(np.array([0, 1])), RequestOrigin("id")).explained
    served.stop()
    assert "Raised by latency leaves its band in " in explained[0].words
    assert explained[0].contributions[0].feature == "latency_leaves_band_in_min"
    assert explained[0].score == pytest.approx(1 / (1 + np.exp(-explained[0].margin)), abs=1e-5)
    assert explained[1].score < explained[0].score


def test_a_lake_that_fails_for_a_while_loses_nothing() -> None:
    lake = Lake(refusals=2)
    served = runtime(models(), lake, ServingSettings(served_flush_s=0.01))
    served.start()
    for _ in range(5):
        answered(served, rows_of(["a", "b"]))
    served.stop()
    assert len(lake.rows()) == 10
    assert total_of(served.metrics.served_failures) == 2
    assert total_of(served.metrics.served_dropped) == 0


def test_what_exceeds_the_queue_is_dropped_oldest_first_and_counted() -> None:
    lake, metrics = Lake(), ScoringMetrics(CollectorRegistry())
    log = ServedLog(lake, 1000, 60.0, metrics, "process")
    for number in range(15):
        rows = rows_of([f"{number}"] * 100)
        entry = served_rows(NOW, rows, np.zeros(100))
        log.append(entry)
    assert log.queued_rows == 1000
    log.flush()
    assert total_of(metrics.served_dropped) == 500
    assert [entry["service"] for entry in lake.rows()] == [f"{number}" for number in range(5, 15) for _ in range(100)]


def test_flushes_gather_in_parts_that_end_when_full_or_with_the_hour() -> None:
    lake, metrics = Lake(), ScoringMetrics(CollectorRegistry())
    log = ServedLog(lake, 1_000_000, 60.0, metrics, "process")
    moments = [NOW + timedelta(minutes=10 * number) for number in range(10)]
    sizes = [100] * 9 + [PART_ROWS]
    for moment, size in zip(moments, sizes, strict=True):
        rows = rows_of(["a"] * size)
        log.append(served_rows(moment, rows, np.zeros(size)))
        assert log.flush() == size
    assert [table.num_rows for table in lake.tables.values()] == [600, 300, PART_ROWS]
    assert [row["served_at"] for row in lake.rows()] == np.repeat(moments, sizes).tolist()
    assert total_of(metrics.served_rows) == sum(sizes)


class Lakes:
    """A lake a tenant; that of a tenant in `refusing` takes nothing."""

    def __init__(self) -> None:
        self.held: dict[str, Lake] = {}
        self.refusing: set[str] = set()

    def for_tenant(self, tenant: str) -> Lake:
        lake = self.held.setdefault(tenant, Lake())
        lake.refusals = int(tenant in self.refusing)
        return lake


def test_each_tenants_rows_go_to_its_own_lake_whatever_becomes_of_the_others() -> None:
    lakes, metrics = Lakes(), ScoringMetrics(CollectorRegistry())
    log = ServedLog(lakes, 1_000_000, 60.0, metrics, "process")
    lakes.refusing = {"acme"}
    for number in range(3):
        for tenant in ("default", "acme"):
            log.append(served_rows(NOW, rows_of([f"{tenant}-{number}"]), np.zeros(1), tenant))
        log.flush()
    assert [row["service"] for row in lakes.held["default"].rows()] == ["default-0"]  # the rest waits: nothing is lost
    lakes.refusing = set()
    assert log.flush() == 5
    for tenant in ("default", "acme"):
        assert [row["service"] for row in lakes.held[tenant].rows()] == [f"{tenant}-{number}" for number in range(3)]
        assert len(lakes.held[tenant].tables) == 1


def test_parts_of_many_tenants_are_held_within_bounds() -> None:
    lakes, metrics = Lakes(), ScoringMetrics(CollectorRegistry())
    log = ServedLog(lakes, 1_000_000, 60.0, metrics, "process")
    for turn in range(2):
        for number in range(MOST_PARTS + 10):
            log.append(served_rows(NOW, rows_of([f"s{turn}"]), np.zeros(1), f"t{number}"))
        log.flush()
        assert log.open_parts == MOST_PARTS
    assert all([row["service"] for row in lake.rows()] == ["s0", "s1"] for lake in lakes.held.values())


def slots_of(source: MemoryModels, *aliases: str) -> ModelSlots:
    return ModelSlots((NAME,), aliases or ("champion",), source, Swaps())


def version(slots: ModelSlots, tenant: str, alias: str = "champion") -> str | None:
    slot = slots.of(NAME, alias, tenant)
    return slot.current.version if slot is not None and slot.current is not None else None


def test_a_tenants_own_model_answers_it_once_it_is_loaded_and_nobody_else() -> None:
    source = MemoryModels()
    source.add(NAME, linear(NAME, "1", 0.25), "champion")
    slots = slots_of(source)
    slots.poll()
    assert [version(slots, tenant) for tenant in ("default", "acme", "acme2")] == ["1", "1", "1"]
    source.add(own_name(NAME, "acme"), linear(NAME, "7", 0.5), "champion")
    assert version(slots, "acme") == "1"
    assert slots.poll()
    assert [version(slots, tenant) for tenant in ("default", "acme", "acme2")] == ["1", "7", "1"]
    assert [slot.name for slot in slots.shared] == [NAME]
    del source.aliases[own_name(NAME, "acme"), "champion"]
    slots.poll()
    assert version(slots, "acme") == "1"


def test_a_tenants_own_model_that_is_damaged_leaves_the_shared_one() -> None:
    source = MemoryModels()
    source.add(NAME, linear(NAME, "1", 0.25), "champion")
    source.aliases[own_name(NAME, "acme"), "champion"] = "9"
    slots = slots_of(source)
    slots.poll()
    assert version(slots, "acme") == "1"


def test_an_own_champion_goes_with_its_own_challenger() -> None:
    source = MemoryModels()
    source.add(NAME, linear(NAME, "1", 0.25), "champion")
    source.add(NAME, linear(NAME, "2", 0.25), "challenger")
    source.add(own_name(NAME, "acme"), linear(NAME, "7", 0.5), "champion")
    slots = slots_of(source, "champion", "challenger")
    slots.poll()
    assert version(slots, "default", "challenger") == "2"
    assert version(slots, "acme", "challenger") is None


def test_own_models_are_held_within_bounds() -> None:
    source = MemoryModels()
    source.add(NAME, linear(NAME, "1", 0.25), "champion")
    for number in range(MOST_TENANTS + 3):
        source.add(own_name(NAME, f"t{number:03d}"), linear(NAME, "7", 0.5), "champion")
    slots = slots_of(source)
    slots.poll()
    held = [version(slots, f"t{number:03d}") for number in range(MOST_TENANTS + 3)]
    assert held == ["7"] * MOST_TENANTS + ["1"] * 3
