"""A miner as plain arrays and a JSON manifest, and back: versioned, no pickle, the same bytes for equal miners."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aiops.errors import OutdatedState, StateError
from aiops.signals.templates.evolution import Change, Event
from aiops.signals.templates.fitness import FitRules, StreamCounts, Unfit
from aiops.signals.templates.held_shapes import Capacity
from aiops.signals.templates.miner import MinerRules, TemplateMiner
from aiops.signals.templates.normal_form import Tokens
from aiops.signals.templates.shapes import MergeRules, Shape
from aiops.types import State

VERSION: Final = 1
"""Version of the rules that cut lines to tokens and of this layout: ids of shapes are the same within a version."""
_FIX: Final = "remove the state to mine anew"


@dataclass(frozen=True, slots=True)
class MinerState:
    """Arrays by name, and a JSON object that says what they are."""

    arrays: State
    manifest: str


def state_of(miner: TemplateMiner) -> MinerState:
    """Return the state of a miner. Cost: one copy of what it holds."""
    manifest = {
        "version": VERSION,
        "shapes": len(miner.held.shapes),
        "rules": asdict(miner.rules),
        "counts": asdict(miner.counts),
        "settled_at_lines": miner.settled_at_lines,
        "next_lines": miner.next_lines,
        "next_shapes": miner.next_shapes,
        "forgotten": miner.held.forgotten,
        "dropped_events": miner.evolution.dropped,
        "unfit": asdict(miner.unfit) if miner.unfit else None,
    }
    arrays = _shape_arrays(miner) | _event_arrays(miner)
    return MinerState(arrays, json.dumps(manifest, sort_keys=True))


def miner_of(state: MinerState) -> TemplateMiner:
    """Return the miner of a state: it goes on as the one that was saved would have.

    Raises:
        OutdatedState: the state is of another version.
        StateError: the state is damaged.
    """
    try:
        manifest = json.loads(state.manifest)
        if manifest["version"] != VERSION:
            raise OutdatedState(f"templates are of version {manifest['version']}, this program reads {VERSION}; {_FIX}")
        return _restored(state.arrays, manifest)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise StateError(f"the state of log templates is damaged: {error}; {_FIX}") from error


def _restored(arrays: State, manifest: dict[str, Any]) -> TemplateMiner:
    rules = manifest["rules"]
    miner = TemplateMiner(MinerRules(MergeRules(**rules["merge"]), FitRules(**rules["fit"]), Capacity(**rules["capacity"])))
    shapes = _shapes(arrays)
    if len(shapes) != manifest["shapes"]:
        raise ValueError(f"{manifest['shapes']} shapes were saved, {len(shapes)} are there")
    miner.held.restore(shapes, arrays["settled_lines"], arrays["template_id"])
    miner.held.forgotten = manifest["forgotten"]
    miner.counts = StreamCounts(**manifest["counts"])
    miner.settled_at_lines = manifest["settled_at_lines"]
    miner.next_lines, miner.next_shapes = manifest["next_lines"], manifest["next_shapes"]
    miner.unfit = Unfit(**manifest["unfit"]) if manifest["unfit"] else None
    miner.evolution.dropped = manifest["dropped_events"]
    miner.evolution.events = _events(arrays)
    pairs = zip(arrays["successor_from"].tolist(), arrays["successor_to"].tolist(), strict=True)
    miner.evolution.successors = dict(pairs)
    return miner


def _shape_arrays(miner: TemplateMiner) -> dict[str, npt.NDArray[Any]]:
    shapes = miner.held.shapes
    arrays: dict[str, npt.NDArray[Any]] = {
        "shape_id": np.array([shape.shape_id for shape in shapes], np.uint64),
        "template_id": np.array(list(miner.held.assignment().values()), np.uint64),
        "lines": np.array([shape.lines for shape in shapes], np.int64),
        "first_s": np.array([shape.first_s for shape in shapes], np.int64),
        "last_s": np.array([shape.last_s for shape in shapes], np.int64),
        "settled_lines": miner.held.settled_lines,
        "token_offset": _offsets([shape.tokens.hashes.size for shape in shapes]),
        "example_offset": _offsets([len(shape.example) for shape in shapes]),
        "example": np.frombuffer(b"".join(shape.example for shape in shapes), np.uint8),
    }
    for number, (name, kind) in enumerate(zip(Tokens._fields, ("u8", "u1", "u1", "i8", "i8"), strict=True)):
        parts = [shape.tokens[number] for shape in shapes]
        arrays[f"token_{name}"] = np.concatenate(parts) if parts else np.zeros(0, kind)
    return arrays


def _shapes(arrays: State) -> list[Shape]:
    tokens, examples = arrays["token_offset"].tolist(), arrays["example_offset"].tolist()
    fields = [arrays[f"token_{name}"] for name in Tokens._fields]
    data = arrays["example"].tobytes()
    names = ("shape_id", "first_s", "last_s", "lines")
    rows = zip(*(arrays[name].tolist() for name in names), strict=True)
    return [
        Shape(
            shape_id,
            Tokens(*(field[tokens[row] : tokens[row + 1]] for field in fields)),
            data[examples[row] : examples[row + 1]],
            first_s,
            last_s,
            lines,
        )
        for row, (shape_id, first_s, last_s, lines) in enumerate(rows)
    ]


def _event_arrays(miner: TemplateMiner) -> dict[str, npt.NDArray[Any]]:
    events, successors = miner.evolution.events, miner.evolution.successors
    return {
        "event_change": np.array([event.change for event in events], np.uint8),
        "event_template": np.array([event.template_id for event in events], np.uint64),
        "event_s": np.array([event.at_s for event in events], np.int64),
        "event_into": np.array([key for event in events for key in event.into], np.uint64),
        "event_into_offset": _offsets([len(event.into) for event in events]),
        "successor_from": np.array(list(successors), np.uint64),
        "successor_to": np.array(list(successors.values()), np.uint64),
    }


def _events(arrays: State) -> list[Event]:
    into, offsets = arrays["event_into"].tolist(), arrays["event_into_offset"].tolist()
    names = ("event_change", "event_template", "event_s")
    rows = zip(*(arrays[name].tolist() for name in names), strict=True)
    return [
        Event(Change(change), template, at_s, tuple(into[offsets[row] : offsets[row + 1]]))
        for row, (change, template, at_s) in enumerate(rows)
    ]


def _offsets(sizes: list[int]) -> npt.NDArray[np.int64]:
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return offsets
