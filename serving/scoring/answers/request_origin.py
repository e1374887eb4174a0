"""Where a request comes from: the same for every transport."""

from dataclasses import dataclass

from data_contracts.series.tenant import DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class RequestOrigin:
    """One request: the name under which it is found again, and whose data it is about. All its rows are of one tenant."""

    request_id: str
    tenant: str = DEFAULT_TENANT
