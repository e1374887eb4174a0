"""The one dispatch table of models: a descriptor each says what the suite does with it. Adding a model is adding a descriptor.

Parts live in other rooms, some of them above this one, so they are named ("module:attribute") and imported when asked for.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Protocol, cast

from aiops.errors import ArtifactError
from aiops.types import FloatArray, State

_REFERENCES: Final = ("trainer", "gate", "adapter", "backtest")


@dataclass(frozen=True, slots=True)
class ModelRoute:
    """Where the scoring service answers with a model; `looks_up` = rows may come without features, read online then."""

    path: str
    summary: str
    looks_up: bool = False


@dataclass(frozen=True, slots=True)
class ModelDescriptor:
    """Everything the suite knows of one model by its name.

    `model_class` rebuilds it from its state. `trainer` and `gate` go together: a model that has them has versions of its own,
    trained on `feature_service` ("" = on raw telemetry), judged, promoted and exported. `adapter` makes of a stored version what
    answers: behind `endpoint`, or inside the consumer where that is None. `backtest` fits it to the history of a source.
    `member_name`: what it is called inside an ensemble. `watched`: its served rows decide over drift.
    """

    name: str
    model_class: str
    trainer: str = ""
    gate: str = ""
    feature_service: str = ""
    adapter: str = ""
    endpoint: ModelRoute | None = None
    backtest: str = ""
    member_name: str = ""
    watched: bool = False

    def part(self, field: str) -> Any:
        """Return what a reference ("trainer", "gate", "adapter", "backtest") names.

        Raises:
            ArtifactError: the descriptor has none.
        """
        reference = str(getattr(self, field)) if field in _REFERENCES else ""
        if not reference:
            raise ArtifactError(f"model {self.name!r} has no {field}; name one in its descriptor (models/artifacts/catalog.py)")
        return resolved(reference)


def resolved(reference: str) -> Any:
    """Return what "module:attribute" names.

    >>> resolved("math:pi") > 3
    True
    """
    module, _, attribute = reference.partition(":")
    return getattr(import_module(module), attribute)


_TRAINERS: Final = "orchestration.pipeline.trainers"
_GATES: Final = "orchestration.pipeline.gates"
_BACKTESTS: Final = "models.backtest.backtest_detectors"
_VECTORS: Final = "serving.scoring.slots.model_source:served_vectors"

CATALOG: Final[dict[str, ModelDescriptor]] = {
    descriptor.name: descriptor
    for descriptor in (
        ModelDescriptor(
            name="robust-stream",
            model_class="models.detectors.robust_stream:RobustStream",
            trainer=f"{_TRAINERS}:train_levels",
            gate=f"{_GATES}:judge_levels",
            adapter="serving.stream.consumer.tier1_source:alarm_levels",
            backtest=f"{_BACKTESTS}:robust_stream",
        ),
        ModelDescriptor(
            name="service-ensemble",
            model_class="models.detectors.service_ensemble:ServiceEnsemble",
            trainer=f"{_TRAINERS}:train_ensemble",
            gate=f"{_GATES}:judge_ensemble",
            feature_service="detection_v1",
            adapter=_VECTORS,
            endpoint=ModelRoute("/score", "How strange is each service at its tick (service ensemble)"),
            watched=True,
        ),
        ModelDescriptor(
            name="incident-predictor",
            model_class="models.prediction.incident_predictor:IncidentPredictor",
            trainer=f"{_TRAINERS}:train_predictor",
            gate=f"{_GATES}:judge_predictor",
            feature_service="incident_prediction_v1",
            adapter=_VECTORS,
            endpoint=ModelRoute(
                "/predict_incident",
                "How likely an incident starts soon; features given, or read online where a row has none",
                looks_up=True,
            ),
        ),
        ModelDescriptor(
            name="series-surprise", model_class="models.detectors.surprise:SeriesSurprise", backtest=f"{_BACKTESTS}:unfitted"
        ),
        ModelDescriptor(
            name="system-deviation",
            model_class="models.detectors.system_deviation:SystemDeviation",
            backtest=f"{_BACKTESTS}:system_deviation",
        ),
        ModelDescriptor(
            name="unit-surprise",
            model_class="models.detectors.unit_surprise:UnitSurprise",
            backtest=f"{_BACKTESTS}:unit_surprise",
        ),
        ModelDescriptor(
            "isolation-forest", "models.detectors.isolation_forest:IsolationForest", adapter=_VECTORS, member_name="forest"
        ),
        ModelDescriptor(
            "labelled-trees", "models.detectors.labelled_trees:LabelledTrees", adapter=_VECTORS, member_name="labelled"
        ),
        ModelDescriptor(
            "sequence-autoencoder",
            "models.detectors.sequence_autoencoder:SequenceAutoencoder",
            adapter=_VECTORS,
            member_name="sequence",
        ),
    )
}
"""Model names and their descriptors, in the order in which models are trained and shown."""


def descriptor_of(name: str) -> ModelDescriptor:
    """Return the descriptor of a model.

    Raises:
        ArtifactError: the name is not in the catalog.
    """
    if name not in CATALOG:
        raise ArtifactError(f"model {name!r} is not in the catalog {sorted(CATALOG)}; install a version of the suite that has it")
    return CATALOG[name]


def trained_models() -> tuple[str, ...]:
    """Return the models with versions of their own; the others are members of one, or detectors to be back-tested."""
    return tuple(name for name, descriptor in CATALOG.items() if descriptor.trainer)


def served_models() -> tuple[str, ...]:
    """Return the models that the scoring service answers with."""
    return tuple(name for name, descriptor in CATALOG.items() if descriptor.endpoint is not None)


def watched_model() -> str:
    """Return the model whose served rows decide over drift: the one that is asked about every service at a fixed cadence."""
    return next(name for name, descriptor in CATALOG.items() if descriptor.watched)


def member_name(name: str) -> str:
    """Return what a model is called inside an ensemble: its own name where it has no shorter one.

    >>> member_name("isolation-forest"), member_name("something-else")
    ('forest', 'something-else')
    """
    return CATALOG[name].member_name or name if name in CATALOG else name


class FittedModel(Protocol):
    """What every model of the catalog can do: be described and be persisted as arrays."""

    @property
    def catalog_name(self) -> str:
        """Return its name in `CATALOG`."""
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
    return cast(ModelClass, resolved(descriptor_of(name).model_class))
