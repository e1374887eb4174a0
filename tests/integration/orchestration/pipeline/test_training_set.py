"""Training sets know what was known: features as of the decision, labels by what followed, nothing that came later."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from aiops.errors import TrainingImpossible
from aiops.features.sequences import Sequences
from aiops.simulator.simulation_config import SimulationConfig
from aiops.types import ModelVersion
from data_contracts.schemas.telemetry_schemas import INCIDENTS, SEQUENCE_FEATURES, SERVICE_FEATURES, SERVICE_FEATURES_TABLE
from orchestration.pipeline.training_set import (
    FACTS,
    LABEL_DELAY,
    LABELS,
    MINUTES_TO_START,
    TrainingRequest,
    TrainingSet,
    build_training_set,
    remembered_training_set,
    training_set_of_challenger,
)
from orchestration.workspace.workspace import Workspace
from serving.stream.streams import single_batch
from tests.testing.small_lake import DAY, STEP_S, filled, open_space

HOURS = 30
AT = DAY + timedelta(hours=24)
FEATURES = list(SERVICE_FEATURES)
KEY = ["service", "event_timestamp"]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a home with a day and six hours of three services; training is as of the end of the day."""
    config = SimulationConfig(services=3, hours=HOURS, step_s=STEP_S, incidents_per_day=8)
    return filled(tmp_path_factory.mktemp("training"), config)


def built(workspace: Workspace, at: datetime = AT) -> pd.DataFrame:
    return build_training_set(workspace, TrainingRequest(at), lambda _: None).frame().sort_values(KEY).reset_index(drop=True)


def stored(workspace: Workspace) -> pd.DataFrame:
    return workspace.lake.read("service_features").to_pandas()


def test_features_are_those_available_at_the_decision(lake: Workspace) -> None:
    frame = built(lake)
    known = stored(lake)
    known = known[known["available_at"] <= AT].sort_values(KEY).reset_index(drop=True)
    assert len(frame) == len(known) == 3 * (24 * 3600 // STEP_S)
    pd.testing.assert_frame_equal(frame[[*KEY, *FEATURES]], known[[*KEY, *FEATURES]], check_exact=True)
    assert frame["event_timestamp"].max() < AT


def test_sequences_are_those_of_the_stream_as_of_the_decision(lake: Workspace) -> None:
    frame = built(lake)
    rows = lake.lake.read("service_features").sort_by([("event_timestamp", "ascending")])
    stream = Sequences(STEP_S * 1_000_000)
    sequences = [stream.update(part) for part in (single_batch(rows).slice(0, 10), single_batch(rows).slice(10))]
    known = rows.select(KEY).to_pandas().assign(place=range(rows.num_rows))
    places = frame[KEY].merge(known, on=KEY, how="left", validate="one_to_one")["place"].to_numpy()
    wanted = np.concatenate(sequences)[places]
    np.testing.assert_array_equal(frame[list(SEQUENCE_FEATURES)].to_numpy(), wanted)
    whole = np.isfinite(wanted).any(axis=1)
    assert 0.5 < whole.mean() < 1.0
    later = built(lake, AT + timedelta(hours=3)).merge(frame[KEY], on=KEY)
    np.testing.assert_array_equal(later.sort_values(KEY)[list(SEQUENCE_FEATURES)].to_numpy(), wanted)


def test_labels_say_what_followed(lake: Workspace) -> None:
    frame = built(lake)
    incidents = lake.incidents(AT).to_pandas()
    assert len(incidents) >= 4
    wanted = np.full((len(frame), 4), np.nan)
    for number, row in enumerate(frame.itertuples()):
        own = incidents[incidents["service"] == row.service]
        running = ((own["starts_at"] <= row.event_timestamp) & (row.event_timestamp < own["ends_at"])).any()
        if running or row.event_timestamp > AT - LABEL_DELAY:
            continue
        left = (own["starts_at"] - row.event_timestamp).dt.total_seconds() / 60
        minutes = left[left > 0].min() if (left > 0).any() else np.inf
        wanted[number] = minutes <= 5, minutes <= 15, minutes <= 60, minutes
    labels = frame[[*LABELS, MINUTES_TO_START]].to_numpy(dtype=np.float64)
    np.testing.assert_array_equal(labels, wanted)
    assert 0 < np.nansum(wanted[:, 0]) < np.nansum(wanted[:, 1]) < np.nansum(wanted[:, 2])


def test_rows_whose_future_is_not_known_yet_have_no_label(lake: Workspace) -> None:
    frame = built(lake)
    young = frame["event_timestamp"] > AT - LABEL_DELAY
    assert young.sum() > 50
    assert frame.loc[young, [*LABELS, MINUTES_TO_START]].isna().all(axis=None)
    assert frame.loc[~young, LABELS[0]].notna().mean() > 0.8


def test_what_comes_later_changes_nothing(lake: Workspace, tmp_path: Path) -> None:
    """Telemetry, incidents and corrections that become known after the decision leave every row as it was."""
    before = built(lake)
    workspace = open_space(tmp_path)
    for table in ("service_features", "series_features", "incidents", "edges", "telemetry"):
        workspace.lake.write(table, lake.lake.read(table), key="copy")
    rows = stored(lake)
    corrected = rows[rows["available_at"] <= AT].assign(**dict.fromkeys(FEATURES, 999.0))
    corrected["available_at"] = AT + timedelta(minutes=1)
    write_features(workspace, corrected, "correction")
    write_incident(workspace, before["service"].iloc[0], AT - timedelta(hours=10), known_at=AT + timedelta(hours=1))
    pd.testing.assert_frame_equal(built(workspace), before, check_exact=True)


def test_a_correction_does_not_reach_back_to_its_tick(lake: Workspace, tmp_path: Path) -> None:
    """A row of the same tick that became available an hour later was not known at the decision on that tick."""
    before = built(lake)
    workspace = open_space(tmp_path)
    for table in ("service_features", "series_features", "incidents", "edges", "telemetry"):
        workspace.lake.write(table, lake.lake.read(table), key="copy")
    rows = stored(lake)
    tick = rows["event_timestamp"] == pd.Timestamp(DAY + timedelta(hours=12))
    corrected = rows[tick].assign(**dict.fromkeys(FEATURES, 999.0))
    corrected["available_at"] += timedelta(hours=1)
    write_features(workspace, corrected, "zz-correction")
    write_features(workspace, corrected.assign(available_at=corrected["available_at"] + timedelta(hours=1)), "aa-correction")
    after = built(workspace)
    of_tick = after["event_timestamp"] == pd.Timestamp(DAY + timedelta(hours=12))
    assert of_tick.sum() == 3
    assert not (after.loc[of_tick, FEATURES] == 999.0).any(axis=None)
    pd.testing.assert_frame_equal(after[of_tick], before[of_tick], check_exact=True)


def test_ticks_that_became_available_together_keep_their_own_vectors(lake: Workspace, tmp_path: Path) -> None:
    """A stream that catches up closes an hour of ticks at once: an older tick must not get the newest one's features."""
    workspace = open_space(tmp_path)
    for table in ("series_features", "incidents", "edges", "telemetry"):
        workspace.lake.write(table, lake.lake.read(table), key="copy")
    rows = stored(lake)
    rows["available_at"] = rows["event_timestamp"].dt.floor("1h") + timedelta(hours=1, seconds=30)
    write_features(workspace, rows, "catching-up")
    before, after = built(lake), built(workspace)
    assert len(after) == len(before) - 3 * 3600 // STEP_S  # the last hour was not known yet
    shared = before.merge(after[KEY], on=KEY)
    pd.testing.assert_frame_equal(after[[*KEY, *FEATURES]], shared[[*KEY, *FEATURES]], check_exact=True)


def test_an_incident_counts_once_it_is_known(lake: Workspace, tmp_path: Path) -> None:
    workspace = open_space(tmp_path)
    for table in ("service_features", "series_features", "incidents", "edges", "telemetry"):
        workspace.lake.write(table, lake.lake.read(table), key="copy")
    service, start = "gateway", AT - timedelta(hours=10)
    before = built(workspace)
    write_incident(workspace, service, start, known_at=AT - timedelta(hours=9))
    after = built(workspace)
    ahead = (after["service"] == service) & (after["event_timestamp"] == pd.Timestamp(start - timedelta(minutes=10)))
    assert after.loc[ahead, list(LABELS)].to_numpy().tolist() == [[0.0, 1.0, 1.0]]
    elsewhere = after["service"] != service
    pd.testing.assert_frame_equal(after[elsewhere], before[elsewhere], check_exact=True)


def test_a_set_is_passed_with_its_request(lake: Workspace) -> None:
    recent = AT - timedelta(hours=6)
    made = build_training_set(lake, TrainingRequest(AT, recent), lambda _: None)
    assert TrainingSet.of_text(made.text) == made
    assert (made.at, made.recent_from, made.step_s) == (AT, recent, STEP_S)
    assert made.rows == len(made.frame())
    assert made.positives == int((made.frame()[list(LABELS)].max(axis="columns") > 0).sum())


def test_without_features_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TrainingImpossible, match="no service features before"):
        build_training_set(open_space(tmp_path), TrainingRequest(AT), lambda _: None)
    with pytest.raises(TrainingImpossible, match="aiops train"):
        remembered_training_set(open_space(tmp_path))


