/** One incident: what it is, why, what can be done, and what it was. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { IncidentView, Timeline } from "../api/bodies";
import { incidents, may, read, reasonOf } from "../api/client";
import { useAfterPaint, usePainted } from "../parts/loaded";
import { Fault, Name, Names, Severity, When, Age } from "../parts/words";
import { legible } from "../pure/format";
import { chatText, postMortem } from "../pure/report";
import { fits, isOpen } from "../pure/urgency";
import { act, changed, pending, shownState } from "../state/deeds";
import { viewedState } from "../state/keys";
import { onEvents } from "../state/live";
import { note } from "../state/notes";
import { linkTo } from "../state/route";
import { Alerts } from "./alerts";
import { Earlier, IncidentSignals } from "./around";
import { Cause } from "./cause";
import { Plans } from "./plans";
import { History } from "./timeline";
import { Verdict } from "./verdict";

/** what was seen last of each incident: going back to one shows it at once */
const seen = new Map<string, IncidentView>();
const KEPT = 30;

export function Incident({ id }: { id: string }) {
  return <Shown key={id} id={id} />;
}

function Shown({ id }: { id: string }) {
  const incident = useSignal<IncidentView | null>(seen.get(id) ?? null);
  const fault = useSignal("");
  const load = async () => {
    try {
      const body = await read<IncidentView>(incidents(`/incidents/${encodeURIComponent(id)}`));
      keep(id, body);
      incident.value = body;
      fault.value = "";
    } catch (error) {
      fault.value = reasonOf(error);
    }
  };
  useEffect(() => {
    void load();
    return onEvents((events) => {
      const own = incident.peek()?.incident_id ?? id;
      if (events.some((event) => event.incident === own || event.kind === "connected" || event.kind === "reset")) void load();
    });
  }, []);
  usePainted("incident", incident.value !== null);
  const touched = changed.value;
  useEffect(() => {
    if (touched && touched === (incident.peek()?.incident_id ?? id)) void load();
  }, [touched]);
  const view = incident.value;
  const state = view ? shownState(view.incident_id, view.state) : "";
  useEffect(() => {
    viewedState.value = state;
    return () => {
      viewedState.value = "";
    };
  }, [state]);
  useEffect(() => {
    if (view && location.hash) document.querySelector(`#${CSS.escape(location.hash.slice(1))}`)?.scrollIntoView();
  }, [view === null]);
  return (
    <article class="incident" data-state={state}>
      <p>
        <a href={linkTo("now")}>All open incidents</a>
      </p>
      <h1 tabIndex={-1}>{view ? <Name text={view.anchor} most={160} /> : <Name text={id} most={80} whole={false} />}</h1>
      <Fault text={fault.value} again={() => void load()} />
      {!view && !fault.value && <p class="dim">Asking for the incident …</p>}
      {view && <Whole view={view} state={state} reload={() => void load()} />}
    </article>
  );
}

function keep(id: string, body: IncidentView): void {
  seen.delete(id);
  seen.set(id, body);
  if (seen.size > KEPT) seen.delete(seen.keys().next().value as string);
}

function Whole({ view, state, reload }: { view: IncidentView; state: string; reload: () => void }) {
  const after = useAfterPaint();
  return (
    <>
      <Head view={view} state={state} />
      <Doing view={view} state={state} />
      <div class="columns">
        <div>
          <Cause incident={view} />
          {after && <IncidentSignals incident={view} />}
          <Alerts incident={view.incident_id} groups={view.alerts} />
        </div>
        <div>
          <Plans incident={view.incident_id} />
          <History incident={view} />
          {after && <Earlier incident={view} />}
          <Verdict incident={view} done={reload} />
        </div>
      </div>
    </>
  );
}

function Head({ view, state }: { view: IncidentView; state: string }) {
  return (
    <>
      <p class="title">
        <Severity severity={view.severity} />
        <span class={`state ${state}`}>{state}</span>
        {view.storm && <span class="tag">storm</span>}
        <code>
          <Name text={view.incident_id} />
        </code>
      </p>
      <p class="facts">
        <span>
          opened <When at={view.opened_at} />
          {isOpen(state) ? (
            <>
              , <Age at={view.opened_at} ago />
            </>
          ) : null}
        </span>
        <span>
          last change <When at={view.updated_at} />
        </span>
        <span>{view.notified_at ? <Notified at={view.notified_at} /> : "nobody was notified yet"}</span>
      </p>
      <p>
        Services: <Names texts={view.services} />
      </p>
      {view.merged_into && (
        <p class="fault">
          It goes on as{" "}
          <a href={linkTo("incident", view.merged_into)}>
            <Name text={view.merged_into} />
          </a>
          .
        </p>
      )}
      {view.merged.length > 0 && (
        <p>
          Goes on in it: <Names texts={view.merged} />
        </p>
      )}
    </>
  );
}

const Notified = ({ at }: { at: string }) => (
  <>
    notified <When at={at} />
  </>
);

function Doing({ view, state }: { view: IncidentView; state: string }) {
  const id = view.incident_id;
  const sending = pending.value.has(id);
  const stateOf = () => state;
  const address = `${location.origin}${linkTo("incident", id)}`;
  return (
    <div class="buttons doing">
      {!may("operator") && <p class="dim">Your role may look: what changes an incident needs the role operator.</p>}
      {may("operator") && fits("acknowledge", state) && (
        <button type="button" class="main" disabled={sending} onClick={() => act("acknowledge", [id], stateOf)}>
          Acknowledge
        </button>
      )}
      {may("operator") && fits("mitigate", state) && (
        <button type="button" disabled={sending} onClick={() => act("mitigate", [id], stateOf)}>
          Mitigated
        </button>
      )}
      {may("operator") && fits("resolve", state) && (
        <button type="button" disabled={sending} onClick={() => act("resolve", [id], stateOf)}>
          Resolve
        </button>
      )}
      <span class="apart">
        <button type="button" onClick={() => void copy(chatText(view, address))}>
          Copy as text
        </button>
        <button type="button" onClick={() => void exportDraft(view, address)}>
          Post-mortem draft
        </button>
        <a href={linkTo("services", "", { service: view.anchor })}>Who calls it</a>
        {may("admin") && <a href={linkTo("quiet", "", { service: view.anchor })}>Silence …</a>}
      </span>
    </div>
  );
}

async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    note("Copied.");
  } catch {
    note(`The browser does not let this page copy. The text: ${text}`, true);
  }
}

async function exportDraft(view: IncidentView, address: string): Promise<void> {
  try {
    const { items } = await read<Timeline>(incidents(`/incidents/${encodeURIComponent(view.incident_id)}/timeline`));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([postMortem(view, items, address)], { type: "text/markdown" }));
    link.download = `post-mortem-${legible(view.incident_id).replace(/[^\w.-]+/g, "-").slice(0, 80)}.md`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  } catch (error) {
    note(`There is no draft: ${reasonOf(error)}`, true);
  }
}
