"""The settings of this process, and of what `aiops up` has started on the same home: its ports are read from there."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from aiops.settings.reading import read_settings

if TYPE_CHECKING:
    from aiops.settings.tree import Settings

RECORD: Final = "up.json"
SHARED: Final = (
    ("broker", "url"),
    ("broker", "port"),
    ("broker", "partitions"),
    ("serving", "http_port"),
    ("serving", "grpc_port"),
    ("consumer", "metrics_port"),
    ("responder", "port"),
    ("ingest", "port"),
    ("ingest", "grpc_port"),
    ("signals", "metrics_port"),
    ("automation", "port"),
    ("console", "port"),
    ("explore", "port"),
    ("responder", "clock"),
    ("responder", "settle_s"),
    ("responder", "page_settle_s"),
    ("telemetry", "step_s"),
    ("telemetry", "lateness_s"),
    ("consumer", "predict_every_s"),
    ("up", "mlflow_port"),
    ("up", "dagster_port"),
)
"""Settings that another shell must share with a running suite to meet it; none is secret (a URL with a password is left out)."""


@dataclass(frozen=True, slots=True)
class Running:
    """What runs on a home: `aiops up` itself (pid and its creation time), its children by name, its settings by section."""

    pid: int
    created: float
    children: Mapping[str, int]
    settings: Mapping[str, Mapping[str, Any]]


def settings_in_force() -> "Settings":
    """Return the settings of the environment, joined by those of a suite that runs on the same home; the environment wins."""
    settings = read_settings()
    running = read_running(settings.root)
    if running is None:
        return settings
    changed: dict[str, Any] = {}
    for section, values in running.settings.items():
        taken = {name: value for name, value in values.items() if f"AIOPS_{section}__{name}".upper() not in _environment()}
        changed[section] = getattr(settings, section).model_copy(update=taken)
    return settings.model_copy(update=changed)


def _environment() -> frozenset[str]:
    return frozenset(name.upper() for name in os.environ)


def note_running(settings: "Settings", children: Mapping[str, int]) -> None:
    """Write down that this process runs the suite on its home."""
    import psutil

    shared: dict[str, dict[str, Any]] = {}
    for section, name in SHARED:
        value = getattr(getattr(settings, section), name)
        if not (name == "url" and "@" in str(value)):
            shared.setdefault(section, {})[name] = value
    me = psutil.Process()
    record = {"pid": me.pid, "created": me.create_time(), "children": dict(children), "settings": shared}
    staged = settings.root / f".{RECORD}"
    staged.write_bytes(orjson.dumps(record, option=orjson.OPT_INDENT_2))
    staged.replace(settings.root / RECORD)


def forget_running(home: Path) -> None:
    """Remove the note."""
    (home / RECORD).unlink(missing_ok=True)


def read_running(home: Path) -> Running | None:
    """Return what runs on `home`, None where nothing does (a note that a killed process left does not count)."""
    import psutil

    path = home / RECORD
    if not path.is_file():
        return None
    running = Running(**orjson.loads(path.read_bytes()))
    try:
        alive = abs(psutil.Process(running.pid).create_time() - running.created) < 1.0
    except psutil.NoSuchProcess:
        return None
    return running if alive else None
