import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameReader } from "../src/pure/frames";
import { addressOf, placeOf } from "../src/pure/place";

test("an address names a place, and the place the address", () => {
  for (const address of ["/", "/act", "/quiet?service=a%26b", "/incidents/inc-1?tenant=acme", "/?severity=critical&text=a+b"]) {
    const url = new URL(address, "http://x");
    assert.equal(addressOf(placeOf(url.pathname, url.search)), address);
  }
});

test("ids of any text survive, links of notifications lead to the incident, empty values are left out", () => {
  const id = "a/b?c#d%‮é";
  const url = new URL(addressOf({ view: "incident", id, query: { tenant: "" } }), "http://x");
  assert.deepEqual(placeOf(url.pathname, url.search), { view: "incident", id, query: {} });
  assert.deepEqual(placeOf("/open/inc-1", "?tenant=&x=1"), { view: "incident", id: "inc-1", query: { x: "1" } });
  assert.equal(placeOf("/incidents/%E0%A4%A", "").id, "%E0%A4%A");
  assert.equal(placeOf("/nothing/here", "").view, "nowhere");
  assert.equal(placeOf("/act/", "").view, "act");
});

test("events come whole out of pieces of any size", () => {
  const text = ': hello\n\nid: 4\n\nid: 5\nevent: opened\ndata: {"a":1}\n\nevent: x\r\ndata: 1\r\ndata: 2\r\n\r\nid: 6\nda';
  const expected = [
    { id: "4", event: "", data: "" },
    { id: "5", event: "opened", data: '{"a":1}' },
    { id: "", event: "x", data: "1\n2" },
  ];
  for (const size of [1, 3, 7, text.length]) {
    const reader = new FrameReader();
    const found = [];
    for (let at = 0; at < text.length; at += size) found.push(...reader.push(text.slice(at, at + size)));
    assert.deepEqual(found, expected);
  }
});
