"""Which addresses are this machine's only."""

import functools
import ipaddress
from collections.abc import Sequence


@functools.lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Return whether `host` (address or name) is this machine only.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def is_local_peer(client: Sequence[object] | None) -> bool:
    """Return whether an ASGI `client` pair is on this machine; None = a Unix socket, which is."""
    return client is None or is_loopback(str(client[0]))
