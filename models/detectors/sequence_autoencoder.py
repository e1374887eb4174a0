"""Tier 3 over time: how badly an autoencoder redraws a service's last hour; served through ONNX, trained elsewhere with torch.

Source: Malhotra et al., "LSTM-based encoder-decoder for multi-sensor anomaly detection", ICML 2016 workshop, section 2.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from aiops.errors import ArtifactError
from aiops.types import FloatArray, State
from data_contracts.schemas.telemetry_schemas import SEQUENCE_FEATURES, SEQUENCE_SIGNALS, SEQUENCE_STEPS
from models.artifacts.artifact import array_names, names_array, state_array
from models.detectors.evidence import EmpiricalTail
from models.vectors.service_rows import bounded

Float32s = npt.NDArray[np.float32]
BATCH: Final = 64
"""Rows of every call of the network, the rest zeros: a row's result must not depend on how many are scored with it."""
HALF_LIFE_SPANS: Final = 3.0
"""An error so many spans ago counts half: what is over need not be said again."""
_INPUT: Final = "sequence"
_NETWORK: Final = "network_onnx"
_FURTHEST: Final = 10.0
_TAIL_POWER: Final = 0.25
_SIGNALS: Final = len(SEQUENCE_SIGNALS)
_WIDTH: Final = len(SEQUENCE_FEATURES)
_IS_LEVEL: Final = np.array([name.endswith("_level") for name in SEQUENCE_SIGNALS])
_RECENCY: Final = np.exp2(-np.arange(SEQUENCE_STEPS - 1, -1, -1) / HALF_LIFE_SPANS)


@dataclass(frozen=True, slots=True)
class SequenceScale:
    """How signals become comparable: `center`, `spread` (signals,). A level is read against the median of its own sequence."""

    center: FloatArray
    spread: FloatArray

    @classmethod
    def fit(cls, rows: FloatArray) -> "SequenceScale":
        """Return the scale of sequences (n, len(SEQUENCE_FEATURES)) of normal time; a signal never known or never moving: 1."""
        windows = _against_own_median(_windows(rows))
        center, spread = np.zeros(_SIGNALS), np.ones(_SIGNALS)
        for signal in range(_SIGNALS):
            known = windows[:, :, signal][np.isfinite(windows[:, :, signal])]
            if known.size:
                low, center[signal], high = np.quantile(known, (0.1, 0.5, 0.9))
                spread[signal] = max((high - low) / 2.56, 1e-3 * abs(float(center[signal])), 1e-6)
        return cls(center, spread)

    def __call__(self, rows: FloatArray) -> tuple[Float32s, npt.NDArray[np.bool_]]:
        """Return (n, steps, signals) scaled, unknown = 0, and where they are known."""
        scaled = (_against_own_median(_windows(rows)) - self.center) / self.spread
        known = np.isfinite(scaled)
        drawn_in = np.clip(np.arcsinh(np.where(known, scaled, 0.0)), -_FURTHEST, _FURTHEST)
        return drawn_in.astype(np.float32), known


