import assert from "node:assert/strict";
import { test } from "node:test";
import { momentOf, rangeOf } from "../src/pure/range";

const now = Date.parse("2026-05-04T12:00:00Z");

test("what people type is a moment", () => {
  assert.equal(momentOf("now", now), now);
  assert.equal(momentOf(" now-2h ", now), now - 7_200_000);
  assert.equal(momentOf("now-7d", now), now - 7 * 86_400_000);
  assert.equal(momentOf("2026-05-04", now), Date.parse("2026-05-04T00:00:00Z"));
  assert.equal(momentOf("2026-05-04 11:30", now), Date.parse("2026-05-04T11:30:00Z"));
  assert.equal(momentOf("2026-05-04T11:30:00+02:00", now), Date.parse("2026-05-04T09:30:00Z"));
});

test("what names no moment is none", () => {
  for (const text of ["", "yesterday", "now-2", "now-2y", "now+2h", "2026-13-40", "12:00", "now-9999999h"]) assert.equal(momentOf(text, now), null);
});

test("a range is live where it ends now, and says what is wrong with it", () => {
  assert.deepEqual(rangeOf("", "", now), { from: now - 6 * 3_600_000, to: now, live: true });
  assert.deepEqual(rangeOf("now-2h", "now-1h", now), { from: now - 7_200_000, to: now - 3_600_000, live: false });
  assert.match(String(rangeOf("soon", "", now)), /"soon" is no time/);
  assert.match(String(rangeOf("now-1h", "now-2h", now)), /begins after its end/);
  assert.match(String(rangeOf("now-100d", "", now)), /At most 62 days/);
});
