"""The process: puts the API together from the settings, serves it, ends on SIGTERM or Ctrl-C."""

import logging
import signal
import threading
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from aiops.errors import AiopsError
from aiops.settings.tree import Settings
from serving.explore.explore_app import create_app
from serving.explore.explore_ports import ExploreParts
from serving.http.auth import authenticator
from serving.http.cross_site import site_rules
from serving.http.server import ApiServer
from serving.incidents.api.ports import ApiLimits, ApiReadiness
from serving.lake.opening import open_lake

log = logging.getLogger(__name__)
_AT_ONCE: Final = 64


def run_explore(settings: Settings) -> int:
    """Run until SIGTERM, Ctrl-C or a failure; return the exit code."""
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda _number, _frame: stop.set())
    try:
        _run(settings, stop)
    except AiopsError as error:
        log.error("%s: %s", type(error).__name__, error)
        return error.exit_code
    return 0


def _run(settings: Settings, stop: threading.Event) -> None:
    serving, lakes = settings.serving, open_lake(settings)
    parts = ExploreParts(
        lakes,
        authenticator(serving, settings.tokens_path),
        CollectorRegistry(),
        lambda: readiness(lakes.root),
        limits=ApiLimits(max_body_bytes=serving.max_body_bytes, concurrency=_AT_ONCE),
        site=site_rules(serving.allowed_hosts, serving.host, serving.jwt_key is None),
    )
    server = ApiServer(create_app(parts), serving.host, settings.explore.port, "explore.port")
    server.start()
    log.info("the data is at %s", server.url)
    try:
        stop.wait()
    finally:
        server.stop()


def readiness(root: Path) -> ApiReadiness:
    """Return whether the lake can be read; one that is not there yet is empty."""
    try:
        next(root.iterdir(), None)
    except FileNotFoundError:
        return ApiReadiness(True, {"lake": "ok"})
    except OSError as error:
        return ApiReadiness(False, {"lake": f"{root} cannot be read: {error.strerror}"})
    return ApiReadiness(True, {"lake": "ok"})