@dataclass(frozen=True, slots=True)
class SequenceAutoencoder:
    """A fitted network; output "score" in 0..1, higher = stranger; 0.5 = one in 16 of the training rows, as the forest's."""

    catalog_name: ClassVar[str] = "sequence-autoencoder"

    scale: SequenceScale
    network: bytes
    tail: EmpiricalTail
    base_score: float
    thresholds: FloatArray
    session: ort.InferenceSession = field(repr=False, compare=False)

    @property
    def features(self) -> tuple[str, ...]:
        """Return `schemas.SEQUENCE_FEATURES`."""
        return SEQUENCE_FEATURES

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return ("score",)."""
        return ("score",)

    @classmethod
    def of(cls, scale: SequenceScale, network: bytes, normal: FloatArray) -> "SequenceAutoencoder":
        """Return the model of a trained network; its own score is ranked by the sequences `normal` (n, features)."""
        nowhere = EmpiricalTail(np.zeros(1), np.zeros(1), 1.0)
        blank = cls(scale, network, nowhere, 0.0, np.array([1.0 - 0.001**_TAIL_POWER]), session_of(network))
        raw = blank.raw_score(normal)
        return cls(scale, network, EmpiricalTail.fit(raw), float(np.nanmedian(raw)), blank.thresholds, blank.session)

    def raw_score(self, rows: FloatArray) -> FloatArray:
        """Return (n,) log of the mean squared error, the newest spans counting most; NaN = nothing known."""
        error, known = self._errors(rows)
        total = error.reshape(len(rows), _WIDTH).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(known, np.log(total + 1e-9), np.nan)

    def score(self, rows: FloatArray) -> FloatArray:
        """Return (n, 1) in 0..1; NaN or infinite = unknown; a row with nothing known gives NaN."""
        return np.asarray(1.0 - np.exp(-_TAIL_POWER * self.tail(self.raw_score(rows)))).reshape(-1, 1)

    def explain(self, rows: FloatArray) -> FloatArray:
        """Return (n, len(features)) each entry's part of the error, adding up to raw score - `base()`; NaN where unknown."""
        error, known = self._errors(rows)
        flat = error.reshape(len(rows), _WIDTH)
        total = flat.sum(axis=1)
        above = np.log(total + 1e-9) - self.base_score
        share = flat / np.where(total > 0.0, total, 1.0)[:, None]
        return np.where(known[:, None], share * above[:, None], np.nan)

    def base(self) -> float:
        """Return the usual raw score, which the contributions start from."""
        return self.base_score

    def state(self) -> State:
        """Return the network as ONNX bytes, the scale, the tail and the threshold."""
        return {
            _NETWORK: np.frombuffer(self.network, dtype=np.uint8),
            "center": self.scale.center,
            "spread": self.scale.spread,
            "tail_raw": self.tail.raw,
            "tail_nats": self.tail.nats,
            "tail_rate": np.array([self.tail.rate, self.base_score]),
            "thresholds": self.thresholds,
            "features": names_array(SEQUENCE_FEATURES),
        }

    @classmethod
    def from_state(cls, state: State) -> "SequenceAutoencoder":
        """Return the model of a state.

        Raises:
            ArtifactError: an array is missing or does not fit, or the network is no ONNX of this shape.
        """
        if array_names(state_array(state, "features")) != SEQUENCE_FEATURES:
            raise ArtifactError("the autoencoder was trained on sequences of another make; train it again")
        center, spread = state_array(state, "center"), state_array(state, "spread")
        if not center.shape == spread.shape == (_SIGNALS,):
            raise ArtifactError(f"scale {center.shape} and {spread.shape} do not fit {_SIGNALS} signals; save the model again")
        network = state_array(state, _NETWORK).astype(np.uint8).tobytes()
        rate, base_score = state_array(state, "tail_rate").tolist()
        tail = EmpiricalTail(state_array(state, "tail_raw"), state_array(state, "tail_nats"), rate)
        return cls(
            SequenceScale(center, spread), network, tail, base_score, state_array(state, "thresholds"), session_of(network)
        )

    def _errors(self, rows: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Return (n, steps, signals) weighted squared errors that add up to the mean one, and rows with something known.

        Rows with nothing known do not reach the network: a caller that sends no sequences does not pay for them.
        """
        some = np.isfinite(rows).any(axis=1)
        if not some.all():
            error, measured = np.zeros((len(rows), SEQUENCE_STEPS, _SIGNALS)), np.zeros(len(rows), np.bool_)
            if some.any():
                error[some], measured[some] = self._errors(rows[some])
            return error, measured
        scaled, known = self.scale(rows)
        redrawn = np.empty_like(scaled)
        for start in range(0, len(rows), BATCH):
            part = scaled[start : start + BATCH]
            padded = np.zeros((BATCH, SEQUENCE_STEPS, _SIGNALS), np.float32)
            padded[: len(part)] = part
            redrawn[start : start + BATCH] = self.session.run(None, {_INPUT: padded})[0][: len(part)]
        weight = known * _RECENCY[:, None]
        total = weight.reshape(len(rows), _WIDTH).sum(axis=1)
        error = weight * (scaled.astype(np.float64) - redrawn) ** 2
        return error / np.where(total > 0.0, total, 1.0)[:, None, None], np.asarray(total > 0.0)


def session_of(network: bytes) -> ort.InferenceSession:
    """Return a session of one thread on the CPU.

    Raises:
        ArtifactError: the bytes are no ONNX network that takes (64, steps, signals).
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = ort.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no parent of their own
        raise ArtifactError(f"the network is no ONNX that runs here ({error}); save the model again") from error
    shapes = [tuple(given.shape) for given in session.get_inputs()]
    if shapes != [(BATCH, SEQUENCE_STEPS, _SIGNALS)]:
        raise ArtifactError(f"the network takes {shapes}, not {(BATCH, SEQUENCE_STEPS, _SIGNALS)}; save the model again")
    return session


def _windows(rows: FloatArray) -> FloatArray:
    """Return (n, steps, signals), NaN = unknown."""
    return np.ascontiguousarray(bounded(rows)).reshape(len(rows), SEQUENCE_STEPS, _SIGNALS)


def _against_own_median(windows: FloatArray) -> FloatArray:
    """Return the windows with every level less the (lower) median of its known entries."""
    levels = windows[:, :, _IS_LEVEL]
    ordered = np.sort(levels, axis=1)
    known = np.isfinite(levels).sum(axis=1)
    place = np.maximum(known - 1, 0) // 2
    median = np.take_along_axis(ordered, place[:, None, :], axis=1)
    result = windows.copy()
    result[:, :, _IS_LEVEL] = levels - np.where(np.isfinite(median), median, 0.0)
    return result
