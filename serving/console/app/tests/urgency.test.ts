import assert from "node:assert/strict";
import { test } from "node:test";
import { byUrgency, fits, leadsTo, passes } from "../src/pure/urgency";

const line = (incident_id: string, severity: string, opened_at: string, state = "open") => ({ incident_id, severity, opened_at, state, anchor: "cart", services: ["cart", "web"], statement: "" });

test("the worst comes first, of one severity the newest, and a state moves nothing", () => {
  const lines = [
    line("a", "info", "2026-05-04T12:00:00Z"),
    line("b", "critical", "2026-05-04T10:00:00Z"),
    line("c", "critical", "2026-05-04T11:00:00.5Z", "acknowledged"),
    line("d", "critical", "2026-05-04T11:00:00Z"),
    line("e", "warning", "2026-05-04T09:00:00Z"),
    line("f", "unheard-of", "2026-05-04T12:00:00Z"),
  ];
  assert.deepEqual(lines.sort(byUrgency).map((one) => one.incident_id), ["c", "d", "b", "e", "a", "f"]);
});

test("filters let pass what fits all of them", () => {
  const none = { state: "", severity: "", service: "", text: "" };
  const one = line("inc-7", "warning", "2026-05-04T09:00:00Z");
  assert.ok(passes(one, none));
  assert.ok(passes(one, { ...none, state: "open", severity: "warning", service: "web", text: "INC-7" }));
  assert.ok(passes({ ...one, statement: "cart has a leak" }, { ...none, text: "leak" }));
  for (const wrong of [{ state: "mitigated" }, { severity: "critical" }, { service: "we" }, { text: "leak" }]) assert.ok(!passes(one, { ...none, ...wrong }));
});

test("what may be done depends on the state", () => {
  assert.deepEqual(["open", "acknowledged", "mitigated", "resolved"].map((state) => fits("acknowledge", state)), [true, false, false, false]);
  assert.deepEqual(["open", "acknowledged", "mitigated", "resolved"].map((state) => fits("resolve", state)), [true, true, true, false]);
  assert.equal(leadsTo("mitigate"), "mitigated");
});
