"""The `aiops` command line: groups of commands, one error format, exit codes that mean something.

Exit codes: 0 done, 1 unexpected failure, 2 wrong usage or setting, 3 source, 4 contract, 5 state, 6 model, 7 gate refused,
8 fenced, 9 a dependency does not answer, 130 interrupted.
"""

import sys

import typer
from pydantic import ValidationError

from aiops.errors import AiopsError
from orchestration.commands import data, lifecycle, loop, processes
from orchestration.console import complain

INTERRUPTED = 130

app = typer.Typer(
    name="aiops",
    help="Open-source AIOps: watch services, foresee incidents, keep the models honest.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for module in (loop, processes, data, lifecycle):
    module.register(app)


def main() -> None:
    """Run the command line and exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; errors that users can mend print one message and no traceback."""
    try:
        app(arguments)
    except SystemExit as finished:
        return finished.code if isinstance(finished.code, int) else 0
    except AiopsError as error:
        complain(str(error))
        return error.exit_code
    except ValidationError as error:
        complain("; ".join(_setting(problem) for problem in error.errors()))
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _setting(problem: object) -> str:
    """Return one settings error as field, value, rule and fix."""
    assert isinstance(problem, dict)
    name = "AIOPS_" + "__".join(str(part) for part in problem["loc"]).upper()
    return f"setting {name} = {problem.get('input')!r}: {problem['msg']}; see the settings table in README.md"
