/** One service: how it stands, who calls it, whom it calls, what was done to it, its signals. */

import type { ChangeList, IncidentLine } from "../api/bodies";
import { incidents } from "../api/client";
import { useLoaded } from "../parts/loaded";
import { Age, Fault, Name, Part, Severity, When } from "../parts/words";
import { counted } from "../pure/format";
import { type Health, type Neighbours, rankOf, standingOf, WELL } from "../pure/topology";
import { linkTo, visit } from "../state/route";
import { now } from "../state/time";
import { Signals } from "./signals";

const FIRST = 12;
/** the APIs take no longer name in a filter */
const LONGEST_ASKED = 200;
const DAY_MS = 86_400_000;
const SHOWN_MS = 3 * 3_600_000;
const QUARTER_MS = 900_000;

interface Shown {
  service: string;
  health: ReadonlyMap<string, Health>;
  neighbours: Neighbours;
  lines: readonly IncidentLine[];
  at: string;
}

export function ServiceDetails({ service, health, neighbours, lines, at }: Shown) {
  const own = health.get(service) ?? WELL;
  const related = own.incidents.map((id) => lines.find((line) => line.incident_id === id)).filter((line) => line !== undefined);
  const until = at ? Date.parse(at) : Math.ceil(now.value / QUARTER_MS) * QUARTER_MS;
  return (
    <section class="panel" aria-labelledby="service">
      <h2 id="service">
        <Name text={service} most={120} />
      </h2>
      <p id="service-standing">
        {own.severity ? <Severity severity={own.severity} /> : standingOf(own)}
        {at ? (
          <span class="dim">
            {" "}
            at <When at={at} />
          </span>
        ) : null}
      </p>
      <Related lines={related} />
      <div class="pair">
        <Beside title="Called by" names={neighbours.callers.get(service) ?? []} health={health} none="nobody is known to call it" />
        <Beside title="Calls" names={neighbours.callees.get(service) ?? []} health={health} none="it is not known to call any" />
      </div>
      {service.length <= LONGEST_ASKED && (
        <>
          <Changes service={service} until={until} />
          <Signals services={[service]} favoured={[]} since={until - SHOWN_MS} until={until} marks={[]} live={!at} />
        </>
      )}
      <p class="facts">
        <a href={linkTo("now", "", { service })}>its open incidents</a>
        <a href={linkTo("now", "", { service, state: "resolved" })}>its earlier incidents</a>
      </p>
    </section>
  );
}

function Related({ lines }: { lines: readonly IncidentLine[] }) {
  if (!lines.length) return null;
  return (
    <ul role="list">
      {lines.slice(0, FIRST).map((line) => (
        <li key={line.incident_id}>
          <p class="title">
            <Severity severity={line.severity} />
            <a href={linkTo("incident", line.incident_id)}>
              <Name text={line.anchor} most={60} whole={false} />
            </a>
            {line.foreseen && <span class="tag">foreseen</span>}
            {line.plans_waiting > 0 && <span class="tag">{counted(line.plans_waiting, "plan")} to approve</span>}
            <span class="dim">
              since <Age at={line.opened_at} />
            </span>
          </p>
          {line.statement && (
            <p>
              <Name text={line.statement} most={200} whole={false} />
            </p>
          )}
        </li>
      ))}
      {lines.length > FIRST && <li class="dim">and {counted(lines.length - FIRST, "more", "more")}</li>}
    </ul>
  );
}

function Beside({ title, names, health, none }: { title: string; names: readonly string[]; health: ReadonlyMap<string, Health>; none: string }) {
  return (
    <div>
      <h3>
        {title} <span class="count">{names.length}</span>
      </h3>
      {!names.length && <p class="dim">{none}</p>}
      <ul role="list" class="choices">
        {names.slice(0, FIRST).map((name) => (
          <li key={name}>
            <ServiceButton name={name} health={health.get(name) ?? WELL} />
          </li>
        ))}
        {names.length > FIRST && <li class="dim">and {counted(names.length - FIRST, "more", "more")}: search below</li>}
      </ul>
    </div>
  );
}

function Changes({ service, until }: { service: string; until: number }) {
  const search = new URLSearchParams({ service, since: new Date(until - DAY_MS).toISOString(), until: new Date(until).toISOString(), limit: "10" });
  const { data, fault, again } = useLoaded<ChangeList>(incidents(`/changes?${search}`));
  const items = data.value?.items ?? [];
  return (
    <Part title="Changes in the day before" id="changes" count={data.value ? items.length : undefined}>
      <Fault text={fault.value} again={again} />
      <ul role="list">
        {items.map((one) => (
          <li key={one.change_id}>
            <When at={one.at} />: <Name text={`${one.kind} ${one.what ?? ""}`} most={160} />
          </li>
        ))}
      </ul>
    </Part>
  );
}

export function ServiceButton({ name, health, chosen = false }: { name: string; health: Health; chosen?: boolean }) {
  return (
    <button type="button" class="choice" aria-pressed={chosen} onClick={() => visit({ service: name })}>
      <Name text={name} most={80} whole={false} />
      {rankOf(health) < rankOf(WELL) && <span class={`severity ${health.severity}`}> {standingOf(health)}</span>}
    </button>
  );
}
