"""One run of a playbook by ansible-runner, in a process of its own that sees none of our settings; its events say what changed.

Source: ansible-runner, "Input directory hierarchy" and "Runner artifacts: job events".
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from typing import Any, Final

from pydantic import JsonValue

from aiops.errors import ConfigurationError, Unavailable
from serving.host.child_environment import base_environment

TIMEOUT_S: Final = 900.0
_IDENT: Final = "run"
_NO_CHECK_MODE: Final = "check mode"


@dataclass(frozen=True, slots=True)
class PlaybookCall:
    """What is to be run; `check`: nothing is changed, only said."""

    playbook: Path
    inventory: Path
    hosts: str
    variables: Mapping[str, JsonValue]
    check: bool
    environment: Mapping[str, str]
    """of this process; only what every child inherits is passed on"""


@dataclass(frozen=True, slots=True)
class PlaybookEnd:
    """What a run came to, by host and task; `said`: the last line where no event says what was wrong."""

    status: int
    changed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    unreachable: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    said: str = ""

    @property
    def digest(self) -> str:
        """Return 12 hexadecimal digits of what changed."""
        return hashlib.sha256("\n".join(self.changed).encode()).hexdigest()[:12]


def played(call: PlaybookCall) -> PlaybookEnd:
    """Run a playbook and return what it came to; what it wrote for itself is removed.

    Raises:
        ConfigurationError: the extra ansible is not installed.
        Unavailable: it does not end in time.
    """
    if find_spec("ansible_runner") is None or find_spec("ansible") is None:
        raise ConfigurationError("action ansible.playbook needs the extra ansible: pip install 'aiops-suite[ansible]'")
    with TemporaryDirectory(prefix="aiops-playbook-") as folder:
        home = Path(folder)
        _lay_out(home, call)
        command = [sys.executable, "-m", "ansible_runner", "run", str(home), "-p", str(call.playbook), "--ident", _IDENT, "-q"]
        try:
            done = subprocess.run(
                command,
                env=_environment(home, call.environment),
                cwd=home,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"ansible: {call.playbook.name} did not end within {TIMEOUT_S:.0f} s") from error
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        return end_of(done.returncode, list(_events(home)), lines[-1] if lines else "")


def _lay_out(home: Path, call: PlaybookCall) -> None:
    own = home / "env"
    own.mkdir()
    (home / "project").mkdir()
    (own / "extravars").write_text(json.dumps(dict(call.variables)), encoding="utf-8")
    check = "--check -v " if call.check else ""  # -v: why a task is skipped stands in its line only
    (own / "cmdline").write_text(f"{check}--limit {call.hosts} --inventory {quote(str(call.inventory))}", encoding="utf-8")
    (own / "settings").write_text(json.dumps({"suppress_ansible_output": True}), encoding="utf-8")


def _environment(home: Path, ours: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without our settings: a playbook may read any variable that it sees."""
    base = base_environment(ours)
    programs = f"{Path(sys.executable).parent}:{base.get('PATH', '')}"
    own = {"PATH": programs, "HOME": str(home), "ANSIBLE_HOME": str(home / "ansible"), "ANSIBLE_RETRY_FILES_ENABLED": "0"}
    return {**base, **own}


def _events(home: Path) -> Iterator[Mapping[str, Any]]:
    folder = home / "artifacts" / _IDENT / "job_events"
    whole = [path for path in folder.glob("*-*.json") if not path.name.endswith("-partial.json")]
    for path in sorted(whole, key=lambda path: int(path.name.split("-", 1)[0])):
        yield json.loads(path.read_text(encoding="utf-8"))


def end_of(status: int, events: Sequence[Mapping[str, Any]], said: str) -> PlaybookEnd:
    """Return what the events of a run come to.

    Raises:
        Unavailable: it succeeded, and not all of its events are there.
    """
    changed = [row for row in events if row["event"] == "runner_on_ok" and row["event_data"].get("res", {}).get("changed")]
    skipped = [row for row in events if row["event"] in ("runner_on_skipped", "runner_item_on_skipped")]
    if status == 0:
        _check_whole(events, len(changed), sum(row["event"] == "runner_on_skipped" for row in skipped))
    return PlaybookEnd(
        status,
        tuple(sorted(map(_named, changed))),
        tuple(_named(row) for row in events if row["event"] == "runner_on_failed" and not row["event_data"].get("ignore_errors")),
        tuple(_named(row) for row in events if row["event"] == "runner_on_unreachable"),
        tuple(_named(row) for row in skipped if _NO_CHECK_MODE in row.get("stdout", "")),
        said,
    )


def _check_whole(events: Sequence[Mapping[str, Any]], changed: int, skipped: int) -> None:
    """Hold the events against Ansible's own count: on a busy machine ansible-runner may lose what an event says."""
    stats = next((event["event_data"] for event in events if event["event"] == "playbook_on_stats"), None)
    counted = None if stats is None else [sum(stats.get(name, {}).values()) for name in ("changed", "skipped")]
    if counted != [changed, skipped]:
        raise Unavailable("ansible: not all events of the run are there, so what it would change cannot be said; try again")


def _named(row: Mapping[str, Any]) -> str:
    """Return host and task of an event; what a task says may hold secrets and is left out."""
    return f"{row['event_data'].get('host', '?')}: {row['event_data'].get('task', '?')}"
