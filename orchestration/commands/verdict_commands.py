"""The command `aiops incidents verdict`: what an incident was, shown with its consequences before it takes effect."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.commands.options import ActedBy, AsJson
from orchestration.console import print_json, print_table

if TYPE_CHECKING:
    from aiops.incidents.feedback.verdict_effects import VerdictPreview
    from serving.incidents.desk.verdict_draft import VerdictDraft


def verdict(
    incident: Annotated[str, typer.Argument(help="id of an incident, or a unique beginning of it")],
    true: Annotated[bool, typer.Option("--true", help="it was one, of the cause that was named")] = False,
    false_alarm: Annotated[bool, typer.Option("--false-alarm", help="nothing was wrong")] = False,
    wrong_cause: Annotated[str | None, typer.Option("--wrong-cause", help="it was one, and this service began it")] = None,
    duplicate_of: Annotated[str | None, typer.Option("--duplicate-of", help="it repeats this incident")] = None,
    unrelated: Annotated[list[str] | None, typer.Option("--unrelated", help="service that was merged in wrongly")] = None,
    note: Annotated[str, typer.Option("--note", help="kept with the verdict")] = "",
    preview: Annotated[bool, typer.Option("--preview", help="only show what it would change")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask; --json never asks, it applies unless --preview")] = False,
    by: ActedBy = None,
    as_json: AsJson = False,
) -> None:
    """Say what an incident was: it teaches training, thresholds, correlation and root causes; a later one corrects it."""
    options = _VerdictOptions(true, false_alarm, wrong_cause, duplicate_of, tuple(unrelated or ()), note)
    _judge(_draft(incident, options), by, _Wish(preview, yes or as_json, as_json))


@dataclass(frozen=True, slots=True)
class _VerdictOptions:
    true: bool
    false_alarm: bool
    wrong_cause: str | None
    duplicate_of: str | None
    unrelated: tuple[str, ...]
    note: str


@dataclass(frozen=True, slots=True)
class _Wish:
    only_preview: bool
    unasked: bool
    as_json: bool


def _draft(incident: str, options: _VerdictOptions) -> "VerdictDraft":
    from aiops.errors import ConfigurationError
    from aiops.incidents.verdict import VerdictKind
    from serving.incidents.desk.verdict_draft import VerdictDraft

    given = {
        VerdictKind.TRUE: options.true,
        VerdictKind.FALSE_ALARM: options.false_alarm,
        VerdictKind.WRONG_CAUSE: options.wrong_cause is not None,
        VerdictKind.DUPLICATE: options.duplicate_of is not None,
    }
    kinds = [kind for kind, chosen in given.items() if chosen]
    if len(kinds) != 1:
        raise ConfigurationError(
            f"{len(kinds)} verdicts were given; give one of --true, --false-alarm, --wrong-cause SERVICE, --duplicate-of ID"
        )
    words = (options.wrong_cause or "", options.duplicate_of or "", options.note, options.unrelated)
    return VerdictDraft(incident, kinds[0], *words)


def _judge(draft: "VerdictDraft", by: str | None, wish: _Wish) -> None:
    from orchestration.commands.incident_access import IncidentWork, somebody
    from serving.incidents.desk import feedback
    from serving.incidents.desk.verdict_draft import verdict_of

    with IncidentWork.opened() as work:
        now = work.now()
        given = verdict_of(work.store, draft, now, somebody(by), work.services())
        preview = feedback.preview(work.store, work.lake, given, now)
        if not wish.as_json:
            _print(preview)
        applied = not wish.only_preview and (wish.unasked or typer.confirm("Let it take effect?", err=True))
        effect = feedback.apply(work.store, work.desk, work.lake, given) if applied else preview.effect
    if wish.as_json:
        print_json({"applied": applied, "verdict": given, "effect": effect, "past": preview})
    elif applied:
        typer.echo(f"{given.verdict_id}: taken.")


def _print(preview: "VerdictPreview") -> None:
    for sentence in preview.sentences:
        typer.echo(f"- {sentence}")
    changes = [(threshold.name, f"{threshold.before:.2f}", f"{threshold.after:.2f}") for threshold in preview.effect.thresholds]
    if changes:
        print_table("Least scores that alert", ("series", "before", "after"), changes)
