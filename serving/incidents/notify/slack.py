"""Notifications to Slack, or what takes Slack's incoming webhooks: a text and blocks, in which no label can mention or link.

Source: Slack's documentation of incoming webhooks, of formatting (escape &, < and >; `<!channel>` and `<@U1>` mention) and of
block limits (section 3,000 characters).
"""

from typing import Any, Final

import orjson

from aiops.incidents.alert import Severity
from serving.incidents.notify.delivery import Attempt, Poster
from serving.incidents.notify.notice import Cause, Notice, PlanInShort, notice_of_plain
from serving.incidents.store.records import MessageKind, OutboxMessage

SECTION_CHARACTERS: Final = 3000
TEXT_CHARACTERS: Final = 4000
_MOST_STEPS: Final = 5

_SIGNS: Final = {Severity.INFO: ":information_source:", Severity.WARNING: ":warning:", Severity.CRITICAL: ":rotating_light:"}
_QUIET: Final = {MessageKind.ACKNOWLEDGED: ":eyes:", MessageKind.RESOLVED: ":white_check_mark:"}
_ESCAPES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "@\u200b"})
"""The space of no width keeps receivers that link plain names (Mattermost) from mentioning `@channel`."""


def escaped(text: str, most: int) -> str:
    """Return text for Slack's mrkdwn in at most `most` characters; escapes are never cut through.

    >>> escaped("<!channel> a&b", 99)
    '&lt;!channel&gt; a&amp;b'
    >>> escaped("aaa<", 6)
    'aaa…'
    """
    pieces = [character.translate(_ESCAPES) for character in " ".join(text.split())]
    if sum(map(len, pieces)) <= most:
        return "".join(pieces)
    room = most - 1
    kept: list[str] = []
    for piece in pieces:
        room -= len(piece)
        if room < 0:
            break
        kept.append(piece)
    return "".join(kept) + "…"


def slack_body(notice: Notice) -> dict[str, Any]:
    """Return what is posted about a notice."""
    sign = _QUIET.get(notice.kind) or _SIGNS[notice.severity]
    summary = f"{notice.incident_id}: {notice.headline}"
    blocks: list[dict[str, Any]] = [_section(f"{sign} *{escaped(summary, SECTION_CHARACTERS // 2)}*")]
    if notice.kind in {MessageKind.PAGE, MessageKind.ESCALATION, MessageKind.UPDATE}:
        services = ", ".join(notice.services)
        more = notice.service_count - len(notice.services)
        listed = escaped(services + (f" and {more} more" if more > 0 else ""), SECTION_CHARACTERS // 2)
        blocks.append(_section(f"Services: {listed or 'none named'}\nAlerts: {notice.alert_count:,}"))
    if notice.plan is not None:
        blocks.append(_section(_plan(notice.plan)))
    if notice.cause is not None:
        blocks.append(_section(_cause(notice.cause)))
    link = f"<{_url(notice.url)}|Open the incident>"
    blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": f"{link} · {notice.at:%Y-%m-%d %H:%M:%S} UTC"}]})
    text = f"{sign} {escaped(summary, TEXT_CHARACTERS // 2)}"
    return {"text": text, "blocks": blocks}


def _cause(cause: Cause) -> str:
    sentence = escaped(cause.sentence, SECTION_CHARACTERS // 2)
    if not cause.decided:
        return f"Root cause not decided: {sentence}"
    return f"Probable root cause: *{escaped(cause.service, 200)}* ({cause.probability:.0%})\n{sentence}"


def _plan(plan: PlanInShort) -> str:
    lines = [
        f"*{escaped(plan.title, 200)}* ({escaped(plan.runbook, 63)})",
        *(escaped(line, 300) for line in plan.what[:_MOST_STEPS]),
    ]
    undo, reach = escaped(plan.undo, 300) or "cannot be undone", escaped(", ".join(plan.reach), 300) or "nobody"
    lines += [f"Undo: {undo}", f"Called by: {reach}", f"Until: {plan.expires_at:%Y-%m-%d %H:%M} UTC"]
    by_command = f"`aiops approve {escaped(plan.plan_id, 80)}`"
    lines.append(f"<{_url(plan.approve_url)}|Look at it and approve>" if plan.approve_url else by_command)
    return "\n".join(lines)


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _url(url: str) -> str:
    """Return an address that cannot end its link early."""
    return url.replace("<", "%3C").replace(">", "%3E").replace("&", "&amp;").replace("|", "%7C").replace(" ", "%20")


class SlackChannel:
    """Posts to one incoming webhook."""

    name = "slack"

    def __init__(self, poster: Poster) -> None:
        self._poster = poster

    def deliver(self, message: OutboxMessage) -> Attempt:
        """Try once to deliver a message."""
        return self._poster.post(orjson.dumps(slack_body(notice_of_plain(message.payload))), {})

    def close(self) -> None:
        """Let go of connections."""
        self._poster.close()
