/** Where services are drawn: callers left of whom they call, few lines that cross. */

import type { Graph } from "./topology";

export const BOX = { width: 150, height: 24 } as const;
const ROW = 34;
const COLUMN = 170;
const LAYER = 90;
/** a layer of more services stands in several columns */
const MOST_ROWS = 48;
const SWEEPS = 3;

export interface Spot {
  service: string;
  /** middle of the box */
  x: number;
  y: number;
}

export interface Line {
  from: Spot;
  to: Spot;
  learned: boolean;
}

export interface Drawing {
  spots: readonly Spot[];
  lines: readonly Line[];
  width: number;
  height: number;
}

/**
 * Lay a graph out in layers by the longest way from a service that nobody calls; calls that close a circle do not count.
 * Within a layer, services stand at the mean place of those they are connected with. O(sweeps · (services + calls)), the same
 * graph gives the same drawing.
 */
export function drawn(graph: Graph): Drawing {
  const names = [...graph.services].sort();
  const number = new Map(names.map((name, place) => [name, place]));
  const out: number[][] = names.map(() => []);
  const into: number[][] = names.map(() => []);
  for (const { caller, callee } of graph.calls) {
    const from = number.get(caller);
    const to = number.get(callee);
    if (from === undefined || to === undefined || from === to) continue;
    (out[from] as number[]).push(to);
    (into[to] as number[]).push(from);
  }
  const rows = inLayers(depths(out, into), out, into);
  return placed(graph, names, number, rows);
}

/** How deep each service lies; -1 = it is connected with nothing. */
function depths(out: readonly number[][], into: readonly number[][]): number[] {
  const depth: number[] = out.map((next, place) => (next.length || (into[place] as number[]).length ? 0 : -1));
  for (const from of withoutCircles(out, into)) {
    for (const to of from.forward) depth[to] = Math.max(depth[to] as number, (depth[from.place] as number) + 1);
  }
  return depth;
}

interface Step {
  place: number;
  /** calls that close no circle */
  forward: number[];
}

/** Services in an order in which every call that closes no circle leads on; walked by hand, as chains may be long. */
function withoutCircles(out: readonly number[][], into: readonly number[][]): Step[] {
  const state = new Uint8Array(out.length); // 0 = not seen, 1 = on the way, 2 = done
  const done: Step[] = [];
  const begin = (start: number) => {
    if (state[start]) return;
    state[start] = 1;
    const way: { place: number; next: number; forward: number[] }[] = [{ place: start, next: 0, forward: [] }];
    while (way.length) {
      const here = way[way.length - 1] as (typeof way)[number];
      const to = (out[here.place] as number[])[here.next++];
      if (to === undefined) {
        state[here.place] = 2;
        done.push({ place: here.place, forward: here.forward });
        way.pop();
      } else if (state[to] !== 1) {
        here.forward.push(to);
        if (!state[to]) {
          state[to] = 1;
          way.push({ place: to, next: 0, forward: [] });
        }
      }
    }
  };
  out.forEach((_, place) => (into[place] as number[]).length || begin(place)); // those that nobody calls first
  out.forEach((_, place) => begin(place));
  return done.reverse();
}

/** The services of each layer in order; those that are connected with nothing are the last layer. */
function inLayers(depth: readonly number[], out: readonly number[][], into: readonly number[][]): number[][] {
  const last = depth.reduce((most, one) => Math.max(most, one), -1) + 1;
  const layers: number[][] = Array.from({ length: last + 1 }, () => []);
  depth.forEach((one, place) => (layers[one < 0 ? last : one] as number[]).push(place));
  const at = new Float64Array(depth.length);
  const settle = (layer: readonly number[]) => layer.forEach((place, row) => (at[place] = (row + 0.5) / layer.length));
  layers.forEach(settle);
  const mean = (places: readonly number[], own: number) => (places.length ? places.reduce((sum, one) => sum + (at[one] as number), 0) / places.length : (at[own] as number));
  const arrange = (layer: number[], beside: readonly number[][]) => {
    const wish = new Map(layer.map((place) => [place, mean(beside[place] as number[], place)]));
    layer.sort((one, other) => (wish.get(one) as number) - (wish.get(other) as number) || one - other);
    settle(layer);
  };
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (const layer of layers) arrange(layer, into);
    for (const layer of [...layers].reverse()) arrange(layer, out);
  }
  return layers.filter((layer) => layer.length);
}

function placed(graph: Graph, names: readonly string[], number: ReadonlyMap<string, number>, layers: readonly number[][]): Drawing {
  const spots: Spot[] = [];
  const rows = Math.min(MOST_ROWS, Math.max(1, ...layers.map((layer) => layer.length)));
  let x = BOX.width / 2;
  for (const layer of layers) {
    const columns = Math.ceil(layer.length / MOST_ROWS);
    const tall = Math.ceil(layer.length / columns);
    layer.forEach((place, at) => {
      const column = Math.floor(at / tall);
      const own = Math.min(tall, layer.length - column * tall);
      const y = ((at % tall) + (rows - own) / 2) * ROW + ROW / 2;
      spots[place] = { service: names[place] as string, x: x + column * COLUMN, y };
    });
    x += (columns - 1) * COLUMN + BOX.width + LAYER;
  }
  const lines: Line[] = [];
  for (const { caller, callee, origin } of graph.calls) {
    const from = spots[number.get(caller) ?? -1];
    const to = spots[number.get(callee) ?? -1];
    if (from && to && from !== to) lines.push({ from, to, learned: origin === "learned" });
  }
  return { spots, lines, width: Math.max(BOX.width, x - LAYER - BOX.width / 2), height: rows * ROW };
}

/** The service whose box covers a place of the drawing; null = none does. */
export function spotAt(drawing: Drawing, x: number, y: number): Spot | null {
  return drawing.spots.find((spot) => Math.abs(spot.x - x) <= BOX.width / 2 && Math.abs(spot.y - y) <= ROW / 2) ?? null;
}

export interface Sight {
  /** pixels of the window for one of the drawing */
  scale: number;
  /** where the drawing's corner lies in the window */
  x: number;
  y: number;
}

const LEAST = 0.05;
const LARGEST = 2.5;

/** All of a drawing in a window; small ones are not blown up. */
export function whole(drawing: Drawing, width: number, height: number): Sight {
  const margin = 12;
  const scale = Math.max(LEAST, Math.min(1.1, (width - 2 * margin) / drawing.width, (height - 2 * margin) / drawing.height));
  return { scale, x: (width - drawing.width * scale) / 2, y: (height - drawing.height * scale) / 2 };
}

/** Closer by a factor, so that what lies under a place of the window stays under it. */
export function closer(sight: Sight, factor: number, x: number, y: number): Sight {
  const scale = Math.max(LEAST, Math.min(LARGEST, sight.scale * factor));
  const by = scale / sight.scale;
  return { scale, x: x - (x - sight.x) * by, y: y - (y - sight.y) * by };
}

/** A spot in the middle of the window. */
export function centred(sight: Sight, spot: Spot, width: number, height: number, least: number): Sight {
  const scale = Math.max(sight.scale, least);
  return { scale, x: width / 2 - spot.x * scale, y: height / 2 - spot.y * scale };
}
