"""Where a reader begins: with a state, anew, or not at all where the state is not of these settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from aiops.errors import OutdatedState, StateError
from serving.stream.consumer.checkpoint import Checkpoint, CheckpointStore
from serving.stream.consumer.recovery import Recovery

State = Mapping[str, npt.NDArray[Any]]


class Stream:
    """A stream of which everything up to `trimmed` is gone."""

    def __init__(self, trimmed: str) -> None:
        self.trimmed = trimmed

    def trimmed_id(self, stream: str) -> str:
        return self.trimmed


class Committed:
    """A reader that has committed up to 9-0."""

    through, epoch = "9-0", 1

    def stored(self, name: str) -> str:
        return ""


def recovered(folder: Path, error: StateError | None = None, trimmed: str = "3-0") -> tuple[str, str]:
    """Return where a reader with a state up to 5-0 begins, and what its state is made by."""
    store = CheckpointStore(folder, 0, epoch=1)
    store.save(Checkpoint("5-0", {"a": np.zeros(1)}))
    lost: list[str] = []

    def restore(state: State) -> str:
        if error is not None:
            raise error
        return "restored"

    broker: Any = Stream(trimmed)
    position: Any = Committed()
    place: Any = None
    recovery = Recovery("partition 0", broker, "s", position, store, place, lambda: "new", restore, lambda: lost.append("lost"))
    start, made = recovery.run()
    assert lost == (["lost"] if made == "new" else [])
    return start, made


def test_it_goes_on_with_its_state(tmp_path: Path) -> None:
    assert recovered(tmp_path) == ("5-0", "restored")


def test_a_state_of_another_version_is_made_anew_of_what_is_there(tmp_path: Path) -> None:
    assert recovered(tmp_path, OutdatedState("version 1")) == ("3-0", "new")


def test_where_entries_after_the_state_are_gone_it_warms_up_behind_them(tmp_path: Path) -> None:
    assert recovered(tmp_path, trimmed="7-0") == ("9-0", "new")


def test_a_state_of_other_settings_is_refused_with_the_folder_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StateError) as refusal:
        recovered(
            tmp_path / "consumer", StateError("made with configuration [60], not [30]; remove the checkpoint to warm up anew")
        )
    assert str(refusal.value) == (
        "partition 0: made with configuration [60], not [30]; remove the checkpoint to warm up anew, "
        f"all of it: {tmp_path / 'consumer'}; or set back what you changed in section telemetry"
    )
