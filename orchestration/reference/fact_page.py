"""The page of facts: what expressions of runbooks may name."""

from collections.abc import Iterable
from typing import Final

from aiops.automation.fact_names import CAUSE, CHANGE, FILLABLE, INCIDENT, LOOKS, PLAN, SERVICE, Fact
from orchestration.reference.markdown import code, page, table, text

_OPENING: Final = """\
Expressions are [CEL](https://cel.dev). They may name the facts below and nothing else: an unknown name or a comparison of unlike
types is refused when the runbook is read, with file, line and column. A double is compared with `1.0`, an int with `1`.
A fact that is not known (no cause yet, no change, no telemetry) makes what depends on it unknown, and unknown is not true."""
_SECTIONS: Final = (
    ("Of the incident", "In `match` and `needs`.", INCIDENT),
    ("Of the cause", "In `match` and `needs`: of the most probable cause of the newest analysis.", CAUSE),
    ("Of the change", "In `match` and `needs`: the newest change of the cause before it began to stray.", CHANGE),
    ("Of the service", "In `needs`: of the service that would be acted on.", SERVICE),
    ("Of the plan", "In `needs`.", PLAN),
    ("Of three looks", "In `verify`: of the service acted on and the one where the incident showed.", LOOKS),
)


def facts_page() -> str:
    """Return the page."""
    parts = [part for title, about, facts in _SECTIONS for part in (f"## {title}", about, _table(facts))]
    filled = ", ".join(code(f"{{{name}}}") for name in FILLABLE)
    closing = f"## In parameters\n\nTexts below `with` may hold {filled}; a brace itself is written twice."
    return page("Facts of runbooks", _OPENING, *parts, closing)


def _table(facts: Iterable[Fact]) -> str:
    return table(("name", "type", "meaning"), ((code(fact.name), code(str(fact.type)), text(fact.meaning)) for fact in facts))
