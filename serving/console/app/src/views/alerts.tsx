/** Alerts of an incident: one entry for all repetitions of one, what fires first. */

import { useComputed, useSignal } from "@preact/signals";
import type { AlertGroup } from "../api/bodies";
import { Age, Name, Part, Severity, When } from "../parts/words";
import { counted, webAddress } from "../pure/format";

const STEP = 60;

/** What a group says beyond its figures, where the API gives it. */
interface Said {
  summary?: string;
  runbook_url?: string;
}

export function Alerts({ groups }: { groups: readonly AlertGroup[] }) {
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
          <Group key={group.fingerprint} group={group} />
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

function Group({ group }: { group: AlertGroup & Said }) {
  const runbook = webAddress(group.runbook_url);
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
      {group.summary && (
        <p>
          <Name text={group.summary} most={300} />
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
        {runbook && (
          <a href={runbook} target="_blank" rel="noopener noreferrer">
            runbook of <Name text={group.name} most={40} whole={false} />
          </a>
        )}
      </p>
    </li>
  );
}
