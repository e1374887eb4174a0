"""Addresses of APIs as people reach them."""


def reachable_url(public_url: str | None, host: str, port: int) -> str:
    """Return the public address of an API where one is set, else that of where it listens.

    >>> reachable_url(None, "::1", 3107)
    'http://[::1]:3107'
    """
    shown = f"[{host}]" if ":" in host else host
    return public_url or f"http://{shown}:{port}"
