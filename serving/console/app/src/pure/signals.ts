/** Which series show best how services do, and what happened on their axis of time. */

import type { ChangeEvent, IncidentView, PlanLine, SeriesLine } from "../api/bodies";
import { words } from "./format";

/** What people look at first; the earlier the better. */
const GOLDEN: readonly RegExp[] = [/p9\d|latency|duration|response_time/i, /error|fail|5xx/i, /request|rate|throughput|qps/i, /cpu|memory|saturation|queue|utili/i];
const EACH = 3;

export interface Favoured {
  service: string;
  metric: string;
}

/**
 * The series of a service to show, at most three: those that speak for the cause, then one of each golden signal. Of several
 * with one metric, the one with the fewest labels.
 */
export function pickedOf(service: string, lines: readonly SeriesLine[], favoured: readonly Favoured[]): SeriesLine[] {
  const own = lines.filter((line) => line.service === service && line.scored && line.last_at !== null);
  own.sort((one, other) => Object.keys(one.labels).length - Object.keys(other.labels).length || one.name.localeCompare(other.name));
  const picked: SeriesLine[] = [];
  const take = (line: SeriesLine | undefined) => {
    if (line && picked.length < EACH && !picked.some((one) => one.metric === line.metric)) picked.push(line);
  };
  for (const wish of favoured) if (wish.service === service) take(own.find((line) => line.metric === wish.metric));
  for (const golden of GOLDEN) if (!picked.some((line) => golden.test(line.metric))) take(own.find((line) => golden.test(line.metric)));
  for (const line of own) if (!picked.length) take(line);
  return picked;
}

/** A service's name as a pattern that only it matches. */
export const exactly = (name: string): string => name.replace(/[*?[]/g, "[$&]");

export type MarkKind = "change" | "alert" | "action" | "onset" | "opened";

export interface Mark {
  at: string;
  kind: MarkKind;
  text: string;
}

export const SHAPES: Record<MarkKind, string> = { change: "◆", alert: "▲", action: "■", onset: "⚑", opened: "●" };
const MOST_ALERTS = 40;

/** What happened around an incident, the oldest first: when it began and opened, changes, alerts, and what was done. */
export function marksOf(incident: IncidentView, changes: readonly ChangeEvent[], plans: readonly PlanLine[]): Mark[] {
  const first = incident.root_cause?.causes[0];
  const known = new Map<string, ChangeEvent>();
  for (const change of [...changes, ...(first?.changes ?? [])]) known.set(change.change_id, change);
  const marks: Mark[] = [{ at: incident.opened_at, kind: "opened", text: "incident opened" }];
  if (first?.onset && !incident.root_cause?.false_alarm) marks.push({ at: first.onset, kind: "onset", text: `${first.service} begins to stray` });
  for (const change of known.values()) marks.push({ at: change.at, kind: "change", text: `${change.kind} of ${change.service} ${change.what ?? ""}`.trim() });
  for (const alert of [...incident.alerts].sort((one, other) => Date.parse(one.first_seen) - Date.parse(other.first_seen)).slice(0, MOST_ALERTS)) {
    marks.push({ at: alert.first_seen, kind: "alert", text: `${alert.name} at ${alert.service}` });
  }
  for (const event of incident.timeline) if (event.became && event.became !== "open") marks.push({ at: event.at, kind: "action", text: `${event.what} (${event.by})` });
  for (const plan of plans) if (plan.state !== "waiting" && plan.state !== "rejected") marks.push({ at: plan.changed_at, kind: "action", text: `${plan.title}: ${words(plan.state)}` });
  return marks.filter((mark) => !Number.isNaN(Date.parse(mark.at))).sort((one, other) => Date.parse(one.at) - Date.parse(other.at));
}

const HOUR_MS = 3_600_000;
const MOST_MS = 24 * HOUR_MS;

/** The time to show around an incident in milliseconds: an hour before it began, until now, or a little after its end. */
export function timeAround(incident: IncidentView, over: boolean, now: number): { since: number; until: number } {
  const report = incident.root_cause;
  const began = Math.min(...[incident.opened_at, report?.window_start, report?.causes[0]?.onset].filter((at): at is string => Boolean(at)).map((at) => Date.parse(at)));
  const ended = over ? Date.parse(incident.updated_at) + HOUR_MS / 4 : now;
  const since = began - HOUR_MS;
  return { since, until: Math.max(since + HOUR_MS, Math.min(ended, since + MOST_MS)) };
}
