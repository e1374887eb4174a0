/** What is not being said, and why: silences, maintenance windows and pages that are held back. */

import { useSignal } from "@preact/signals";
import type { HeldBackList, MaintenanceList, MaintenanceView, Matcher, Silence, SilenceBody, SilenceList } from "../api/bodies";
import { incidents, may, reasonOf, remove, send } from "../api/client";
import { useLoaded } from "../parts/loaded";
import { Age, Fault, Name, Part, Severity, When } from "../parts/words";
import { span } from "../pure/format";
import { note } from "../state/notes";
import { linkTo, query } from "../state/route";
import { second } from "../state/time";

const EVERY_MS = 30_000;

export function Quiet() {
  const silences = useLoaded<SilenceList>(incidents("/silences"), EVERY_MS);
  const windows = useLoaded<MaintenanceList>(incidents("/maintenance"), EVERY_MS);
  const held = useLoaded<HeldBackList>(incidents("/held-back"), EVERY_MS);
  return (
    <>
      <h1 tabIndex={-1}>Quiet</h1>
      <p class="dim">Alerts that a silence or a maintenance window fits are kept, but open nothing and page nobody.</p>
      <Part title="Silences" count={silences.data.value?.items.length}>
        <Fault text={silences.fault.value} again={silences.again} />
        <Spans items={silences.data.value?.items ?? []} kind="silences" again={silences.again} />
        {may("admin") ? <NewSpan kind="silences" again={silences.again} /> : <p class="dim">To make or end a silence needs the role admin.</p>}
      </Part>
      <Part title="Maintenance" count={windows.data.value?.items.length}>
        <Fault text={windows.fault.value} again={windows.again} />
        <Spans items={windows.data.value?.items ?? []} kind="maintenance" again={windows.again} />
        {may("admin") ? <NewSpan kind="maintenance" again={windows.again} /> : <p class="dim">To announce or recall work needs the role admin.</p>}
      </Part>
      <Part title="Pages held back" id="held" count={held.data.value?.items.length}>
        <Fault text={held.fault.value} again={held.again} />
        <Held list={held.data.value} />
      </Part>
    </>
  );
}

function Held({ list }: { list: HeldBackList | null }) {
  if (!list) return null;
  if (!list.items.length) return <p class="dim">No page is held back.</p>;
  return (
    <>
      <p>The page budget is used up, or a storm rages: nobody was paged for these yet.</p>
      <ul role="list" class="alerts">
        {list.items.map((one) => (
          <li key={one.incident_id} class="card title">
            <Severity severity={one.severity} />
            <a href={linkTo("incident", one.incident_id)}>
              <Name text={one.incident_id} whole={false} />
            </a>
            <span>
              for <Age at={one.since} />
            </span>
          </li>
        ))}
      </ul>
    </>
  );
}

type Kind = "silences" | "maintenance";
type Span = Silence | MaintenanceView;

/** Where a span stands: 0 = holds now, 1 = later, 2 = over. A window that comes again is never over before its end. */
function standing(one: Span, at: number): number {
  const repeats = "every_s" in one && one.every_s !== null;
  const end = repeats ? (one.until ? Date.parse(one.until) : Number.POSITIVE_INFINITY) : Date.parse(one.ends_at);
  if (at >= end) return 2;
  return at < Date.parse(one.starts_at) ? 1 : 0;
}

function Spans({ items, kind, again }: { items: readonly Span[]; kind: Kind; again: () => void }) {
  const at = second.value;
  const sorted = [...items].sort((one, other) => standing(one, at) - standing(other, at));
  const over = sorted.filter((one) => standing(one, at) === 2);
  const holding = sorted.filter((one) => standing(one, at) < 2);
  return (
    <>
      {!holding.length && <p class="dim">{kind === "silences" ? "Nothing is silenced." : "No work is announced."}</p>}
      {holding.map((one) => (
        <One key={one.name} one={one} kind={kind} again={again} />
      ))}
      {over.length > 0 && (
        <details>
          <summary>{over.length} that are over</summary>
          {over.map((one) => (
            <One key={one.name} one={one} kind={kind} again={again} />
          ))}
        </details>
      )}
    </>
  );
}

