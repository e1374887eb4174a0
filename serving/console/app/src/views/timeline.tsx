/** What happened to an incident, the newest first. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { IncidentView, Timeline, TimelineEntry } from "../api/bodies";
import { incidents, read, reasonOf } from "../api/client";
import { Fault, Name, Part, When } from "../parts/words";

const MOST = 15;

export function History({ incident }: { incident: IncidentView }) {
  const items = useSignal<readonly TimelineEntry[]>([]);
  const fault = useSignal("");
  const all = useSignal(false);
  useEffect(() => {
    const load = async () => {
      try {
        items.value = (await read<Timeline>(incidents(`/incidents/${encodeURIComponent(incident.incident_id)}/timeline`))).items;
        fault.value = "";
      } catch (error) {
        fault.value = reasonOf(error);
      }
    };
    void load();
  }, [incident]);
  const newest = [...items.value].reverse();
  const shown = all.value ? newest : newest.slice(0, MOST);
  return (
    <Part title="Timeline">
      <Fault text={fault.value} />
      <ol class="timeline">
        {shown.map((entry, place) => (
          <li key={newest.length - place}>
            <When at={entry.at} /> <Name text={entry.what} most={240} />
            <span class="dim">
              {" "}
              <Name text={entry.by} most={60} />
            </span>
          </li>
        ))}
      </ol>
      {newest.length > shown.length && (
        <button type="button" onClick={() => (all.value = true)}>
          Show all {newest.length}
        </button>
      )}
    </Part>
  );
}
