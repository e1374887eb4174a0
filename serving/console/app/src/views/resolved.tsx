/** Incidents that are over, the newest first, page by page. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { IncidentLine, IncidentPage } from "../api/bodies";
import { incidents, read, reasonOf } from "../api/client";
import { Fault, Name, Severity, When } from "../parts/words";
import { counted, span } from "../pure/format";
import { linkTo } from "../state/route";
import { filters } from "../state/selection";

export function Resolved() {
  const { severity, service, text } = filters.value;
  const items = useSignal<readonly IncidentLine[]>([]);
  const next = useSignal("");
  const total = useSignal<number | null>(null);
  const fault = useSignal("");
  const ask = async (cursor: string) => {
    const search = new URLSearchParams({ state: "resolved", limit: "100" });
    for (const [name, value] of Object.entries({ severity, service, text, cursor })) if (value) search.set(name, value);
    try {
      const page = await read<IncidentPage>(incidents(`/incidents?${search}`));
      items.value = cursor ? [...items.value, ...page.items] : page.items;
      next.value = page.next_cursor;
      total.value = page.total;
      fault.value = "";
    } catch (error) {
      fault.value = reasonOf(error);
    }
  };
  useEffect(() => {
    const timer = setTimeout(() => void ask(""), 150);
    return () => clearTimeout(timer);
  }, [severity, service, text]);
  return (
    <>
      <Fault text={fault.value} again={() => void ask("")} />
      {total.value !== null && (
        <p role="status" class="bulk">
          {counted(total.value, "resolved incident")}
          {severity ? `, ${severity} or worse` : ""}
        </p>
      )}
      <ul class="rows" role="list" aria-label="Resolved incidents">
        {items.value.map((line) => (
          <Over key={line.incident_id} line={line} />
        ))}
      </ul>
      {next.value && (
        <button type="button" onClick={() => void ask(next.value)}>
          Show more
        </button>
      )}
    </>
  );
}

function Over({ line }: { line: IncidentLine }) {
  const sentence = line.statement;
  return (
    <li class={`row ${line.severity}`}>
      <div class="what">
        <p class="title">
          <Severity severity={line.severity} />
          <a href={linkTo("incident", line.incident_id)}>
            <Name text={line.anchor} most={80} whole={false} />
          </a>
          <span class="state resolved">{line.state}</span>
        </p>
        {sentence ? (
          <p class="cause">
            <Name text={sentence} most={260} whole={false} />
          </p>
        ) : null}
        <p class="facts">
          <span>
            opened <When at={line.opened_at} />
          </span>
          <span>last change after {span(Date.parse(line.updated_at) - Date.parse(line.opened_at))}</span>
          <span>{counted(line.different_alerts, "alert")}</span>
        </p>
      </div>
    </li>
  );
}
