/** Alerts of an incident: one entry for all repetitions of one, what fires first. */

import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import type { AlertGroup, AlertPage } from "../api/bodies";
import { incidents } from "../api/client";
import { useAfterPaint, useLoaded } from "../parts/loaded";
import { Age, Name, Part, Severity, When } from "../parts/words";
import { counted, webAddress } from "../pure/format";

const STEP = 60;

const NEWEST = 200;
type Labels = Readonly<Record<string, string>>;
const NONE: Labels = {};

/** Labels of each group's newest alert, by fingerprint, as far as the newest alerts of the incident show them. */
function useLabels(incident: string, groups: number): ReadonlyMap<string, Labels> {
  const { data, again } = useLoaded<AlertPage>(useAfterPaint() ? incidents(`/incidents/${encodeURIComponent(incident)}/alerts?limit=${NEWEST}`) : "");
  useEffect(() => {
    if (data.peek()) again();
  }, [groups]);
  const page = data.value;
  return useMemo(() => new Map([...(page?.items ?? [])].reverse().map((alert) => [alert.fingerprint, alert.labels])), [page]);
}

export function Alerts({ incident, groups }: { incident: string; groups: readonly AlertGroup[] }) {
  const labels = useLabels(incident, groups.length);
  const text = useSignal("");
  const most = useSignal(STEP);
  const firing = groups.filter((group) => !group.ended).length;
  const sought = useComputed(() => text.value.trim().toLowerCase()).value;
  const sorted = [...groups].sort((one, other) => Number(one.ended) - Number(other.ended));
  const found = sought ? sorted.filter((group) => `${group.name}\n${group.service}`.toLowerCase().includes(sought)) : sorted;
  const shown = found.slice(0, most.value);
  return (
    <Part title="Alerts" count={groups.length}>
      <p class="bulk">
        <span role="status">
          {firing.toLocaleString("en-GB")} of {counted(groups.length, "alert")} firing
          {sought && `; ${counted(found.length, "alert")} with “${text.value.trim().slice(0, 40)}”`}
        </span>
        {groups.length > 8 && (
          <label>
            Search <input type="search" size={16} value={text.value} onInput={(event) => (text.value = event.currentTarget.value)} />
          </label>
        )}
      </p>
      <ul role="list" class="alerts">
        {shown.map((group) => (
          <Group key={group.fingerprint} group={group} labels={labels.get(group.fingerprint) ?? NONE} />
        ))}
      </ul>
      {found.length > shown.length && (
        <button type="button" onClick={() => (most.value = most.value * 4)}>
          Show more ({(found.length - shown.length).toLocaleString("en-GB")} are not shown)
        </button>
      )}
    </Part>
  );
}

/** What an alert's labels link to, and how people call it. */
const LINKS: readonly (readonly [string, string])[] = [
  ["runbook_url", "runbook"],
  ["dashboard_url", "dashboard"],
  ["generator_url", "rule"],
];
const SHOWN_APART = new Set(["summary", "description", "service", "alertname", "alertmanager_fingerprint", ...LINKS.map(([label]) => label)]);

function Group({ group, labels }: { group: AlertGroup; labels: Labels }) {
  const text = labels.summary || labels.description || labels.reason || "";
  const links = LINKS.map(([label, name]) => [webAddress(labels[label]), name] as const).filter(([address]) => address);
  const others = Object.entries(labels).filter(([label]) => !SHOWN_APART.has(label));
  return (
    <li class="card alert">
      <p class="title">
        <Severity severity={group.severity} />
        <strong>
          <Name text={group.name} />
        </strong>
        <span>
          at <Name text={group.service} most={80} />
        </span>
        <span class={`state ${group.ended ? "resolved" : "open"}`}>{group.ended ? "over" : group.firing > 1 ? `firing, ${group.firing} instances` : "firing"}</span>
      </p>
      {text && (
        <p>
          <Name text={text} most={300} />
        </p>
      )}
      <p class="facts">
        <span>
          since <When at={group.first_seen} />
        </span>
        <span>
          last came <Age at={group.last_seen} ago />
        </span>
        <span>came {counted(group.count, "time")}</span>
        {links.map(([address, name]) => (
          <a key={name} href={address} target="_blank" rel="noopener noreferrer" aria-label={`${name} of ${group.name.slice(0, 80)}`}>
            {name}
          </a>
        ))}
      </p>
      {others.length > 0 && (
        <details>
          <summary>{counted(others.length, "label")}</summary>
          <p class="facts">
            {others.map(([label, value]) => (
              <span key={label}>
                <Name text={label} most={60} whole={false} />: <Name text={value} most={160} />
              </span>
            ))}
          </p>
        </details>
      )}
    </li>
  );
}
