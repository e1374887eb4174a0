"""Checkpoints: two generations, chosen by what the broker has committed, damage noticed."""

import os
from pathlib import Path

import numpy as np
import pytest

from serving.stream.consumer.checkpoint import Checkpoint, CheckpointStore, state_hash


def state(number: float) -> dict[str, np.ndarray]:
    return {"ring": np.full((3, 4), number), "names": np.array(["web|cpu", "zahlung|ü"]), "counts": np.arange(3)}


def saved(folder: Path, *ids: str) -> CheckpointStore:
    store = CheckpointStore(folder, 0)
    for number, entry_id in enumerate(ids):
        store.save(Checkpoint(entry_id, state(number)))
    return store


def test_the_newest_at_or_before_the_committed_position_is_taken(tmp_path: Path) -> None:
    store = saved(tmp_path, "9-0", "10-0")
    newest, passed = store.load("10-0")
    assert newest is not None
    assert newest.through == "10-0"
    assert state_hash(newest.state) == state_hash(state(1))
    assert not passed


def test_a_checkpoint_ahead_of_the_commit_is_passed_over(tmp_path: Path) -> None:
    store = saved(tmp_path, "9-0", "10-0")
    older, passed = store.load("9-7")
    assert older is not None
    assert older.through == "9-0"
    assert "ahead of the committed 9-7" in passed[0]
    assert store.load("8-0")[0] is None


@pytest.mark.parametrize("damage", [b"", b"no zip at all", None])
def test_a_damaged_newest_falls_back_to_the_previous(tmp_path: Path, damage: bytes | None) -> None:
    store = saved(tmp_path, "9-0", "10-0")
    path = tmp_path / "stage1-0.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    checkpoint, passed = store.load("10-0")
    assert checkpoint is not None
    assert checkpoint.through == "9-0"
    assert "damaged" in passed[0]


def test_pickled_arrays_are_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "stage1-0.npz", **{"checkpoint/format": np.array(1), "evil": np.array([object()], dtype=object)})
    checkpoint, passed = CheckpointStore(tmp_path, 0).load("10-0")
    assert checkpoint is None
    assert "damaged" in passed[0]


def test_a_file_left_half_written_is_ignored_and_replaced(tmp_path: Path) -> None:
    (tmp_path / "stage1-0.tmp").write_bytes(b"half")
    store = saved(tmp_path, "3-0")
    checkpoint, _ = store.load("3-0")
    assert checkpoint is not None
    assert not (tmp_path / "stage1-0.tmp").exists()


def test_entries_stay_needed_from_the_previous_generation_on(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, 0)
    seen = [store.replayable_from]
    for entry_id in ("1-0", "2-0", "3-0"):
        store.save(Checkpoint(entry_id, state(0)))
        seen.append(store.replayable_from)
    assert seen == ["0-0", "0-0", "1-0", "2-0"]


def test_the_hash_sees_values_types_shapes_and_names() -> None:
    assert state_hash({"a": np.zeros(4)}) == state_hash({"a": np.zeros(4)})
    others = [{"a": np.ones(4)}, {"a": np.zeros((2, 2))}, {"a": np.zeros(4, np.int64)}, {"b": np.zeros(4)}]
    assert len({state_hash(other) for other in [*others, {"a": np.zeros(4)}]}) == 5


def save_as(folder: Path, epoch: int, *ids: str) -> CheckpointStore:
    store = CheckpointStore(folder, 0, epoch)
    for number, entry_id in enumerate(ids):
        store.save(Checkpoint(entry_id, state(number)))
    return store


def test_the_next_owner_goes_on_from_what_the_former_saved(tmp_path: Path) -> None:
    save_as(tmp_path, 1, "9-0", "10-0")
    checkpoint, passed = CheckpointStore(tmp_path, 0, 2).load("10-5")
    assert checkpoint is not None
    assert checkpoint.through == "10-0"
    assert not passed


def test_an_owner_that_was_stopped_and_goes_on_replaces_nothing_newer(tmp_path: Path) -> None:
    stopped = save_as(tmp_path, 1, "9-0", "10-0")
    save_as(tmp_path, 2, "12-0")
    stopped.save(Checkpoint("11-0", state(7)))
    checkpoint, _ = CheckpointStore(tmp_path, 0, 3).load("12-0")
    assert checkpoint is not None
    assert checkpoint.through == "12-0"


def test_files_of_earlier_owners_go_when_there_are_two_generations_of_a_later_one(tmp_path: Path) -> None:
    save_as(tmp_path, 1, "9-0", "10-0")
    (tmp_path / "stage1-0.e1.tmp").write_bytes(b"half")
    (tmp_path / "stage1-1.e1.npz").write_bytes(b"of another partition")
    later = save_as(tmp_path, 2, "12-0")
    assert (tmp_path / "stage1-0.e1.npz").exists()
    later.save(Checkpoint("13-0", state(1)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stage1-0.e2.npz", "stage1-0.e2.previous.npz", "stage1-1.e1.npz"]


def test_one_whose_files_went_while_it_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = save_as(tmp_path, 1, "9-0")
    synced = os.fsync

    def stopped_while_writing(file: int) -> None:
        synced(file)
        monkeypatch.undo()
        save_as(tmp_path, 2, "12-0", "13-0")

    monkeypatch.setattr(os, "fsync", stopped_while_writing)
    assert stopped.save_if_room(Checkpoint("10-0", state(1))) is None
    checkpoint, _ = CheckpointStore(tmp_path, 0, 3).load("13-0")
    assert checkpoint is not None
    assert checkpoint.through == "13-0"


def test_checkpoints_of_another_state_store_are_passed_over(tmp_path: Path) -> None:
    save_as(tmp_path, 7, "9-0", "10-0")
    checkpoint, passed = CheckpointStore(tmp_path, 0, 1).load("11-0")
    assert checkpoint is None
    assert "of another state store" in passed[0]