function One({ one, kind, again }: { one: Span; kind: Kind; again: () => void }) {
  const place = standing(one, second.value);
  const ends = kind === "silences" ? "End it now" : "Recall it";
  const repeats = "every_s" in one ? one.every_s : null;
  const end = async () => {
    try {
      await remove(incidents(`/${kind}/${encodeURIComponent(one.name)}`));
      note(`Ended: ${one.name.slice(0, 80)}.`);
      again();
    } catch (error) {
      note(reasonOf(error), true);
    }
  };
  return (
    <div class="card">
      <p class="title">
        <strong>
          <Name text={one.name} />
        </strong>
        <span class="state">{place === 2 ? "over" : place === 1 ? "later" : repeats ? "comes again" : "holds now"}</span>
      </p>
      <Matchers matchers={one.matchers} />
      <p class="facts">
        <span>
          from <When at={one.starts_at} />
        </span>
        <span>
          to <When at={one.ends_at} />
          {place === 0 && !repeats ? `, ${span(Date.parse(one.ends_at) - second.value)} left` : ""}
        </span>
        {repeats ? <span>every {span(repeats * 1000)}</span> : null}
      </p>
      {may("admin") && place < 2 && (
        <button type="button" onClick={() => void end()} aria-label={`${ends}: ${one.name.slice(0, 80)}`}>
          {ends}
        </button>
      )}
    </div>
  );
}

const Matchers = ({ matchers }: { matchers: readonly Matcher[] }) => (
  <ul role="list" class="facts">
    {matchers.map((one) => (
      <li key={`${one.label}${one.operator}${one.value}`}>
        <code>
          <Name text={`${one.label} ${one.operator} ${one.value || '""'}`} most={160} />
        </code>
      </li>
    ))}
  </ul>
);

const HOURS = [1, 2, 4, 8, 24, 72] as const;
const OPERATORS = ["=", "!=", "=~", "!~"] as const;

function NewSpan({ kind, again }: { kind: Kind; again: () => void }) {
  const asked = query.value.service ?? "";
  const matchers = useSignal<SilenceBody["matchers"]>([{ label: "service", operator: "=", value: asked }]);
  const name = useSignal(asked ? `quiet-${asked}`.slice(0, 200) : "");
  const hours = useSignal(2);
  const fault = useSignal("");
  const make = async (event: Event) => {
    event.preventDefault();
    try {
      const ends_at = new Date(Date.now() + hours.value * 3_600_000).toISOString();
      await send(incidents(`/${kind}`), { name: name.value.trim(), matchers: matchers.value, ends_at });
      note(`It holds from now on: ${name.value.slice(0, 80)}.`);
      fault.value = "";
      again();
    } catch (error) {
      fault.value = reasonOf(error);
    }
  };
  const change = (place: number, part: Partial<SilenceBody["matchers"][number]>) => {
    matchers.value = matchers.value.map((one, at) => (at === place ? { ...one, ...part } : one));
  };
  return (
    <details open={kind === "silences" && asked !== ""} class="card">
      <summary>{kind === "silences" ? "Make a silence" : "Announce work that begins now"}</summary>
      <form class="stack" onSubmit={(event) => void make(event)}>
        <label>
          Name <input required maxLength={200} value={name.value} onInput={(event) => (name.value = event.currentTarget.value)} />
        </label>
        {matchers.value.map((one, place) => (
          <fieldset key={place} class="filters">
            <legend>Condition {place + 1}: a label that an alert has to have</legend>
            <input aria-label="Label" required maxLength={200} size={12} value={one.label} onInput={(event) => change(place, { label: event.currentTarget.value })} />
            <select aria-label="Compared how" value={one.operator ?? "="} onChange={(event) => change(place, { operator: event.currentTarget.value as "=" })}>
              {OPERATORS.map((operator) => (
                <option key={operator}>{operator}</option>
              ))}
            </select>
            <input aria-label="With what" maxLength={500} size={24} value={one.value} onInput={(event) => change(place, { value: event.currentTarget.value })} />
            {matchers.value.length > 1 && (
              <button type="button" onClick={() => (matchers.value = matchers.value.filter((_, at) => at !== place))}>
                Leave it out
              </button>
            )}
          </fieldset>
        ))}
        <div class="buttons">
          {matchers.value.length < 20 && (
            <button type="button" onClick={() => (matchers.value = [...matchers.value, { label: "", operator: "=", value: "" }])}>
              One more condition
            </button>
          )}
          <label>
            For{" "}
            <select value={hours.value} onChange={(event) => (hours.value = Number(event.currentTarget.value))}>
              {HOURS.map((number) => (
                <option key={number} value={number}>
                  {span(number * 3_600_000)}
                </option>
              ))}
            </select>
          </label>
          <button type="submit" class="main">
            {kind === "silences" ? "Silence" : "Announce"}
          </button>
        </div>
        <Fault text={fault.value} />
      </form>
    </details>
  );
}
