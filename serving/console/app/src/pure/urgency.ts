/** In which order incidents are looked at. */

export const OPEN_STATES = ["open", "acknowledged", "mitigated"] as const;
export const SEVERITIES = ["critical", "warning", "info"] as const;

export interface Urgent {
  incident_id: string;
  severity: string;
  opened_at: string;
}

const rank = (severity: string): number => {
  const place = (SEVERITIES as readonly string[]).indexOf(severity);
  return place < 0 ? SEVERITIES.length : place;
};

/**
 * The worst first, of one severity the newest first. The state plays no part: what is acknowledged keeps its place, so that
 * nothing moves under the hand that acknowledges it.
 */
export function byUrgency(one: Urgent, other: Urgent): number {
  const severity = rank(one.severity) - rank(other.severity);
  if (severity) return severity;
  const age = Date.parse(other.opened_at) - Date.parse(one.opened_at);
  return age || one.incident_id.localeCompare(other.incident_id);
}

export const isOpen = (state: string): boolean => (OPEN_STATES as readonly string[]).includes(state);

export interface Filters {
  state: string;
  severity: string;
  service: string;
  text: string;
}

export interface Line extends Urgent {
  state: string;
  anchor: string;
  services: readonly string[];
  statement: string;
}

/** Whether an incident is shown by filters; each empty one lets everything pass. `text`: a part of its id, cause or services. */
export function passes(line: Line, filters: Filters): boolean {
  if (filters.state && line.state !== filters.state) return false;
  if (filters.severity && line.severity !== filters.severity) return false;
  if (filters.service && !line.services.includes(filters.service) && line.anchor !== filters.service) return false;
  const sought = filters.text.trim().toLowerCase();
  if (!sought) return true;
  return [line.incident_id, line.anchor, line.statement, ...line.services].some((text) => text.toLowerCase().includes(sought));
}

export type Verb = "acknowledge" | "mitigate" | "resolve";

const FROM: Record<Verb, readonly string[]> = {
  acknowledge: ["open"],
  mitigate: ["open", "acknowledged"],
  resolve: ["open", "acknowledged", "mitigated"],
};
const INTO: Record<Verb, string> = { acknowledge: "acknowledged", mitigate: "mitigated", resolve: "resolved" };

/** Whether something may be done to an incident that is in a state. */
export const fits = (verb: Verb, state: string): boolean => FROM[verb].includes(state);

/** The state that something leads to. */
export const leadsTo = (verb: Verb): string => INTO[verb];
