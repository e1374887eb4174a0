"""Model artifacts: a folder with `manifest.json`, `arrays.npz` and boosters as `.ubj`; every file hashed, nothing unpickled."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from aiops.errors import ArtifactError
from aiops.types import FloatArray, State
from models.artifacts.catalog import FittedModel, model_class

FORMAT_VERSION: Final = 1
MANIFEST: Final = "manifest.json"
ARRAYS: Final = "arrays.npz"
EXAMPLE: Final = "example.npz"


@dataclass(frozen=True, slots=True)
class Example:
    """Input rows (n, features) and the scores (n, outputs) that the model gave when it was saved: the swap check."""

    rows: FloatArray
    scores: FloatArray


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the artifact is; `files` maps file name to sha256."""

    format_version: int
    model: str
    features: tuple[str, ...]
    outputs: tuple[str, ...]
    thresholds: tuple[float, ...]
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A loaded artifact; `digest` = sha256 of the manifest, so it names every byte. `example` is None where none was saved."""

    model: FittedModel
    manifest: Manifest
    example: Example | None
    digest: str


def names_array(names: tuple[str, ...]) -> npt.NDArray[np.uint8]:
    """Return names as UTF-8 JSON bytes: text in a state without pickling or fixed widths.

    >>> array_names(names_array(("a|b", "ü")))
    ('a|b', 'ü')
    """
    return np.frombuffer(json.dumps(list(names), ensure_ascii=False).encode(), dtype=np.uint8)


def array_names(array: npt.NDArray[Any]) -> tuple[str, ...]:
    """Return the names that `names_array` wrote.

    Raises:
        ArtifactError: the bytes are no JSON list of texts.
    """
    try:
        names = json.loads(array.astype(np.uint8).tobytes())
    except ValueError as error:
        raise ArtifactError("a list of names in the model state is no UTF-8 JSON; save the model again") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ArtifactError("a list of names in the model state holds something else than texts; save the model again")
    return tuple(names)


def state_array(state: State, name: str) -> npt.NDArray[Any]:
    """Return one array of a state.

    Raises:
        ArtifactError: it is missing.
    """
    if name not in state:
        raise ArtifactError(f"array {name!r} is missing from the model state, which has {sorted(state)}; save the model again")
    return state[name]


def save_model(model: FittedModel, folder: Path, example: Example | None = None) -> Manifest:
    """Write the artifact into `folder` (made if absent, else its files are replaced); the manifest comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    state = model.state()
    payloads = {name: array.astype(np.uint8).tobytes() for name, array in state.items() if name.endswith(".ubj")}
    payloads[ARRAYS] = _pack({name: array for name, array in state.items() if not name.endswith(".ubj")})
    if example is not None:
        payloads[EXAMPLE] = _pack({"rows": example.rows, "scores": example.scores})
    for name, payload in payloads.items():
        _write(folder / name, payload)
    hashes = {name: hashlib.sha256(payload).hexdigest() for name, payload in sorted(payloads.items())}
    manifest = Manifest(
        FORMAT_VERSION, model.catalog_name, model.features, model.outputs, tuple(map(float, model.thresholds)), hashes
    )
    _write(folder / MANIFEST, json.dumps(asdict(manifest), indent=1, sort_keys=True).encode())
    return manifest


def load_artifact(folder: Path) -> Artifact:
    """Read and check an artifact.

    Raises:
        ArtifactError: a file is missing, its hash differs, the format is of another version, or the model is unknown.
    """
    manifest, digest = read_manifest(folder)
    payloads = {name: _checked(folder, name, expected) for name, expected in manifest.files.items()}
    if ARRAYS not in payloads:
        raise ArtifactError(f"{folder / MANIFEST}: files lacks {ARRAYS!r}; save the model again")
    state: dict[str, npt.NDArray[Any]] = _unpack(payloads[ARRAYS], folder / ARRAYS)
    state |= {name: np.frombuffer(data, dtype=np.uint8) for name, data in payloads.items() if name.endswith(".ubj")}
    model = model_class(manifest.model).from_state(state)
    if (model.features, model.outputs) != (manifest.features, manifest.outputs):
        raise ArtifactError(f"{folder}: features or outputs of the manifest differ from the state's; save the model again")
    example = None
    if EXAMPLE in payloads:
        arrays = _unpack(payloads[EXAMPLE], folder / EXAMPLE)
        example = Example(state_array(arrays, "rows"), state_array(arrays, "scores"))
    return Artifact(model, manifest, example, digest)


def load_model(folder: Path) -> FittedModel:
    """Return the model of an artifact, checked; raises ArtifactError as `load_artifact` does."""
    return load_artifact(folder).model


def read_manifest(folder: Path) -> tuple[Manifest, str]:
    """Return the manifest and its sha256, without reading the other files.

    Raises:
        ArtifactError: it is missing, damaged or of another format version.
    """
    path = folder / MANIFEST
    try:
        payload = path.read_bytes()
        raw = json.loads(payload)
        version = raw["format_version"]
        manifest = Manifest(
            version,
            str(raw["model"]),
            tuple(map(str, raw["features"])),
            tuple(map(str, raw["outputs"])),
            tuple(map(float, raw["thresholds"])),
            {str(name): str(value) for name, value in raw["files"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{path} cannot be read as a model manifest ({error}); save or export the model again") from error
    if version != FORMAT_VERSION:
        raise ArtifactError(f"{path}: format_version is {version}, this suite reads {FORMAT_VERSION}; train the model again")
    return manifest, hashlib.sha256(payload).hexdigest()


def _pack(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    buffer = BytesIO()
    np.savez(buffer, allow_pickle=False, **dict(sorted(arrays.items())))
    return buffer.getvalue()


def _unpack(payload: bytes, path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with np.load(BytesIO(payload), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, BadZipFile, OSError) as error:
        raise ArtifactError(f"{path} holds no plain arrays ({error}); save the model again") from error


def _checked(folder: Path, name: str, expected: str) -> bytes:
    if Path(name).name != name or name in {"", ".", ".."}:
        raise ArtifactError(f"{folder / MANIFEST}: file name {name!r} must be a plain name inside the artifact's folder")
    try:
        payload = (folder / name).read_bytes()
    except OSError as error:
        raise ArtifactError(f"{folder / name} cannot be read ({error.strerror}); export the model again") from error
    digest = hashlib.sha256(payload).hexdigest()
    if digest != expected:
        raise ArtifactError(
            f"{folder / name}: sha256 is {digest[:12]}…, the manifest says {expected[:12]}…; export the model again"
        )
    return payload


def _write(path: Path, payload: bytes) -> None:
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(payload)
    with partial.open("rb") as handle:
        os.fsync(handle.fileno())
    partial.replace(path)
