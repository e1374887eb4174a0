"""The name under which one request is found again in answers and logs."""

import random
import re
from typing import Final

_SANE_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def request_id_from(given: str | None) -> str:
    """Return the caller's request id where it is 1 to 64 of letters, digits and ``._:-``, else a new one."""
    if given is not None and _SANE_ID.fullmatch(given):
        return given
    return f"{random.getrandbits(128):032x}"  # a name, no secret: the system's generator would give other threads the turn
