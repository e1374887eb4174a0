"""The module that models logged by version 0.1 name as their MLflow loader; newer ones name the package of artifacts."""

from models.artifacts.pyfunc import _load_pyfunc

__all__ = ["_load_pyfunc"]
