/** What waits for a person, what is not being said, and whether the suite itself is well. */

import { useComputed, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { AlertPage, HeldBackList, IncidentLine, PlanLine, PlanPage, Readiness } from "../api/bodies";
import { automation, explore, incidents } from "../api/client";
import { useLoaded } from "../parts/loaded";
import { Age, Fault, Name, Part, Severity } from "../parts/words";
import { countdown, counted, percent } from "../pure/format";
import { lineOf, order, ready } from "../state/incidents";
import { connected, onEvents } from "../state/live";
import { linkTo } from "../state/route";
import { second } from "../state/time";

const PLANS_MS = 10_000;
const HELD_MS = 30_000;
const MOST = 20;
const MOST_FORESEEN = 6;

/** Asked for after the list is there: the list is what is needed first. */
export function Aside() {
  const painted = useSignal(false);
  useEffect(() => {
    if (ready.value) requestAnimationFrame(() => setTimeout(() => (painted.value = true), 30));
  }, [ready.value]);
  if (!painted.value) return <aside class="aside" aria-label="What waits" />;
  return (
    <aside class="aside" aria-label="What waits">
      <Waiting />
      <Foreseen />
      <Held />
      <Health />
    </aside>
  );
}

function Waiting() {
  const { data, fault, again } = useLoaded<PlanPage>(automation("/plans?state=waiting&limit=50"), PLANS_MS);
  const plans = data.value?.items ?? [];
  return (
    <Part title="Waits for approval" count={data.value ? plans.length : undefined}>
      <Fault text={fault.value && `Plans are not known: ${fault.value}`} again={again} />
      {data.value && !plans.length && <p class="dim">No plan waits.</p>}
      <ul role="list">
        {plans.map((plan) => (
          <Plan key={plan.plan_id} plan={plan} />
        ))}
      </ul>
      {data.value?.next_cursor && <p>There are more: see Act.</p>}
    </Part>
  );
}

function Plan({ plan }: { plan: PlanLine }) {
  return (
    <li class="card">
      <a href={`${linkTo("incident", plan.incident_id)}#plans`}>
        <Name text={plan.title} most={100} whole={false} />
      </a>
      <p class="facts">
        <Name text={plan.services.join(", ")} most={80} whole={false} />
        <Countdown until={plan.expires_at} />
      </p>
    </li>
  );
}

export function Countdown({ until }: { until: string }) {
  const left = countdown(until, second.value);
  return <span class="countdown">{left === "over" ? "expired" : `${left} left`}</span>;
}

/** What has not begun yet. It is in the list as well, by its severity. */
function Foreseen() {
  const lines = useComputed(() => order.value.map((id) => lineOf(id)?.value).filter((line) => line?.foreseen)).value;
  if (!lines.length) return null;
  return (
    <Part title="Foreseen" count={lines.length}>
      <ul role="list">
        {lines.slice(0, MOST_FORESEEN).map((line) => line && <Coming key={line.incident_id} line={line} />)}
      </ul>
      {lines.length > MOST_FORESEEN && <p>and {counted(lines.length - MOST_FORESEEN, "more", "more")}, in the list</p>}
    </Part>
  );
}

function Coming({ line }: { line: IncidentLine }) {
  const { data } = useLoaded<AlertPage>(incidents(`/incidents/${encodeURIComponent(line.incident_id)}/alerts?limit=1`), HELD_MS);
  const newest = data.value?.items[0];
  return (
    <li class="card">
      <a href={linkTo("incident", line.incident_id)}>
        <Name text={line.anchor} most={80} whole={false} />
      </a>
      <p class="facts">
        {newest?.labels.horizon && (
          <span>
            within <Name text={newest.labels.horizon} most={40} whole={false} />
            {newest.score == null ? "" : `, ${percent(newest.score)}`}
          </span>
        )}
        {newest && (
          <span>
            said <Age at={newest.received_at} ago />
          </span>
        )}
      </p>
    </li>
  );
}

function Held() {
  const held = useLoaded<HeldBackList>(incidents("/held-back"), HELD_MS);
  useEffect(() => onEvents((events) => events.some((event) => event.kind === "paged" || event.kind === "storm") && held.again()), []);
  const items = held.data.value?.items ?? [];
  if (held.fault.value) return <Fault text={`Held-back pages are not known: ${held.fault.value}`} again={held.again} />;
  if (!items.length) return null;
  return (
    <Part title="Pages held back" count={items.length}>
      <p>The page budget is used up, or a storm rages: nobody was paged for these yet.</p>
      <ul role="list">
        {items.slice(0, MOST).map((one) => (
          <li key={one.incident_id} class="facts">
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
      {items.length > MOST && (
        <p>
          and {counted(items.length - MOST, "more", "more")}: <a href={linkTo("quiet")}>all held-back pages</a>
        </p>
      )}
    </Part>
  );
}

function Health() {
  const parts = [useReadiness("Incidents", incidents("/readyz")), useReadiness("Actions", automation("/readyz")), useReadiness("Data", explore("/readyz"))];
  return (
    <Part title="The suite itself">
      <ul role="list">
        {parts.map(({ name, data }) => (
          <li key={name}>
            <strong>{name}</strong>: {data === null ? "asking" : typeof data === "string" ? data : data.ready ? "ready" : "not ready"}
            {data !== null && typeof data !== "string" && !data.ready && <Bad parts={data.parts} />}
          </li>
        ))}
        <li>
          <strong>Live events</strong>: {connected.value ? "connected" : "not connected"}
        </li>
      </ul>
    </Part>
  );
}

function Bad({ parts }: { parts: Readonly<Record<string, string>> }) {
  return (
    <ul>
      {Object.entries(parts)
        .filter(([, state]) => state !== "ok")
        .map(([name, state]) => (
          <li key={name}>
            <Name text={`${name}: ${state}`} most={200} />
          </li>
        ))}
    </ul>
  );
}

/** A service's own word; null = it was not heard yet, a text = it could not be. */
function useReadiness(name: string, path: string): { name: string; data: Readiness | string | null } {
  const data = useSignal<Readiness | string | null>(null);
  useEffect(() => {
    const look = async () => {
      try {
        const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(10_000) });
        const body = (await answer.json()) as Partial<Readiness>;
        data.value = typeof body.ready === "boolean" ? (body as Readiness) : "does not answer";
      } catch {
        data.value = "does not answer";
      }
    };
    void look();
    const timer = setInterval(() => document.hidden || void look(), HELD_MS);
    return () => clearInterval(timer);
  }, [path]);
  return { name, data: data.value };
}

