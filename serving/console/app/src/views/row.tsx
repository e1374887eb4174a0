/** One open incident in the list. It repaints when its own signal changes. */

import { useComputed } from "@preact/signals";
import { memo } from "preact/compat";
import type { IncidentLine } from "../api/bodies";
import { may } from "../api/client";
import { Age, Name, Severity } from "../parts/words";
import { counted } from "../pure/format";
import { fits } from "../pure/urgency";
import { act, pending, shownState } from "../state/deeds";
import { linkTo } from "../state/route";
import { lineOf } from "../state/incidents";
import { chosen, select, selected, toggle } from "../state/selection";

export const Row = memo(function Row({ id }: { id: string }) {
  const state = useComputed(() => shownState(id, lineOf(id)?.value.state ?? "resolved")).value;
  const here = useComputed(() => selected.value === id).value;
  const line = lineOf(id)?.value;
  if (!line) return null;
  return (
    <li class={`row ${line.severity}${here ? " selected" : ""}`} data-id={id} data-state={state}>
      <Chosen id={id} name={line.anchor} />
      <div class="what">
        <p class="title">
          <Severity severity={line.severity} />
          <a href={linkTo("incident", id)} onFocus={() => select(id)}>
            <Name text={line.anchor} most={80} whole={false} />
          </a>
          <span class={`state ${state}`}>{state}</span>
          {line.foreseen && <span class="tag">foreseen</span>}
          {line.storm && <span class="tag">storm</span>}
          {line.plans_waiting > 0 && <span class="tag wait">{counted(line.plans_waiting, "plan")} to approve</span>}
        </p>
        <Cause line={line} />
        <Facts line={line} />
      </div>
      {may("operator") && <Buttons id={id} state={state} name={line.anchor} />}
    </li>
  );
});

function Chosen({ id, name }: { id: string; name: string }) {
  const ticked = useComputed(() => chosen.value.has(id)).value;
  return (
    <label class="choose">
      <input type="checkbox" checked={ticked} onChange={() => toggle(id)} aria-label={`Choose the incident at ${name.slice(0, 80)}`} />
    </label>
  );
}

function Cause({ line }: { line: IncidentLine }) {
  if (line.statement) {
    return (
      <p class="cause">
        <Name text={line.statement} most={260} whole={false} />
      </p>
    );
  }
  const others = line.services.length - 1;
  return <p class="cause dim">No cause is known yet{others > 0 ? `; ${counted(others, "more service")} touched` : ""}.</p>;
}

function Facts({ line }: { line: IncidentLine }) {
  const names = line.alert_names;
  return (
    <p class="facts">
      <span>
        open for <Age at={line.opened_at} />
      </span>
      <span>
        {counted(line.different_alerts, "alert")}, {line.firing.toLocaleString("en-GB")} firing
      </span>
      {line.acknowledged_by ? (
        <span>
          acknowledged by <Name text={line.acknowledged_by} most={40} whole={false} />
          {line.acknowledged_at ? (
            <>
              {" "}
              <Age at={line.acknowledged_at} /> ago
            </>
          ) : null}
        </span>
      ) : null}
      {line.notified_at ? null : <span>nobody was notified yet</span>}
      {names.length > 0 && (
        <span>
          <Name text={names.slice(0, 3).join(", ")} most={90} whole={false} />
          {line.different_alerts > 3 ? " and others" : ""}
        </span>
      )}
    </p>
  );
}

function Buttons({ id, state, name }: { id: string; state: string; name: string }) {
  const about = name.slice(0, 80);
  const sending = useComputed(() => pending.value.has(id)).value;
  return (
    <div class="buttons">
      {fits("acknowledge", state) && (
        <button type="button" class="main" disabled={sending} onClick={() => act("acknowledge", [id])} aria-label={`Acknowledge ${about}`}>
          Acknowledge
        </button>
      )}
      {fits("resolve", state) && (
        <button type="button" disabled={sending} onClick={() => act("resolve", [id])} aria-label={`Resolve ${about}`}>
          Resolve
        </button>
      )}
    </div>
  );
}
