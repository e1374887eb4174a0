/** Services: who calls whom, how each one stands, now or at a past time. */

import { useComputed, useSignal } from "@preact/signals";
import { useCallback, useEffect, useMemo } from "preact/hooks";
import type { GraphView, IncidentLine, IncidentPage } from "../api/bodies";
import { incidents } from "../api/client";
import { GraphPicture } from "../parts/graph";
import { useLoaded } from "../parts/loaded";
import { Fault, Name, Part } from "../parts/words";
import { counted } from "../pure/format";
import { around, foundServices, type Graph, type Health, healthOf, type IncidentAt, neighboursOf, type Neighbours, WELL } from "../pure/topology";
import { lineOf, order, ready } from "../state/incidents";
import { zone } from "../state/preferences";
import { ask, query, visit } from "../state/route";
import { ServiceButton, ServiceDetails } from "./service";

const GRAPH_MS = 60_000;
/** a larger graph is shown around one service at first */
const LARGE = 80;
const LISTED = 40;
const NOTHING: Graph = { services: [], calls: [] };

export function Services() {
  const { service = "", at = "", hops = "", learned = "" } = query.value;
  const search = new URLSearchParams({ ...(at ? { at } : {}), learned: learned ? "true" : "false" });
  const { data, fault, again } = useLoaded<GraphView>(incidents(`/graph?${search}`), at ? 0 : GRAPH_MS);
  const view = useSame(data.value);
  const graph: Graph = view ?? NOTHING;
  const past = useLoaded<IncidentPage>(at ? incidents(`/incidents?limit=1000&until=${encodeURIComponent(at)}`) : "");
  const now = useComputed(() => order.value.map((id) => lineOf(id)?.value).filter((line) => line !== undefined)).value;
  const lines = at ? openAt(past.data.value?.items ?? [], at) : now;
  const health = useMemo(() => healthOf(lines.map(incidentAt)), [lines]);
  const neighbours = useMemo(() => neighboursOf(graph), [graph]);
  const known = graph.services.includes(service);
  const central = known ? service : (foundServices(graph, neighbours, health, "")[0] ?? "");
  const far = hops === "all" || (!hops && graph.services.length <= LARGE) ? 0 : Number(hops) || 1;
  const shown = useMemo(() => (far && central ? around(graph, neighbours, central, far) : graph), [graph, neighbours, far, far ? central : ""]);
  const choose = useCallback((name: string) => visit({ service: name }), []);
  const settled = view !== null && (at ? past.data.value !== null : ready.value);
  useEffect(() => {
    if (settled && !service && central) ask({ service: central }); // what arrives later leads nobody elsewhere
  }, [settled, service, central]);
  return (
    <>
      <h1 tabIndex={-1}>Services</h1>
      <Choices at={at} hops={far ? String(far) : "all"} learned={learned} />
      <Fault text={fault.value} again={again} />
      <Fault text={past.fault.value && `Incidents of that time are not known: ${past.fault.value}`} again={past.again} />
      {service && view && !known && (
        <p class="fault">
          <Name text={service} most={80} /> is not in the call graph{at ? " of that time" : ""}.
        </p>
      )}
      {!view && !fault.value && <p class="dim">Asking for the call graph …</p>}
      {view && !graph.services.length && <p class="empty">No call is known{at ? " at that time" : " yet: traces, a table or the configuration tell of them"}.</p>}
      {graph.services.length > 0 && (
        <div class="services">
          <div>
            <p role="status" class="dim" id="graph-total">
              {shown.services.length === graph.services.length ? counted(graph.services.length, "service") : `${shown.services.length.toLocaleString("en-GB")} of ${counted(graph.services.length, "service")}`}
              , {counted(shown.calls.length, "call")}
            </p>
            <GraphPicture graph={shown} health={health} chosen={central} frame={`${far ? central : ""} ${far} ${at} ${learned}`} choose={choose} painted={markPainted} />
            <Legend />
          </div>
          <div>
            {central && <ServiceDetails service={central} health={health} neighbours={neighbours} lines={lines} at={at} />}
            <List graph={graph} neighbours={neighbours} health={health} chosen={central} />
          </div>
        </div>
      )}
    </>
  );
}

/** The same graph read again is the same: nothing is laid out anew. */
function useSame(view: GraphView | null): GraphView | null {
  const text = useMemo(() => JSON.stringify(view && [view.services, view.calls]), [view]);
  return useMemo(() => view, [text]);
}

