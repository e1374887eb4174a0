"""The one dispatch table of models: name -> "module:Class", imported when asked for."""

from collections.abc import Mapping
from importlib import import_module
from typing import Final, Protocol, cast

from aiops.errors import ArtifactError
from aiops.types import FloatArray, State

MODELS: Final[Mapping[str, str]] = {
    "robust-stream": "models.detectors.robust_stream:RobustStream",
    "series-surprise": "models.detectors.surprise:SeriesSurprise",
    "system-deviation": "models.detectors.system_deviation:SystemDeviation",
    "isolation-forest": "models.detectors.isolation_forest:IsolationForest",
    "labelled-trees": "models.detectors.labelled_trees:LabelledTrees",
    "sequence-autoencoder": "models.detectors.sequence_autoencoder:SequenceAutoencoder",
    "service-ensemble": "models.detectors.service_ensemble:ServiceEnsemble",
    "incident-predictor": "models.incident_predictor:IncidentPredictor",
}
"""Model names and the classes that hold them."""
TRAINED: Final[tuple[str, ...]] = ("robust-stream", "service-ensemble", "incident-predictor")
"""Models with versions of their own: trained, judged, promoted. The others are members of one, or detectors to be back-tested."""


class FittedModel(Protocol):
    """What every model of the catalog can do: be described and be persisted as arrays."""

    @property
    def catalog_name(self) -> str:
        """Return its name in `MODELS`."""
        ...

    @property
    def features(self) -> tuple[str, ...]:
        """Return the input columns, in order."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return the output columns, in order."""
        ...

    @property
    def thresholds(self) -> FloatArray:
        """Return (len(outputs),): at or above is an alarm."""
        ...

    def state(self) -> State:
        """Return the fitted state as named arrays; a uint8 array named `*.ubj` is a file of its own."""
        ...


class ModelClass(Protocol):
    """A class that rebuilds a model from its state."""

    def from_state(self, state: State) -> FittedModel:
        """Return the model; raises ArtifactError where an array is missing or has the wrong shape."""
        ...


def model_class(name: str) -> ModelClass:
    """Return the class of a catalog name.

    Raises:
        ArtifactError: the name is not in the catalog.
    """
    if name not in MODELS:
        raise ArtifactError(f"model {name!r} is not in the catalog {sorted(MODELS)}; install a version of the suite that has it")
    module, _, attribute = MODELS[name].partition(":")
    return cast(ModelClass, getattr(import_module(module), attribute))
