"""Where a guarded web server listens, and under which names it may be called: the options of its command line."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from serving.http.cross_site import SiteRules, site_rules
from serving.http.loopback import is_loopback


@dataclass(frozen=True, slots=True)
class WebAddress:
    """An address and the names by which browsers may call it."""

    host: str
    port: int
    site: SiteRules


def address_of(program: str, port: int, argv: Sequence[str] | None = None) -> WebAddress:
    """Return the address that a command line asks for; beyond this machine, numbers are answered too."""
    parser = argparse.ArgumentParser(program)
    parser.add_argument("--host", default="127.0.0.1", help="bind address")
    parser.add_argument("--port", type=int, default=port)
    parser.add_argument("--allowed-hosts", default="", help="names it may be called by beside this machine's, ; between")
    given = parser.parse_args(argv)
    rules = site_rules(given.allowed_hosts, given.host, keyless=is_loopback(given.host))
    return WebAddress(given.host, given.port, rules)
