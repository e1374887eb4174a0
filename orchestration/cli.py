"""The `aiops` command line: groups of commands, one error format, exit codes that mean something.

Exit codes: 0 done, 1 unexpected failure, 2 wrong usage, setting or file, 3 source, 4 contract, 5 state, 6 model, 7 gate refused,
8 fenced, 9 a dependency does not answer, 130 interrupted.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from aiops.errors import AiopsError, ConfigurationError
from aiops.version import __version__
from data_contracts.series.tenant import tenant_fault
from orchestration.commands import (
    automation_commands,
    backtest_commands,
    bench_commands,
    change_commands,
    connect_commands,
    data_commands,
    forecast_commands,
    graph_commands,
    incident_commands,
    init_commands,
    log_commands,
    migrate_commands,
    model_commands,
    process_commands,
    root_cause_commands,
    route_commands,
    run_commands,
    runbook_commands,
    series_commands,
    token_commands,
)
from orchestration.console import calm_libraries, complain
from serving.host.full_disk import free_bytes, is_full
from serving.host.private_files import keep_private
from serving.host.process_exit import leave

INTERRUPTED = 130

app = typer.Typer(
    name="aiops",
    help="Open-source AIOps: watch services, foresee incidents, keep the models honest.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"aiops {__version__}")
        raise typer.Exit


@app.callback()
def _aiops(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="show the version and exit")
    ] = False,
    tenant: Annotated[
        str | None, typer.Option("--tenant", help="whose data the command reads and writes; default: AIOPS_TENANT or 'default'")
    ] = None,
) -> None:
    """Open-source AIOps: watch services, foresee incidents, keep the models honest."""
    if tenant is not None:
        fault = tenant_fault(tenant)
        if fault is not None:
            raise ConfigurationError(f"--tenant: {fault}")
        os.environ["AIOPS_TENANT"] = tenant  # what settings are read from, here and in child processes


for module in (
    run_commands,
    process_commands,
    connect_commands,
    init_commands,
    migrate_commands,
    data_commands,
    log_commands,
    series_commands,
    forecast_commands,
    model_commands,
    incident_commands,
    automation_commands,
    token_commands,
    graph_commands,
    change_commands,
    route_commands,
    root_cause_commands,
    runbook_commands,
    backtest_commands,
    bench_commands,
):
    module.register(app)


def main() -> None:
    """Run the command line and exit."""
    keep_private()
    calm_libraries()
    leave(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; errors that users can mend print one message and no traceback."""
    try:
        app(arguments)
    except SystemExit as finished:
        return finished.code if isinstance(finished.code, int) else 0
    except AiopsError as error:
        complain(str(error))
        return error.exit_code
    except (PermissionError, FileNotFoundError, NotADirectoryError) as error:
        complain(f"{error.filename or 'file'}: {error.strerror}; check AIOPS_HOME and the paths that were given")
        return 1
    except OSError as error:
        if not is_full(error):
            raise
        complain(_no_room(error))
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _no_room(error: OSError) -> str:
    """Return what is full and what helps; the system often says no file, so the disks that a command writes to are named."""
    home = _home()
    folders = {"AIOPS_HOME": next(path for path in (home, *home.parents) if path.exists()), "TMPDIR": Path(tempfile.gettempdir())}
    free = ", ".join(f"{name} {path}: {free_bytes(path) / 1e6:.1f} MB free" for name, path in folders.items())
    return (
        f"{error.filename or 'disk'}: {error.strerror} ({free}); make room and give the command again: what is there counts once"
    )


def _home() -> Path:
    """Return the home of the settings in force, the default one where they cannot be read."""
    from aiops.settings.reading import read_settings

    try:
        return read_settings().root
    except AiopsError:
        return Path(".aiops").absolute()
