"""Under which name a source is published."""

import hashlib

from orchestration.workspace.source_choice import SourceChoice


def producer_id_of(choice: SourceChoice, tenant: str) -> str:
    """Return the id under which a source is published for a tenant: the same whenever the same source is fed again."""
    digest = hashlib.blake2b("\0".join([tenant, *naming(choice)]).encode(), digest_size=6).hexdigest()
    return f"feed-{choice.name}-{digest}"


def naming(choice: SourceChoice) -> tuple[str, ...]:
    """Return the words that name a source: all of its options; of one that is followed its address, other options may change."""
    if not choice.follows:
        return choice.arguments()
    address = (
        word for item in choice.settings if item.partition("=")[0].strip() in ("url", "url_file") for word in ("--set", item)
    )
    return ("--source", choice.name, *address)
