"""Keeps web pages of other sites out: by `Host`, by `Origin`, and by what browsers say of where a request comes from.

A web page of another site can send requests to an address of this machine, and a name that it controls can be made to point
there (DNS rebinding). So `Host` must be a name that this service has, and an `Origin` must be the address that was called. A
number is no name: nobody else can make a page's name be an address in figures.
Source: Fetch Metadata Request Headers (W3C), Fetch standard (WHATWG, section 3.1, the Origin header).
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import urlsplit

from aiops.settings.setting_parts import setting_parts
from serving.http.loopback import is_loopback
from serving.http.problem import Problem, ProblemError, shown

ANY_HOST: Final = "*"
SETTING: Final = "AIOPS_SERVING__ALLOWED_HOSTS"
_EMBEDDED: Final = frozenset({"iframe", "frame", "embed", "object", "fencedframe"})
_RULE: Final = "pages of other sites may not call the service"
_FIX: Final = "call it from a program or its own page"


@dataclass(frozen=True, slots=True)
class SiteRules:
    """`names`: host names that are this service's beside this machine's, `*` in them stands for any letters.

    `only_local` = numbers that are not this machine's are refused too: without a key nobody else is answered.
    """

    names: tuple[str, ...] = ()
    only_local: bool = True

    def check(self, headers: Mapping[str, str]) -> None:
        """Check that no page of another site sends a request with these headers (names in lower case).

        Raises:
            ProblemError: 403, the host is not this service's, or the origin is not the address that was called.
        """
        host = headers.get("host", "")
        if not self.is_own(host_name(host)):
            allowed = ", ".join(("localhost", "127.0.0.1", "[::1]", *(() if self.only_local else ("any number",)), *self.names))
            rule = f"the service answers to {allowed} only"
            raise _foreign("host", host, rule, f"call it by one of these, or add the name to {SETTING}")
        origin = headers.get("origin")
        if origin is not None and netloc_of(origin) != host.lower():
            raise _foreign("origin", origin, _RULE, _FIX)
        site = headers.get("sec-fetch-site")
        if site in {"cross-site", "same-site"} and not _is_visit(headers):
            raise _foreign("sec-fetch-site", site, _RULE, _FIX)

    def is_own(self, name: str) -> bool:
        """Return whether a host name or number is this service's.

        >>> SiteRules(("aiops.example.com",)).is_own("aiops.example.com"), SiteRules().is_own("10.0.0.5"), SiteRules().is_own("")
        (True, False, False)
        """
        if not name:
            return False
        if is_loopback(name) or (not self.only_local and _is_number(name)):
            return True
        return any(fnmatchcase(name, pattern) for pattern in self.names)


def site_rules(allowed_hosts: str, host: str, keyless: bool) -> SiteRules:
    """Return the rules of a service that listens on `host`; `allowed_hosts` separates names by `;`.

    >>> site_rules("aiops.example.com; *.svc", "0.0.0.0", keyless=False).names
    ('aiops.example.com', '*.svc')
    """
    names = [name.lower() for name in setting_parts(allowed_hosts)]
    if not (_is_number(host) or is_loopback(host)):
        names.append(host.lower())
    return SiteRules(tuple(names), only_local=keyless)


def netloc_of(origin: str) -> str:
    """Return host and port of an origin as a `Host` header has them; "null" and nonsense give themselves.

    >>> netloc_of("http://LOCALHOST:3103"), netloc_of("null")
    ('localhost:3103', 'null')
    """
    try:
        return urlsplit(origin).netloc.lower() or origin
    except ValueError:
        return origin


def host_name(host: str) -> str:
    """Return the name in a `Host` header; nonsense gives "".

    >>> host_name("localhost:3103"), host_name("[::1]:3103"), host_name("evil.example@localhost"), host_name("a:b")
    ('localhost', '::1', '', '')
    """
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return ""
    return "" if parts.username is not None or parts.path or parts.query or parts.fragment else parts.hostname or ""


def _is_visit(headers: Mapping[str, str]) -> bool:
    """Return whether a person follows a link: a whole page is asked for, not one inside another's."""
    return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest", "document") not in _EMBEDDED


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _foreign(field: str, value: str, rule: str, fix: str) -> ProblemError:
    text = shown(value)
    detail = f"{field} = {text or 'missing'}: {rule}. {fix[:1].upper()}{fix[1:]}."
    return ProblemError(Problem(403, "foreign-site", detail, field, text, rule, fix))
