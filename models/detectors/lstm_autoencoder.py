"""Training of the sequence autoencoder: the only module that imports torch. What it returns runs without.

Source: Malhotra et al., "LSTM-based encoder-decoder for multi-sensor anomaly detection", ICML 2016 workshop, section 2;
Hochreiter, Schmidhuber, "Long short-term memory", 1997.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from aiops.errors import ModelError
from aiops.types import FloatArray
from data_contracts.schemas.telemetry_schemas import SEQUENCE_SIGNALS, SEQUENCE_STEPS
from models.detectors.sequence_autoencoder import BATCH, Float32s, SequenceAutoencoder, SequenceScale

LEAST_SEQUENCES = 200


@dataclass(frozen=True, slots=True)
class AutoencoderConfig:
    """Size, length and seed of the training; `rows` = sequences taken at most, evenly spaced; `patience` in epochs."""

    hidden: int = 12
    rows: int = 4000
    batch: int = 256
    epochs: int = 24
    patience: int = 3
    learning_rate: float = 1e-2
    seed: int = 7


def fit_autoencoder(rows: FloatArray, config: AutoencoderConfig) -> SequenceAutoencoder:
    """Return the autoencoder of sequences (n, len(SEQUENCE_FEATURES)) of normal time, in order of time.

    The last fifth of the sequences says when to stop. One thread on the CPU, or the GPU where there is one; the same seed gives
    the same network on the same device.

    Raises:
        ModelError: fewer than 200 sequences are known.
    """
    known = np.flatnonzero(np.isfinite(rows).any(axis=1))
    if known.size < LEAST_SEQUENCES:
        raise ModelError(f"{known.size} of {len(rows)} sequences are known; an autoencoder needs {LEAST_SEQUENCES}")
    taken = rows[known[np.unique(np.linspace(0, known.size - 1, config.rows).astype(np.int64))]]
    scale = SequenceScale.fit(taken)
    scaled, _ = scale(taken)
    return SequenceAutoencoder.of(scale, _trained_network(scaled, config), taken)


def _trained_network(scaled: Float32s, config: AutoencoderConfig) -> bytes:
    """Return the trained network as ONNX bytes."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            network = _network(config.hidden)
            _train(network, scaled, config)
        return _exported(network)
    finally:
        torch.set_num_threads(threads)


def _network(hidden: int) -> Any:
    import torch

    class Autoencoder(torch.nn.Module):
        """Reads a sequence into one vector and redraws it from that."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder = torch.nn.LSTM(len(SEQUENCE_SIGNALS), hidden, batch_first=True)
            self.decoder = torch.nn.LSTM(hidden, hidden, batch_first=True)
            self.output = torch.nn.Linear(hidden, len(SEQUENCE_SIGNALS))

        def forward(self, sequence: torch.Tensor) -> torch.Tensor:
            _, (last, _) = self.encoder(sequence)
            drawn, _ = self.decoder(last[-1].unsqueeze(1).expand(-1, SEQUENCE_STEPS, -1))
            redrawn: torch.Tensor = self.output(drawn)
            return redrawn

    return Autoencoder()


def _train(network: Any, scaled: Float32s, config: AutoencoderConfig) -> None:
    """Fit in place until the newest fifth stops getting better; the best state is kept."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device)
    whole = torch.from_numpy(scaled).to(device)
    last = max(1, len(whole) // 5)
    older, newer = whole[:-last], whole[-last:]
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    loss = torch.nn.MSELoss()
    shuffled = np.random.default_rng(config.seed)
    best, kept, since = float("inf"), network.state_dict(), 0
    for _ in range(config.epochs):
        order = torch.from_numpy(shuffled.permutation(len(older))).to(device)
        for start in range(0, len(older), config.batch):
            part = older[order[start : start + config.batch]]
            optimizer.zero_grad()
            error = loss(network(part), part)
            error.backward()
            optimizer.step()
        with torch.no_grad():
            validation_loss = float(loss(network(newer), newer))
        since = 0 if validation_loss < 0.995 * best else since + 1
        if validation_loss < best:
            best, kept = validation_loss, {name: value.clone() for name, value in network.state_dict().items()}
        if since >= config.patience:
            break
    network.load_state_dict(kept)
    network.to("cpu").eval()


def _exported(network: Any) -> bytes:
    import torch

    example = torch.zeros(BATCH, SEQUENCE_STEPS, len(SEQUENCE_SIGNALS))
    with TemporaryDirectory(prefix="onnx-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the newer exporter needs onnxscript, and seconds
        warnings.filterwarnings("ignore", category=Warning, module="torch")  # of shapes that might vary: these never do
        warnings.filterwarnings("ignore", "Exporting a model to ONNX with a batch_size", UserWarning)
        path = Path(folder) / "network.onnx"
        torch.onnx.export(network, (example,), str(path), dynamo=False, input_names=["sequence"], output_names=["redrawn"])
        return path.read_bytes()
