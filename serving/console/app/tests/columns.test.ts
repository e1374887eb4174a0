import assert from "node:assert/strict";
import { test } from "node:test";
import type { SeriesPoints } from "../src/api/bodies";
import { columnsOf, extremesOf } from "../src/pure/columns";

const points = { raw: false, step_s: 60, time_s: [0, 60, 120], min: [1, null, 3], mean: [2, null, 4], max: [5, null, 4.5], count: [2, 0, 1] };
const answer = {
  points,
  band: { model: "m", status: "established", time_s: [60, 120], expected: [2, 2], lower: [1, 1], upper: [3, 3] },
  compared: { ...points, time_s: [30], min: [7], mean: [7], max: [7], count: [1] },
} as unknown as SeriesPoints;

test("points, band and comparison stand on one axis, and gaps stay gaps", () => {
  const [times, low, mean, high, lower, expected, upper, compared] = columnsOf(answer);
  assert.deepEqual(times, [0, 30, 60, 120]);
  assert.deepEqual([low, mean, high], [[1, null, null, 3], [2, null, null, 4], [5, null, null, 4.5]]);
  assert.deepEqual([lower, expected, upper], [[null, null, 1, 1], [null, null, 2, 2], [null, null, 3, 3]]);
  assert.deepEqual(compared, [null, 7, null, null]);
});

test("extremes are of what was seen, the newest value is the last one", () => {
  assert.deepEqual(extremesOf(answer), { lowest: 1, highest: 5, newest: 4 });
  assert.equal(extremesOf({ ...answer, points: { ...points, min: [null, null, null], mean: [null, null, null], max: [null, null, null] } }), null);
});
