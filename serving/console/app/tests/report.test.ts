import assert from "node:assert/strict";
import { test } from "node:test";
import type { IncidentView } from "../src/api/bodies";
import { chatText, findingOf, plain, postMortem } from "../src/pure/report";

const AT = "2026-05-04T11:00:00Z";
const cause = { service: "db", probability: 0.83, sentence: "db is full.", path: ["db", "cart"] };
const incident = {
  incident_id: "inc-1",
  state: "resolved",
  severity: "critical",
  opened_at: AT,
  updated_at: "2026-05-04T13:05:00Z",
  anchor: "cart|<x>",
  services: ["cart|<x>", "db"],
  alerts: [{ fingerprint: "f", service: "db", name: "full", severity: "critical", first_seen: AT, last_seen: AT, count: 3, ended: false, firing: 2 }],
  alert_count: 3,
  timeline: [],
  notified_at: null,
  merged_into: "",
  storm: false,
  verdicts: [],
  merged: [],
  root_cause: { made_at: AT, window_start: AT, window_end: AT, symptom: "cart", causes: [cause, { ...cause, service: "web", probability: 0.001 }], decided: true, statement: "db." },
} as unknown as IncidentView;

test("the finding names the cause only where it is decided", () => {
  assert.equal(findingOf(incident), "db is full. (83 %)");
  const report = incident.root_cause;
  assert.ok(report);
  assert.equal(findingOf({ ...incident, root_cause: null }), "Not analysed yet.");
  assert.equal(findingOf({ ...incident, root_cause: { ...report, decided: false, statement: "db or web." } }), "Not decided. db or web.");
  assert.equal(findingOf({ ...incident, root_cause: { ...report, false_alarm: true, statement: "Nothing." } }), "Most probably a false alarm. Nothing.");
});

test("the text for a chat has what matters and the link", () => {
  assert.equal(
    chatText(incident, "http://x/incidents/inc-1"),
    "CRITICAL cart|<x>: resolved since 2026-05-04 11:00 UTC\nCause: db is full. (83 %)\nServices: cart|<x>, db\n3 alerts, 2 firing\nhttp://x/incidents/inc-1",
  );
});

test("the draft holds names as text, the times, and no 0 %", () => {
  const draft = postMortem(incident, [{ at: AT, kind: "event", what: "opened *now*", by: "correlator" }], "http://x/i");
  assert.match(draft, /^# Post-mortem: cart\\\|\\<x\\>, 2026-05-04 11:00 UTC$/m);
  assert.match(draft, /until 2026-05-04 13:05 UTC \(2 h 5 min\); nobody was notified/);
  assert.match(draft, /- 2026-05-04 11:00 UTC: opened \\\*now\\\* \(correlator\)/);
  assert.match(draft, /Less probable: web below 1 %/);
  assert.equal(plain("a\n# b"), "a \\# b");
});
