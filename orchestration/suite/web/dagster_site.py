"""Dagster's web server behind the guard: `python -m orchestration.suite.web.dagster_site`, with the suite's definitions.

Dagster runs a mutation that stands in a link, so an image tag on any page could launch runs; the guard takes GraphQL as a POST
of JSON from its own pages and from programs only.
"""

from typing import Final

from orchestration.suite.web.address import WebAddress, address_of
from serving.http.cross_site_guard import SiteGuard
from serving.http.server import serve

DEFINITIONS: Final = "orchestration.definitions"
ORDERS: Final = frozenset({"/graphql"})
_STATEMENT_MS: Final = 15_000
_RECYCLE_S: Final = 3600
_OVERFLOW: Final = 20
_POLL_MS: Final = 2000


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    run(address_of("orchestration.suite.web.dagster_site", 3000))


def run(address: WebAddress, module: str = DEFINITIONS) -> None:
    """Serve the instance of DAGSTER_HOME with the definitions of a module."""
    from dagster import DagsterInstance
    from dagster._cli.workspace.cli_target import workspace_opts_to_load_target
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster_shared.cli import WorkspaceOpts
    from dagster_webserver.app import create_app_from_workspace_process_context
    from dagster_webserver.version import __version__

    with DagsterInstance.get() as instance:
        instance.optimize_for_webserver(_STATEMENT_MS, _RECYCLE_S, _OVERFLOW)
        target = workspace_opts_to_load_target(WorkspaceOpts(module_name=(module,)))
        with WorkspaceProcessContext(instance, target, version=__version__) as context:
            app = create_app_from_workspace_process_context(context, "", _POLL_MS)
            serve(SiteGuard(app, address.site, ORDERS), address.host, address.port)


if __name__ == "__main__":
    main()
