/** What surrounds an incident: signals along the path with what happened meanwhile, and earlier incidents of the same cause. */

import type { ChangeList, IncidentPage, IncidentView, PlanPage } from "../api/bodies";
import { automation, incidents } from "../api/client";
import { useLoaded } from "../parts/loaded";
import { Fault, Name, Part, Severity, When } from "../parts/words";
import { span } from "../pure/format";
import { marksOf, timeAround } from "../pure/signals";
import { isOpen } from "../pure/urgency";
import { linkTo } from "../state/route";
import { now } from "../state/time";
import { Signals } from "./signals";

const MINUTE_MS = 60_000;
const PLANS_MS = 30_000;
const MOST_SERVICES = 4;
const MOST_EARLIER = 6;
/** the APIs take no longer name in a filter */
const LONGEST_ASKED = 200;

/** Services from the cause along its path to where it shows; without a cause, those of the incident. */
function pathOf(incident: IncidentView): string[] {
  const first = incident.root_cause?.causes[0];
  const path = first ? [first.service, ...(first.path ?? []).slice(-1), ...(first.path ?? [])] : [incident.anchor, ...incident.services];
  return [...new Set(path)].filter((name) => name.length <= LONGEST_ASKED).slice(0, MOST_SERVICES);
}

export function IncidentSignals({ incident }: { incident: IncidentView }) {
  const over = !isOpen(incident.state);
  const services = pathOf(incident);
  const { since, until } = timeAround(incident, over, Math.ceil(now.value / MINUTE_MS) * MINUTE_MS);
  const search = new URLSearchParams({ since: new Date(since).toISOString(), until: new Date(timeAround(incident, over, since).until).toISOString(), limit: "50" });
  if (!over) search.delete("until");
  for (const name of services) search.append("service", name);
  const changes = useLoaded<ChangeList>(incidents(`/changes?${search}`), over ? 0 : MINUTE_MS);
  const plans = useLoaded<PlanPage>(automation(`/plans?incident=${encodeURIComponent(incident.incident_id)}&limit=50`), over ? 0 : PLANS_MS);
  const marks = marksOf(incident, changes.data.value?.items ?? [], plans.data.value?.items ?? []);
  const favoured = (incident.root_cause?.causes ?? []).flatMap((cause) => (cause.evidence ?? []).map((one) => ({ service: cause.service, metric: one.metric })));
  return <Signals services={services} favoured={favoured} since={since} until={until} marks={marks} live={!over} />;
}

/** Incidents that are over and touched the service which this one began at. */
export function Earlier({ incident }: { incident: IncidentView }) {
  const report = incident.root_cause;
  const service = report?.decided && report.causes[0] ? report.causes[0].service : incident.anchor;
  const search = new URLSearchParams({ service, state: "resolved", until: incident.opened_at, limit: String(MOST_EARLIER) });
  const { data, fault, again } = useLoaded<IncidentPage>(service.length <= LONGEST_ASKED ? incidents(`/incidents?${search}`) : "");
  const items = (data.value?.items ?? []).filter((line) => line.incident_id !== incident.incident_id);
  if (!items.length && !fault.value) return null;
  return (
    <Part title="Earlier incidents here" id="earlier" count={data.value?.total}>
      <Fault text={fault.value} again={again} />
      <ul role="list">
        {items.map((line) => (
          <li key={line.incident_id} class="card">
            <p class="title">
              <Severity severity={line.severity} />
              <a href={linkTo("incident", line.incident_id)}>
                <Name text={line.anchor} most={60} whole={false} />
              </a>
              <span class="dim">
                <When at={line.opened_at} />, {span(Date.parse(line.updated_at) - Date.parse(line.opened_at))} until its last change
              </span>
            </p>
            <p>
              <Name text={line.statement || line.alert_names.join(", ")} most={200} whole={false} />
            </p>
          </li>
        ))}
      </ul>
      {(data.value?.total ?? 0) > MOST_EARLIER && (
        <p>
          <a href={linkTo("now", "", { state: "resolved", service })}>all of them</a>
        </p>
      )}
    </Part>
  );
}
