import assert from "node:assert/strict";
import { test } from "node:test";
import { axisMark, beginning, counted, countdown, figure, legible, moment, percent, span, webAddress } from "../src/pure/format";

const NOON = Date.parse("2026-05-04T12:00:00Z");

test("a span is said in its two largest units", () => {
  assert.deepEqual([-5, 40_000, 180_000, 7_500_000, 7_200_000, 90_000_000].map(span), ["0 s", "40 s", "3 min", "2 h 5 min", "2 h", "1 d 1 h"]);
});

test("a countdown runs to the second, and is over at its end", () => {
  assert.equal(countdown("2026-05-04T12:04:05Z", NOON), "4:05");
  assert.equal(countdown("2026-05-04T13:02:09Z", NOON), "1:02:09");
  assert.equal(countdown("2026-05-04T12:00:00Z", NOON), "over");
  assert.equal(countdown("never", NOON), "over");
});

test("a moment of today is a time, of another day the day as well, with the zone where it is UTC", () => {
  assert.equal(moment("2026-05-04T11:03:00Z", "utc", NOON), "11:03 UTC");
  assert.equal(moment("2026-05-03T11:03:00Z", "utc", NOON), "3 May 2026 11:03 UTC");
  assert.equal(moment("nonsense", "utc", NOON), "nonsense");
});

test("no probability is nothing or everything", () => {
  assert.deepEqual([0, 0.0099, 0.01, 0.834, 0.995, 1, Number.NaN].map(percent), ["below 1 %", "below 1 %", "1 %", "83 %", "above 99 %", "above 99 %", "unknown"]);
});

test("what cannot be seen in a name is named, what scripts and emoji need stays", () => {
  assert.equal(legible("a\u202eb\u200bc\u0000"), "a⟨U+202E⟩b⟨U+200B⟩c⟨U+0000⟩");
  assert.equal(legible("می\u200cخواهم 👩\u200d💻 <b>"), "می\u200cخواهم 👩\u200d💻 <b>");
});

test("a long text is cut between characters", () => {
  assert.deepEqual(beginning("abc", 3), { text: "abc", cut: false });
  assert.deepEqual(beginning("ab👍c", 3), { text: "ab…", cut: true });
});

test("only addresses of the web are addresses", () => {
  assert.equal(webAddress("https://wiki.example/run?a=1"), "https://wiki.example/run?a=1");
  for (const bad of ["javascript:alert(1)", " javascript:alert(1)", "data:text/html,x", "//host/x", "/x", "https://", "", null, undefined]) assert.equal(webAddress(bad), "");
});

test("numbers and their words", () => {
  assert.deepEqual([counted(1, "alert"), counted(1200, "alert"), counted(2, "entry", "entries")], ["1 alert", "1,200 alerts", "2 entries"]);
  assert.deepEqual([figure(0.12345), figure(98765), figure(Number.NaN)], ["0.123", "98,800", "unknown"]);
});

test("marks of an axis are times, and days at midnight", () => {
  const noon = Date.parse("2026-05-04T12:30:00Z");
  assert.equal(axisMark(noon, "utc", 3600), "12:30");
  assert.equal(axisMark(noon, "utc", 15), "12:30:00");
  assert.equal(axisMark(noon, "utc", 86_400), "4 May");
  assert.equal(axisMark(Date.parse("2026-05-04T00:00:00Z"), "utc", 3600), "4 May");
});
