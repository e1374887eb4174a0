/** The call graph: who calls whom, how services stand, and where each one is drawn. */

import { byUrgency, SEVERITIES } from "./urgency";

export interface Call {
  caller: string;
  callee: string;
  origin?: string | null | undefined;
}

export interface Graph {
  services: readonly string[];
  calls: readonly Call[];
}

export interface Neighbours {
  callers: ReadonlyMap<string, readonly string[]>;
  callees: ReadonlyMap<string, readonly string[]>;
}

/** Who calls each service, and whom it calls; by name. */
export function neighboursOf(graph: Graph): Neighbours {
  const callers = new Map<string, string[]>();
  const callees = new Map<string, string[]>();
  const note = (into: Map<string, string[]>, name: string, other: string) => {
    const known = into.get(name);
    if (known) known.push(other);
    else into.set(name, [other]);
  };
  for (const { caller, callee } of graph.calls) {
    if (caller === callee) continue;
    note(callees, caller, callee);
    note(callers, callee, caller);
  }
  for (const map of [callers, callees]) for (const names of map.values()) names.sort();
  return { callers, callees };
}

/** The part of a graph within so many calls of a service, in either direction. A caller's other callees are not in it. */
export function around(graph: Graph, neighbours: Neighbours, service: string, calls: number): Graph {
  const kept = new Set([service]);
  for (const next of [neighbours.callers, neighbours.callees]) {
    const reached = new Set([service]);
    let last = [service];
    for (let far = 0; far < calls && last.length; far += 1) {
      last = [...new Set(last.flatMap((name) => next.get(name) ?? []))].filter((name) => !reached.has(name));
      for (const name of last) reached.add(name);
    }
    for (const name of reached) kept.add(name);
  }
  return {
    services: graph.services.filter((name) => kept.has(name)),
    calls: graph.calls.filter((call) => kept.has(call.caller) && kept.has(call.callee)),
  };
}

/** What open incidents say of a service. */
export interface Health {
  /** of the worst incident that began or showed here; "" = none did */
  severity: string;
  /** whether it is in an incident that began or showed elsewhere */
  touched: boolean;
  /** whether trouble is but foreseen */
  foreseen: boolean;
  /** ids of its incidents, the most urgent first */
  incidents: readonly string[];
}

export interface IncidentAt {
  incident_id: string;
  severity: string;
  opened_at: string;
  anchor: string;
  cause: string;
  services: readonly string[];
  foreseen: boolean;
}

export const WELL: Health = { severity: "", touched: false, foreseen: false, incidents: [] };

/** How services stand by incidents; those without one are not in it. */
export function healthOf(incidents: readonly IncidentAt[]): ReadonlyMap<string, Health> {
  const health = new Map<string, Health>();
  for (const one of [...incidents].sort(byUrgency)) {
    for (const name of new Set([one.anchor, ...(one.cause ? [one.cause] : []), ...one.services])) {
      const known = health.get(name) ?? WELL;
      const here = name === one.anchor || name === one.cause;
      health.set(name, {
        severity: known.severity || (here && !one.foreseen ? one.severity : ""),
        touched: known.touched || !here,
        foreseen: known.foreseen || (here && one.foreseen),
        incidents: [...known.incidents, one.incident_id],
      });
    }
  }
  return health;
}

/** Smaller = worse, for lists that show the worst first. */
export function rankOf(health: Health): number {
  if (health.severity) return (SEVERITIES as readonly string[]).indexOf(health.severity);
  return SEVERITIES.length + (health.foreseen ? 0 : health.touched ? 1 : 2);
}

/** How a service stands, in words. */
export function standingOf(health: Health): string {
  if (health.severity) return health.severity;
  if (health.foreseen) return "trouble foreseen";
  return health.touched ? "in an incident" : "no open incident";
}

/** Services whose name has all words of a text, the worst first, then those that most are called. */
export function foundServices(graph: Graph, neighbours: Neighbours, health: ReadonlyMap<string, Health>, text: string): string[] {
  const parts = text.toLowerCase().split(/\s+/).filter(Boolean);
  const callers = (name: string) => neighbours.callers.get(name)?.length ?? 0;
  const keyed = graph.services
    .filter((name) => parts.every((part) => name.toLowerCase().includes(part)))
    .map((name) => ({ name, rank: rankOf(health.get(name) ?? WELL), callers: callers(name) }));
  keyed.sort((one, other) => one.rank - other.rank || other.callers - one.callers || (one.name < other.name ? -1 : 1));
  return keyed.map((one) => one.name);
}
