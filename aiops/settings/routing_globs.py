"""Overrides of routing as a setting holds them."""

from aiops.errors import ConfigurationError
from aiops.settings.setting_parts import setting_parts


def parse_overrides(text: str) -> tuple[tuple[str, int], ...]:
    """Return (glob of service|metric, tier) of a text `glob=tier; …`; the first that matches counts.

    >>> parse_overrides("cart|queue_*=1; *|orders=2")
    (('cart|queue_*', 1), ('*|orders', 2))

    Raises:
        ConfigurationError: a part has another form; the message names it.
    """
    overrides = []
    for part in setting_parts(text):
        glob, sign, tier = part.rpartition("=")
        if not sign or "|" not in glob or tier.strip() not in {"1", "2", "3"}:
            raise ConfigurationError(
                f"routing.overrides: {part!r} is not service|metric=tier with tier 1, 2 or 3; write for example *|queue_length=1"
            )
        overrides.append((glob.strip(), int(tier)))
    return tuple(overrides)
