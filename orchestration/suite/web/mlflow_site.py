"""MLflow's server behind the guard: `python -m orchestration.suite.web.mlflow_site`, with MLflow's own variables for its stores.

MLFLOW_BACKEND_STORE_URI, MLFLOW_DEFAULT_ARTIFACT_ROOT and MLFLOW_ARTIFACTS_DESTINATION mean what they mean to `mlflow server`.
MLflow's own checks of Host and Origin leave out some of its paths and let any page of this machine in; the guard stands for them.
"""

import os
from typing import Final

from aiops.errors import ConfigurationError
from orchestration.suite.web.address import WebAddress, address_of
from serving.http.cross_site_guard import SiteGuard
from serving.http.server import serve

ORDERS: Final = frozenset({"/graphql"})


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    run(address_of("orchestration.suite.web.mlflow_site", 5000))


def run(address: WebAddress) -> None:
    """Serve the stores that the environment names.

    Raises:
        ConfigurationError: it names none.
    """
    uri, root = os.environ.get("MLFLOW_BACKEND_STORE_URI"), os.environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT")
    destination = os.environ.get("MLFLOW_ARTIFACTS_DESTINATION")
    if not uri:
        raise ConfigurationError("MLFLOW_BACKEND_STORE_URI: not set; give the database, for example sqlite:////data/mlflow.db")
    os.environ["MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE"] = "true"
    from mlflow.server import constants
    from mlflow.server.handlers import initialize_backend_stores

    artifacts = root or ("mlflow-artifacts:/" if destination else "")
    if not artifacts:
        raise ConfigurationError("MLFLOW_DEFAULT_ARTIFACT_ROOT: not set; give a folder, or MLFLOW_ARTIFACTS_DESTINATION")
    known = {constants.BACKEND_STORE_URI_ENV_VAR: uri, constants.REGISTRY_STORE_URI_ENV_VAR: uri}
    known |= {constants.ARTIFACT_ROOT_ENV_VAR: artifacts, "_MLFLOW_SGI_NAME": "uvicorn"}
    if destination:
        known |= {constants.SERVE_ARTIFACTS_ENV_VAR: "true", constants.ARTIFACTS_DESTINATION_ENV_VAR: destination}
    os.environ.update(known)
    initialize_backend_stores(uri, uri, artifacts)
    from mlflow.server.fastapi_app import app

    serve(SiteGuard(app, address.site, ORDERS), address.host, address.port)


if __name__ == "__main__":
    main()
