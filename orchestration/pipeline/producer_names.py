"""Under which name a source is published."""

import hashlib

from orchestration.workspace.source_choice import SourceChoice


def producer_id_of(choice: SourceChoice, tenant: str) -> str:
    """Return the id under which a source is published for a tenant: the same whenever the same source is fed again."""
    digest = hashlib.blake2b("\0".join([tenant, *choice.arguments()]).encode(), digest_size=6).hexdigest()
    return f"feed-{choice.name}-{digest}"
