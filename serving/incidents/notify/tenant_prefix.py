"""What leaves the suite names its tenant: receivers of several tenants' notifications must not take two things for one."""

from dataclasses import replace
from urllib.parse import urlencode

from data_contracts.series.tenant import DEFAULT_TENANT
from serving.incidents.store.records import OutboxMessage


def outgoing(message: OutboxMessage, tenant: str) -> OutboxMessage:
    """Return a message as receivers get it: ids that are unique among tenants, a headline and a link that name the tenant.

    Those of `default` are as they were before there were tenants.
    """
    if tenant == DEFAULT_TENANT:
        return message
    payload = dict(message.payload)
    payload["tenant"] = tenant
    if "headline" in payload:
        payload["headline"] = f"[{tenant}] {payload['headline']}"
    if "url" in payload:
        payload["url"] = f"{payload['url']}?{urlencode({'tenant': tenant})}"
    message_id, dedupe_key = (f"{tenant}/{own}" for own in (message.message_id, message.dedupe_key))
    return replace(message, payload=payload, message_id=message_id, dedupe_key=dedupe_key)
