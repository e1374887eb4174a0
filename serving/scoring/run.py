"""Starts the scoring service in the foreground with the suite's settings; `python -m serving.scoring` is this.

The process becomes `bentoml serve serving.scoring.service:Scorer`: same process id, SIGTERM and Ctrl-C stop it gracefully.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiops.errors import AiopsError
from aiops.settings.reading import read_settings
from aiops.settings.tree import Settings
from serving.host.private_files import keep_private, tighten
from serving.http.auth import authenticator

SERVICE = "serving.scoring.service:Scorer"
HEADROOM_S = 2
"""By how much BentoML's own time limit lies above `serving.timeout_s`."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A command line and its whole environment."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]


def launch(settings: Settings, environment: Mapping[str, str], service: str = SERVICE) -> Launch:
    """Return how to start the service under `environment`, to which what BentoML and numpy must know is added.

    Raises:
        ConfigurationError: the service would listen beyond this machine without a key, or the key cannot be used.
    """
    serving = settings.serving
    authenticator(serving)
    argv: tuple[str, ...] = (sys.executable, "-m", "bentoml", "serve", service, "--working-dir", str(Path(__file__).parents[2]))
    host = "127.0.0.1" if serving.host == "localhost" else serving.host
    argv += ("--host", host, "--port", str(serving.http_port))
    options: dict[str, object] = {"workers": serving.workers, "traffic.timeout": serving.timeout_s + HEADROOM_S}
    if "BENTOML_CONFIG" not in environment:
        options["tracing.excluded_urls"] = "."  # nothing samples traces: four spans a request would be made for nobody
    added = {
        "AIOPS_HOME": str(settings.root),
        "BENTOML_DO_NOT_TRACK": "true",
        "BENTOML_HOME": str(settings.root / "bentoml"),
        "BENTOML_CONFIG_OPTIONS": " ".join(f"services.Scorer.{name}={value}" for name, value in options.items()),
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }
    return Launch(argv, {**environment, **added})


def main() -> None:
    """Become the service; a setting that cannot be used ends the process with a message and the error's exit code."""
    keep_private()
    try:
        settings = read_settings()
        start = launch(settings, os.environ)
    except AiopsError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    tighten(settings.root)
    Path(start.environment["BENTOML_HOME"]).mkdir(parents=True, exist_ok=True)
    os.execve(start.argv[0], start.argv, dict(start.environment))


if __name__ == "__main__":
    main()