def write_features(workspace: Workspace, rows: pd.DataFrame, key: str) -> None:
    table = pa.Table.from_pandas(rows[SERVICE_FEATURES_TABLE.names], schema=SERVICE_FEATURES_TABLE, preserve_index=False)
    workspace.lake.write("service_features", table, key=key)


def write_incident(workspace: Workspace, service: str, start: datetime, known_at: datetime) -> None:
    row = {
        "incident_id": "late",
        "service": service,
        "kind": "bad_deployment",
        "onset_at": start,
        "starts_at": start,
        "ends_at": start + timedelta(minutes=20),
        "known_at": known_at,
    }
    workspace.lake.write("incidents", pa.Table.from_pylist([row], schema=INCIDENTS), key="late")


def test_the_gate_reads_the_set_that_the_candidate_saw(lake: Workspace) -> None:
    seen = build_training_set(lake, TrainingRequest(AT), lambda _: None)
    newer = build_training_set(lake, TrainingRequest(AT - timedelta(hours=1)), lambda _: None)
    again = build_training_set(lake, TrainingRequest(AT), lambda _: None)
    assert len({seen.path, newer.path, again.path}) == 3, "a set that was built is never written over"
    challenger = ModelVersion("any", "1", (), "run", AT, {FACTS: newer.text})
    assert training_set_of_challenger(lake, challenger) == newer


def test_a_home_of_0_1_still_knows_its_last_set(lake: Workspace) -> None:
    with pytest.raises(TrainingImpossible, match="aiops train"):
        remembered_training_set(lake)
    made = build_training_set(lake, TrainingRequest(AT), lambda _: None)
    pointer = lake.folder("training") / "latest.json"
    assert not pointer.exists(), "nothing is looked up, so nothing is written to be looked up"
    pointer.write_text(made.text)
    try:
        assert training_set_of_challenger(lake, ModelVersion("any", "1", (), "run", AT, {})) == made
    finally:
        pointer.unlink()
