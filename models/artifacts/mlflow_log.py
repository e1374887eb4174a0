"""What the registry logs with MLflow: a run with its figures, and its model as pyfunc with our own loader."""

import math
import shutil
import time
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from models.artifacts.catalog import FittedModel
from models.artifacts.pyfunc import example_frame
from models.artifacts.run_record import dataset_texts
from models.artifacts.training_run import DatasetFacts, TrainingRun

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

LOADER: Final = "models.artifacts.pyfunc"
CARRIED: Final = ("data_contracts", "aiops", "models")
"""The rooms that a model is made of; those above them it never imports."""
LIBRARIES: Final = (
    *("mlflow", "numpy", "pandas", "pyarrow", "numba", "scipy", "xgboost", "onnxruntime", "orjson", "pydantic"),
    "pydantic-settings",
)
DATA: Final = "artifact"
"""Our artifact folder inside MLflow's: `data/artifact`."""


def log_run(client: "MlflowClient", run_id: str, run: TrainingRun) -> None:
    """Log metrics, parameters, the dataset and the figures of a training."""
    from mlflow.entities import DatasetInput, Metric, Param

    metrics = [Metric(key, value, int(time.time() * 1000), 0) for key, value in run.metrics.items() if math.isfinite(value)]
    client.log_batch(run_id, metrics, [Param(key, str(value)) for key, value in run.params.items()])
    client.log_inputs(run_id, [DatasetInput(_dataset(run.dataset), [])])
    log_figures(client, run_id, run.figures)


def log_figures(client: "MlflowClient", run_id: str, figures: Mapping[str, bytes]) -> None:
    """Store figures (file name to bytes) with a run; those of the same name are replaced."""
    if figures:
        with TemporaryDirectory(prefix="figures-") as folder:
            for name, payload in figures.items():
                (Path(folder) / name).write_bytes(payload)
            client.log_artifacts(run_id, folder, "figures")


def _dataset(facts: DatasetFacts) -> Any:
    from mlflow.entities import Dataset

    schema, source, profile = dataset_texts(facts)
    return Dataset(facts.name, facts.digest[:32], "lake", source, schema, profile)


def log_model(client: "MlflowClient", started: Any, model: FittedModel, run: TrainingRun, artifact: Path) -> Any:
    """Log the artifact as a pyfunc model with signature and input example; requirements are given, never inferred (seconds)."""
    import mlflow.pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    entry = client.create_logged_model(started.experiment_id, "model", started.run_id, model_type=model.catalog_name)
    kinds = {"timestamp": DataType.datetime, "service": DataType.string, "metric": DataType.string}
    inputs = Schema([ColSpec(kinds.get(name, DataType.double), name) for name in model.features])
    outputs = Schema([ColSpec(DataType.double, name) for name in model.outputs])
    with TemporaryDirectory(prefix="code-") as folder:
        return Model.log(
            artifact_path=None,
            name="model",
            flavor=mlflow.pyfunc,
            run_id=started.run_id,
            model_id=entry.model_id,
            loader_module=LOADER,
            data_path=str(artifact),
            code_paths=[str(path) for path in carried_code(Path(folder))],
            signature=ModelSignature(inputs, outputs),
            input_example=example_frame(model, run),
            pip_requirements=list(requirements()),
            metadata={"catalog_name": model.catalog_name, "example": run.example is not None},
        )


def carried_code(folder: Path) -> tuple[Path, ...]:
    """Copy the sources that a model needs to `folder`: it carries them, for no package index has this suite. 1 MB.

    Copies have the rights of new files and not those of the checkout: a home is its owner's alone.
    """
    copies = []
    for name in CARRIED:
        package = Path(str(import_module(name).__file__)).parent
        shutil.copytree(package, folder / name, ignore=_all_but_sources, copy_function=shutil.copyfile)
        copies.append(folder / name)
    return tuple(copies)


def requirements() -> tuple[str, ...]:
    """Return the libraries that the carried code imports, in the versions that are installed here."""
    return tuple(f"{name}=={version(name)}" for name in LIBRARIES)


def _all_but_sources(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if name == "__pycache__" or not (name.endswith(".py") or (Path(folder) / name).is_dir())}
