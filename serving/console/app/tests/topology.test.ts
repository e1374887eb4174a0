import assert from "node:assert/strict";
import { test } from "node:test";
import { closer, drawn, spotAt, whole } from "../src/pure/layers";
import { around, foundServices, type Graph, healthOf, neighboursOf, rankOf, standingOf, WELL } from "../src/pure/topology";

const calls = (...pairs: string[]) => pairs.map((pair) => ({ caller: pair.split(">")[0] ?? "", callee: pair.split(">")[1] ?? "" }));
const graphOf = (...pairs: string[]): Graph => ({ services: [...new Set(pairs.flatMap((pair) => pair.split(">")))].sort(), calls: calls(...pairs) });

test("callers stand left of whom they call, by the longest way, whatever circles there are", () => {
  const drawing = drawn(graphOf("web>cart", "cart>db", "web>db", "db>cache", "cache>db", "cart>cart"));
  const x = Object.fromEntries(drawing.spots.map((spot) => [spot.service, spot.x]));
  assert.ok((x.web as number) < (x.cart as number) && (x.cart as number) < (x.db as number) && (x.db as number) < (x.cache as number));
  assert.equal(drawing.lines.length, 5); // no line leads from a service to itself
});

test("no two services lie over one another, all lie in the drawing, lines that need not cross do not", () => {
  const pairs = Array.from({ length: 300 }, (_, number) => `layer${number % 3}-${Math.floor(number / 3)}>layer${(number % 3) + 1}-${Math.floor(number / 3)}`);
  const drawing = drawn(graphOf(...pairs));
  const places = new Set(drawing.spots.map(({ x, y }) => `${x},${y}`));
  assert.equal(places.size, 400);
  assert.ok(drawing.spots.every(({ x, y }) => x > 0 && x < drawing.width && y > 0 && y < drawing.height));
  const few = drawn(graphOf("a1>b2", "a2>b1"));
  const y = Object.fromEntries(few.spots.map((spot) => [spot.service, spot.y]));
  assert.equal((y.a1 as number) < (y.a2 as number), (y.b2 as number) < (y.b1 as number));
});

test("services that nothing is connected with, and no service at all, are drawn as well", () => {
  const alone = drawn({ services: ["alone", "web", "cart"], calls: calls("web>cart") });
  assert.equal(alone.spots.filter(Boolean).length, 3);
  assert.deepEqual(drawn({ services: [], calls: [] }).spots, []);
});

test("two thousand services and a chain of as many are laid out in a moment", () => {
  const wide = Array.from({ length: 6000 }, (_, number) => `s${Math.floor(number / 3) % 1000}>s${1000 + ((number * 7) % 1000)}`);
  const chain = Array.from({ length: 2000 }, (_, number) => `c${number}>c${number + 1}`);
  const began = performance.now();
  assert.equal(drawn(graphOf(...wide)).spots.length, 2000);
  assert.equal(drawn(graphOf(...chain)).spots.length, 2001);
  assert.ok(performance.now() - began < 2000, `${performance.now() - began} ms`);
});

test("what lies around a service: callers of callers and callees of callees, not its siblings", () => {
  const graph = graphOf("web>cart", "web>search", "cart>db", "db>disk", "edge>web", "cart>web");
  const near = (hops: number) => around(graph, neighboursOf(graph), "cart", hops).services;
  assert.deepEqual(near(1), ["cart", "db", "web"]);
  assert.deepEqual(near(2), ["cart", "db", "disk", "edge", "search", "web"]); // search: cart calls web, which calls it
  assert.deepEqual(near(0), ["cart"]);
  assert.deepEqual(around(graph, neighboursOf(graph), "unknown", 2), { services: [], calls: [] });
});

const incident = (id: string, severity: string, anchor: string, more: Partial<{ cause: string; services: string[]; foreseen: boolean }> = {}) => ({
  incident_id: id,
  severity,
  opened_at: "2026-03-01T00:00:00Z",
  anchor,
  cause: "",
  services: [anchor],
  foreseen: false,
  ...more,
});

test("a service is as ill as the worst incident that began or showed there", () => {
  const health = healthOf([
    incident("i1", "warning", "cart", { services: ["cart", "web"] }),
    incident("i2", "critical", "shop", { cause: "cart", services: ["shop"] }),
    incident("i3", "critical", "disk", { foreseen: true }),
  ]);
  assert.deepEqual(health.get("cart"), { severity: "critical", touched: false, foreseen: false, incidents: ["i2", "i1"] });
  assert.equal(standingOf(health.get("web") ?? WELL), "in an incident");
  assert.equal(standingOf(health.get("disk") ?? WELL), "trouble foreseen");
  assert.ok(rankOf(health.get("cart") ?? WELL) < rankOf(health.get("disk") ?? WELL));
  assert.ok(rankOf(health.get("web") ?? WELL) < rankOf(WELL));
});

test("lists show the worst first, then those that most depend on", () => {
  const graph = graphOf("web>cart", "web>db", "cart>db", "edge>web");
  const health = healthOf([incident("i", "info", "web")]);
  assert.deepEqual(foundServices(graph, neighboursOf(graph), health, ""), ["web", "db", "cart", "edge"]);
  assert.deepEqual(foundServices(graph, neighboursOf(graph), health, "D E"), ["edge"]);
});

test("zooming keeps what lies under the pointer there, and the whole drawing fits its window", () => {
  const drawing = drawn(graphOf("web>cart"));
  const sight = whole(drawing, 200, 100);
  assert.ok(drawing.width * sight.scale <= 200 && drawing.height * sight.scale <= 100);
  const near = closer(sight, 2, 50, 60);
  assert.ok(Math.abs((50 - sight.x) / sight.scale - (50 - near.x) / near.scale) < 1e-9);
  const [spot] = drawing.spots;
  assert.equal(spotAt(drawing, (spot?.x ?? 0) + 3, spot?.y ?? 0)?.service, spot?.service);
  assert.equal(spotAt(drawing, -999, 0), null);
});
