import assert from "node:assert/strict";
import { test } from "node:test";
import type { IncidentView, PlanLine, SeriesLine } from "../src/api/bodies";
import { bandOf, gapOf, lineOf, momentSteps, nearest, rangeOf, steps } from "../src/pure/plot";
import { exactly, marksOf, pickedOf, timeAround } from "../src/pure/signals";

const x = { from: 0, to: 10_000, start: 0, end: 100 };
const y = { from: 0, to: 10, start: 50, end: 0 };

test("a line is broken where a value is missing or points lie too far apart; so is a band", () => {
  assert.equal(lineOf([0, 1, 2, 3], [0, 10, null, 5], x, y), "M0 50L10 0M30 25");
  assert.equal(lineOf([0, 1, 9], [0, 0, 0], x, y, gapOf([0, 1, 2])), "M0 50L10 50M90 50");
  const band = { time_s: [0, 1, 2, 3, 4], expected: [], lower: [0, 0, null, 0, 0], upper: [10, 10, null, 10, 10] };
  assert.equal(bandOf(band, x, y), "M0 0L10 0L10 50L0 50ZM30 0L40 0L40 50L30 50Z");
});

test("axes have round steps, hold what is drawn, and begin at 0 where that costs little", () => {
  assert.deepEqual(steps(0, 1, 4), [0, 0.5, 1]);
  assert.deepEqual(steps(75, 145, 4), [80, 100, 120, 140]);
  assert.deepEqual(steps(3, 3, 4), []);
  assert.equal(rangeOf([1, null, 9]).from, 0);
  assert.ok(rangeOf([100, 101]).from > 99);
  assert.deepEqual(rangeOf([null], []), { from: 0, to: 1 });
  assert.ok(rangeOf([5]).to > rangeOf([5]).from);
  assert.deepEqual(momentSteps(0, 3_600_000, 4, "utc"), [0, 900_000, 1_800_000, 2_700_000, 3_600_000]);
});

test("the nearest point to the pointer", () => {
  assert.deepEqual([-5, 1.4, 1.6, 99].map((at) => nearest([0, 1, 2], at)), [0, 1, 2, 2]);
  assert.equal(nearest([], 1), -1);
});

const line = (metric: string, more: Partial<SeriesLine> = {}) =>
  ({ series_id: metric, name: `cart|${metric}`, service: "cart", metric, labels: {}, scored: true, last_at: "2026-03-01T00:00:00Z", ...more }) as unknown as SeriesLine;

test("series that speak for the cause come first, then golden signals, three at most", () => {
  const lines = [line("disk_free"), line("cpu"), line("requests_per_s"), line("error_ratio"), line("latency_p99_ms"), line("heap", { last_at: null })];
  const metrics = (favoured: string[]) => pickedOf("cart", lines, favoured.map((metric) => ({ service: "cart", metric }))).map((one) => one.metric);
  assert.deepEqual(metrics([]), ["latency_p99_ms", "error_ratio", "requests_per_s"]);
  assert.deepEqual(metrics(["disk_free", "heap", "error_ratio"]), ["disk_free", "error_ratio", "latency_p99_ms"]);
  assert.deepEqual(pickedOf("cart", [line("temperature"), line("wind")], []).length, 1);
  assert.deepEqual(pickedOf("web", lines, []), []);
  assert.equal(exactly("a*[b]?"), "a[*][[]b][?]");
});

test("what happened stands in order, a change that two name once; the shown time begins before it", () => {
  const change = { change_id: "c", at: "2026-03-01T11:57:00Z", service: "cart", kind: "deployment", what: "7", source: "" };
  const incident = {
    opened_at: "2026-03-01T12:00:00Z",
    updated_at: "2026-03-01T13:00:00Z",
    alerts: [{ name: "slow", service: "web", first_seen: "2026-03-01T12:01:00Z" }],
    timeline: [{ at: "2026-03-01T12:05:00Z", became: "acknowledged", what: "taken on", by: "ada" }],
    root_cause: { window_start: "2026-03-01T11:40:00Z", false_alarm: false, causes: [{ service: "cart", onset: "2026-03-01T11:58:00Z", changes: [change] }] },
  } as unknown as IncidentView;
  const plans = [
    { title: "restart", state: "cured", changed_at: "2026-03-01T12:30:00Z" },
    { title: "other", state: "waiting", changed_at: "2026-03-01T12:20:00Z" },
  ] as unknown as PlanLine[];
  assert.deepEqual(marksOf(incident, [change], plans).map((mark) => mark.kind), ["change", "onset", "opened", "alert", "action", "action"]);
  const now = Date.parse("2026-03-09T00:00:00Z");
  assert.deepEqual(timeAround(incident, true, now), { since: Date.parse("2026-03-01T10:40:00Z"), until: Date.parse("2026-03-01T13:15:00Z") });
  assert.equal(timeAround(incident, false, now).until - timeAround(incident, false, now).since, 24 * 3_600_000);
});