function markPainted(): void {
  if (!performance.getEntriesByName("services").length) performance.mark("services");
}

/** Incidents that were open at a time. Of those that are over, the last change is taken for their end. */
function openAt(lines: readonly IncidentLine[], at: string): IncidentLine[] {
  const moment = Date.parse(at);
  return lines.filter((line) => Date.parse(line.opened_at) <= moment && (!["resolved", "merged"].includes(line.state) || Date.parse(line.updated_at) > moment));
}

const incidentAt = (line: IncidentLine): IncidentAt => ({ ...line, cause: line.decided ? line.cause : "" });

function Choices({ at, hops, learned }: { at: string; hops: string; learned: string }) {
  return (
    <form class="filters" aria-label="Which calls are shown" onSubmit={(event) => event.preventDefault()}>
      <label>
        Shown{" "}
        <select value={hops} onChange={(event) => ask({ hops: event.currentTarget.value })}>
          <option value="1">around the chosen service</option>
          <option value="2">two calls around it</option>
          <option value="3">three calls around it</option>
          <option value="all">all services</option>
        </select>
      </label>
      <label>
        <input type="checkbox" checked={learned !== ""} onChange={(event) => ask({ learned: event.currentTarget.checked ? "1" : "" })} /> calls that were only learned
      </label>
      <label>
        As of ({zone.value === "utc" ? "UTC" : "local time"}){" "}
        <input type="datetime-local" value={at ? fieldOf(at) : ""} max={fieldOf(new Date().toISOString())} onChange={(event) => ask({ at: momentOf(event.currentTarget.value) })} />
      </label>
      {[1, 24, 168].map((hours) => (
        <button key={hours} type="button" onClick={() => ask({ at: new Date(Date.now() - hours * 3_600_000).toISOString() })}>
          {hours === 1 ? "1 h ago" : hours === 24 ? "1 d ago" : "7 d ago"}
        </button>
      ))}
      {at ? (
        <button type="button" class="main" onClick={() => ask({ at: "" })}>
          Now
        </button>
      ) : (
        <span class="dim">live</span>
      )}
    </form>
  );
}

/** A moment as the field for dates and times wants it, in the zone that is shown. */
function fieldOf(at: string): string {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return "";
  return new Date(date.getTime() - (zone.value === "utc" ? 0 : date.getTimezoneOffset() * 60_000)).toISOString().slice(0, 16);
}

function momentOf(text: string): string {
  const date = new Date(zone.value === "utc" && text ? `${text}Z` : text);
  return Number.isNaN(date.getTime()) ? "" : date.toISOString();
}

const Legend = () => (
  <p class="facts">
    <span>
      <span class="severity critical">▲ critical</span>, <span class="severity warning">◆ warning</span>, <span class="severity info">● info</span>: an open incident began or showed there
    </span>
    <span>thick frame: touched by one</span>
    <span>dashed frame: trouble foreseen</span>
    <span>dashed line: only learned</span>
  </p>
);

interface Listed {
  graph: Graph;
  neighbours: Neighbours;
  health: ReadonlyMap<string, Health>;
  chosen: string;
}

/** All services as a list, the worst first: what the picture says, for keyboards and screen readers. */
function List({ graph, neighbours, health, chosen }: Listed) {
  const text = useSignal("");
  const most = useSignal(LISTED);
  const found = useMemo(() => foundServices(graph, neighbours, health, text.value), [graph, neighbours, health, text.value]);
  useEffect(() => {
    most.value = LISTED;
  }, [text.value]);
  return (
    <Part title="All services" id="all-services" count={found.length}>
      <label>
        Search <input type="search" id="service-search" class="search" size={24} value={text.value} onInput={(event) => (text.value = event.currentTarget.value)} />
      </label>
      <ul role="list" class="choices">
        {found.slice(0, most.value).map((name) => (
          <li key={name}>
            <ServiceButton name={name} health={health.get(name) ?? WELL} chosen={name === chosen} />
          </li>
        ))}
      </ul>
      {found.length > most.value && (
        <button type="button" onClick={() => (most.value *= 4)}>
          Show more ({(found.length - most.value).toLocaleString("en-GB")} are not shown)
        </button>
      )}
      {!found.length && <p class="dim">No service is called that.</p>}
    </Part>
  );
}
