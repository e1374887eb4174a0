"""The process: puts the console together from the settings, serves it, ends on SIGTERM or Ctrl-C."""

import asyncio
import logging
import signal
from contextlib import closing

from prometheus_client import CollectorRegistry

from aiops.errors import AiopsError
from aiops.settings.tree import Settings
from serving.console.bundle import Bundle
from serving.console.console_app import ConsoleParts, create_app
from serving.console.forwarding import ForwardLimits, Upstream, http_client
from serving.console.sessions import Sessions
from serving.http.auth import authenticator
from serving.http.cross_site import site_rules
from serving.http.loop_server import LoopServer, run_in_loop
from serving.http.loopback import is_loopback
from serving.http.reachable import reachable_url
from serving.http.server import bound

log = logging.getLogger(__name__)
_EVERYWHERE = frozenset({"0.0.0.0", "::", ""})


def run_console(settings: Settings) -> int:
    """Run until SIGTERM, Ctrl-C or a failure; return the exit code."""
    try:
        return run_in_loop(_run(settings))
    except AiopsError as error:
        log.error("%s: %s", type(error).__name__, error)
        return error.exit_code


def upstreams(settings: Settings) -> dict[str, Upstream]:
    """Return the APIs behind the console, by their names in a path."""
    own, host = settings.console, _called_host(settings.serving.host)
    incidents = reachable_url(own.responder_url, host, settings.responder.port)
    automation = reachable_url(own.automation_url, host, settings.automation.port)
    explore = reachable_url(own.explore_url, host, settings.explore.port)
    return {
        "incidents": Upstream("the responder", incidents),
        "automation": Upstream("automation", automation),
        "explore": Upstream("the data", explore),
    }


def _called_host(host: str) -> str:
    """Return where a process that listens on `host` is called from this machine."""
    return "127.0.0.1" if host in _EVERYWHERE or (is_loopback(host) and host != "::1") else host


async def _run(settings: Settings) -> int:
    serving, bundle = settings.serving, Bundle()
    if bundle.fault:
        log.warning("there are no pages: %s", bundle.fault)
    sessions = Sessions(authenticator(serving, settings.tokens_path), settings.console.secure_cookie)
    site = site_rules(serving.allowed_hosts, serving.host, serving.jwt_key is None)
    with closing(bound(serving.host, settings.console.port, "console.port")) as listening:
        async with http_client() as client:
            limits = ForwardLimits(serving.max_body_bytes)
            parts = ConsoleParts(bundle, sessions, client, upstreams(settings), CollectorRegistry(), site, limits)
            server = LoopServer(create_app(parts), listening)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, server.stop)
            log.info("the console is at %s", reachable_url(None, serving.host, server.port))
            await server.run()
    return 0
