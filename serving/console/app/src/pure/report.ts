/** An incident as text: a few lines for a chat, and a draft of a post-mortem in Markdown. Times in UTC. */

import type { IncidentView, TimelineEntry } from "../api/bodies";
import { counted, legible, percent, span, words } from "./format";

const MOST_ALERTS = 50;

/** The finding in one line. */
export function findingOf(incident: IncidentView): string {
  const report = incident.root_cause;
  if (!report) return "Not analysed yet.";
  const first = report.causes[0];
  if (report.false_alarm) return `Most probably a false alarm. ${report.statement}`;
  if (report.decided && first) return `${first.sentence} (${percent(first.probability)})`;
  return `Not decided. ${report.statement}`;
}

/** A few lines for a chat; `address` leads to the incident. */
export function chatText(incident: IncidentView, address: string): string {
  const services = incident.services.slice(0, 8).join(", ") + (incident.services.length > 8 ? ` and ${incident.services.length - 8} more` : "");
  return [
    `${incident.severity.toUpperCase()} ${incident.anchor}: ${incident.state} since ${utc(incident.opened_at)}`,
    `Cause: ${findingOf(incident)}`,
    `Services: ${services}`,
    `${counted(incident.alert_count, "alert")}, ${firing(incident)} firing`,
    address,
  ]
    .map(legible)
    .join("\n");
}

/** A draft for the post-mortem: what is known is filled in, what only people know is asked for. */
export function postMortem(incident: IncidentView, timeline: readonly TimelineEntry[], address: string): string {
  const last = incident.verdicts.at(-1);
  const over = incident.state === "resolved" || incident.state === "merged";
  const lasted = over ? `, until ${utc(incident.updated_at)} (${span(Date.parse(incident.updated_at) - Date.parse(incident.opened_at))})` : "";
  return [
    `# Post-mortem: ${plain(incident.anchor)}, ${utc(incident.opened_at)}`,
    "",
    `- Incident: [${plain(incident.incident_id)}](${address})`,
    `- Severity: ${incident.severity}; state: ${incident.state}`,
    `- Opened ${utc(incident.opened_at)}${lasted}; ${incident.notified_at ? `somebody was notified ${utc(incident.notified_at)}` : "nobody was notified"}`,
    `- Services: ${incident.services.map(plain).join(", ")}`,
    `- Verdict: ${last ? `${words(last.kind)}, by ${plain(last.by)}${last.note ? `: ${plain(last.note)}` : ""}` : "none yet"}`,
    "",
    "## Summary",
    "",
    "_What users noticed, in two sentences._",
    "",
    "## Cause",
    "",
    ...causeLines(incident),
    "",
    "## Timeline (UTC)",
    "",
    ...timeline.map((entry) => `- ${utc(entry.at)}: ${plain(entry.what)} (${plain(entry.by)})`),
    "",
    "## Alerts",
    "",
    ...alertLines(incident),
    "",
    "## What went well, what did not",
    "",
    "_To be filled in._",
    "",
    "## What will be changed",
    "",
    "| what | who | until |",
    "| --- | --- | --- |",
    "|  |  |  |",
    "",
  ].join("\n");
}

function causeLines(incident: IncidentView): string[] {
  const report = incident.root_cause;
  if (!report) return ["Not analysed yet."];
  const lines = [plain(findingOf(incident))];
  const first = report.causes[0];
  if (first?.path?.length) lines.push("", `Path: ${first.path.map(plain).join(" → ")}`);
  if (first?.evidence?.length) lines.push("", ...first.evidence.map((one) => `- ${plain(one.text)}`));
  if (first?.changes?.length) lines.push("", "Changes just before:", "", ...first.changes.map((one) => `- ${utc(one.at)}: ${plain(one.kind)} ${plain(one.what ?? "")}`));
  const others = report.causes.slice(1, 4).map((cause) => `${plain(cause.service)} ${percent(cause.probability)}`);
  if (others.length) lines.push("", `Less probable: ${others.join(", ")}`);
  return lines;
}

function alertLines(incident: IncidentView): string[] {
  const shown = incident.alerts.slice(0, MOST_ALERTS);
  const lines = shown.map((one) => `- ${plain(one.name)} at ${plain(one.service)}: ${one.severity}, first ${utc(one.first_seen)}, came ${counted(one.count, "time")}`);
  const more = incident.alerts.length - shown.length;
  return more > 0 ? [...lines, `- and ${counted(more, "more", "more")}`] : lines;
}

const firing = (incident: IncidentView): number => incident.alerts.reduce((sum, one) => sum + one.firing, 0);

const utc = (at: string): string => `${at.slice(0, 16).replace("T", " ")} UTC`;

/** Text that Markdown leaves as it is. */
export const plain = (text: string): string => legible(text).replace(/\s+/g, " ").replace(/[\\`*_{}[\]<>#|~]/g, "\\$&");
