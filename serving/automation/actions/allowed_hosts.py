"""Hosts that actions may call: nothing is reached by default."""

from dataclasses import dataclass

import httpx

from aiops.errors import ContractError, legible


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """Hosts, as HOST or HOST:PORT, that may be called."""

    names: frozenset[str]

    def check(self, url: str) -> None:
        """Check the host of an address.

        Raises:
            ContractError: it is not allowed.
        """
        try:
            parts = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ContractError(f"url {legible(url)!r}: is none ({legible(error)}); mend it") from error
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        if not {parts.host, f"{parts.host}:{port}"} & {name.lower() for name in self.names}:
            raise ContractError(
                f"url {url!r}: host {parts.host} is not in automation.allowed_hosts; add it there, or use another"
            )
