/** A call graph as a picture: drag and wheel, arrows and + - 0, a click chooses a service. A list beside it says the same. */

import { effect, type Signal, useComputed, useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { legible } from "../pure/format";
import { BOX, centred, closer, type Drawing, drawn, type Line, type Sight, type Spot, spotAt, whole } from "../pure/layers";
import { type Graph, type Health, rankOf, WELL } from "../pure/topology";
import { theme } from "../state/preferences";

interface Given {
  graph: Graph;
  health: ReadonlyMap<string, Health>;
  chosen: string;
  /** what is looked at: while it stays the same, what changes in the graph moves the chosen service nowhere */
  frame: string;
  choose: (service: string) => void;
  /** said when it was first drawn */
  painted: () => void;
}

const NAMED_FROM = 0.42;
const LEAST_CENTRED = 0.7;
const STEP_PX = 60;
const CLICK_PX = 4;

export function GraphPicture({ graph, health, chosen, frame, choose, painted }: Given) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const sight = useSignal<Sight | null>(null);
  const size = useSignal({ width: 0, height: 0 });
  const drawing = useMemo(() => drawn(graph), [graph]);
  const all = () => (sight.value = whole(drawing, size.value.width, size.value.height));
  useSize(canvas, size);
  const before = useRef<{ frame: string; drawing: Drawing | null }>({ frame: "", drawing: null });
  useEffect(() => {
    if (!size.value.width) return;
    const spot = drawing.spots.find((one) => one.service === chosen);
    const last = before.current.frame === frame ? before.current.drawing?.spots.find((one) => one.service === chosen) : undefined;
    before.current = { frame, drawing };
    const now = sight.peek();
    if (now && last && spot) {
      sight.value = { ...now, x: now.x + (last.x - spot.x) * now.scale, y: now.y + (last.y - spot.y) * now.scale };
      return;
    }
    const fit = whole(drawing, size.value.width, size.value.height);
    sight.value = spot && fit.scale < NAMED_FROM ? centred(fit, spot, size.value.width, size.value.height, LEAST_CENTRED) : fit;
  }, [drawing, frame, size.value.width === 0]);
  useEffect(() => {
    const spot = drawing.spots.find((one) => one.service === chosen);
    const now = sight.peek();
    if (spot && now && !seen(spot, now, size.value)) sight.value = centred(now, spot, size.value.width, size.value.height, LEAST_CENTRED);
  }, [chosen]);
  const dark = useDark();
  useEffect(() => {
    let first = true;
    let frame = 0;
    const end = effect(() => {
      const now = sight.value;
      const room = size.value;
      void theme.value;
      if (!now || !room.width || !canvas.current) return;
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => {
        if (canvas.current) paint(canvas.current, { drawing, health, chosen, sight: now, ...room });
        if (first) painted();
        first = false;
      });
    });
    return () => {
      cancelAnimationFrame(frame);
      end();
    };
  }, [drawing, health, chosen, dark]);
  usePointers(canvas, sight, drawing, choose);
  const zoom = (factor: number) => {
    if (sight.value) sight.value = closer(sight.value, factor, size.value.width / 2, size.value.height / 2);
  };
  const key = (event: KeyboardEvent) => {
    const moves: Record<string, readonly [number, number]> = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const move = moves[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (move && sight.value) sight.value = { ...sight.value, x: sight.value.x + move[0] * STEP_PX, y: sight.value.y + move[1] * STEP_PX };
    else if (event.key === "+" || event.key === "=") zoom(1.3);
    else if (event.key === "-") zoom(1 / 1.3);
    else if (event.key === "0") all();
    else return;
    event.preventDefault();
  };
  const percent = useComputed(() => Math.round((sight.value?.scale ?? 1) * 100)).value;
  return (
    <div class="picture">
      <div class="buttons">
        <button type="button" onClick={() => zoom(1.3)} aria-label="Closer">
          +
        </button>
        <button type="button" onClick={() => zoom(1 / 1.3)} aria-label="Farther">
          −
        </button>
        <button type="button" onClick={all}>
          Show all of it
        </button>
        <span class="dim">{percent} %</span>
      </div>
      <canvas
        ref={canvas}
        tabIndex={0}
        role="application"
        aria-label={`Call graph of ${graph.services.length.toLocaleString("en-GB")} services. Arrow keys move it, plus and minus zoom, 0 shows all. The list says the same in words.`}
        onKeyDown={key}
      />
    </div>
  );
}

/** Whether the system prefers dark colours. */
function useDark(): boolean {
  const dark = useSignal(false);
  useEffect(() => {
    const wish = matchMedia("(prefers-color-scheme: dark)");
    const look = () => {
      dark.value = wish.matches;
    };
    look();
    wish.addEventListener("change", look);
    return () => wish.removeEventListener("change", look);
  }, []);
  return dark.value;
}

function seen(spot: Spot, sight: Sight, room: { width: number; height: number }): boolean {
  const x = sight.x + spot.x * sight.scale;
  const y = sight.y + spot.y * sight.scale;
  return x > 0 && y > 0 && x < room.width && y < room.height;
}

function useSize(canvas: { current: HTMLCanvasElement | null }, size: Signal<{ width: number; height: number }>): void {
  useEffect(() => {
    const own = canvas.current;
    if (!own) return undefined;
    const look = () => {
      size.value = { width: own.clientWidth, height: own.clientHeight };
    };
    look();
    const watch = new ResizeObserver(look);
    watch.observe(own);
    return () => watch.disconnect();
  }, []);
}

/** Drag to move, two fingers or the wheel to zoom (the wheel where the picture has the focus, or with Ctrl), click to choose. */
function usePointers(canvas: { current: HTMLCanvasElement | null }, sight: Signal<Sight | null>, drawing: Drawing, choose: (service: string) => void): void {
  useEffect(() => {
    const own = canvas.current;
    if (!own) return undefined;
    const ends = new AbortController();
    const held = new Map<number, { x: number; y: number }>();
    let moved = 0;
    const down = (event: PointerEvent) => {
      held.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
      if (held.size === 1) moved = 0;
      own.setPointerCapture(event.pointerId);
    };
    const move = (event: PointerEvent) => {
      const before = held.get(event.pointerId);
      if (!before || !sight.value) return;
      const after = { x: event.offsetX, y: event.offsetY };
      const other = [...held].find(([id]) => id !== event.pointerId)?.[1];
      if (other) {
        const apart = (one: { x: number; y: number }) => Math.hypot(one.x - other.x, one.y - other.y);
        sight.value = closer(sight.value, apart(after) / Math.max(1, apart(before)), other.x, other.y);
      } else sight.value = { ...sight.value, x: sight.value.x + after.x - before.x, y: sight.value.y + after.y - before.y };
      moved += Math.abs(after.x - before.x) + Math.abs(after.y - before.y);
      held.set(event.pointerId, after);
    };
    const up = (event: PointerEvent) => {
      const now = sight.value;
      if (held.delete(event.pointerId) && !held.size && moved < CLICK_PX && event.type === "pointerup" && now) {
        const spot = spotAt(drawing, (event.offsetX - now.x) / now.scale, (event.offsetY - now.y) / now.scale);
        if (spot) choose(spot.service);
      }
    };
    const wheel = (event: WheelEvent) => {
      if (!sight.value || !(event.ctrlKey || event.metaKey || document.activeElement === own)) return;
      event.preventDefault();
      sight.value = closer(sight.value, Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
    };
    own.addEventListener("pointerdown", down, ends);
    own.addEventListener("pointermove", move, ends);
    own.addEventListener("pointerup", up, ends);
    own.addEventListener("pointercancel", up, ends);
    own.addEventListener("wheel", wheel, { passive: false, signal: ends.signal });
    return () => ends.abort();
  }, [drawing, choose]);
}

interface Painted {
  drawing: Drawing;
  health: ReadonlyMap<string, Health>;
  chosen: string;
  sight: Sight;
  width: number;
  height: number;
}

const COLOURS = ["panel", "text", "dim", "line", "edge", "link", "critical", "warning", "info", "chosen"] as const;
type Colours = Record<(typeof COLOURS)[number], string>;
const MARKS: Record<string, string> = { critical: "▲ ", warning: "◆ ", info: "● " };

/** The colours of the page as they are now: a hidden element turns light-dark() into one of both. */
function coloursOf(own: HTMLCanvasElement): Colours {
  const before = own.style.color;
  const read = (name: string) => {
    own.style.color = `var(--${name})`;
    return getComputedStyle(own).color;
  };
  const colours = Object.fromEntries(COLOURS.map((name) => [name, read(name)])) as Colours;
  own.style.color = before;
  return colours;
}

function paint(own: HTMLCanvasElement, painted: Painted): void {
  const { sight, width, height, drawing, chosen } = painted;
  const dots = devicePixelRatio || 1;
  if (own.width !== Math.round(width * dots)) own.width = Math.round(width * dots);
  if (own.height !== Math.round(height * dots)) own.height = Math.round(height * dots);
  const pen = own.getContext("2d");
  if (!pen) return;
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, own.width, own.height);
  const colours = coloursOf(own);
  pen.setTransform(dots * sight.scale, 0, 0, dots * sight.scale, dots * sight.x, dots * sight.y);
  const beside = (line: Line) => line.from.service === chosen || line.to.service === chosen;
  strokes(pen, drawing.lines.filter((line) => !beside(line)), colours.line, Math.max(1, 0.6 / sight.scale));
  strokes(pen, drawing.lines.filter(beside), colours.link, Math.max(2, 1.2 / sight.scale));
  const left = -sight.x / sight.scale - BOX.width;
  const right = (width - sight.x) / sight.scale + BOX.width;
  const top = -sight.y / sight.scale - BOX.height;
  const bottom = (height - sight.y) / sight.scale + BOX.height;
  pen.font = "12px system-ui, sans-serif";
  pen.textBaseline = "middle";
  for (const spot of drawing.spots) {
    if (spot.x > left && spot.x < right && spot.y > top && spot.y < bottom) box(pen, spot, painted, colours);
  }
}

function strokes(pen: CanvasRenderingContext2D, lines: readonly Line[], colour: string, wide: number): void {
  pen.strokeStyle = colour;
  pen.lineWidth = wide;
  for (const learned of [false, true]) {
    pen.setLineDash(learned ? [4, 4] : []);
    pen.beginPath();
    for (const { from, to, learned: own } of lines) {
      if (own !== learned) continue;
      const start = from.x + BOX.width / 2;
      const end = to.x - BOX.width / 2;
      const bend = Math.max(30, Math.abs(end - start) / 2);
      pen.moveTo(start, from.y);
      pen.bezierCurveTo(start + bend, from.y, end - bend, to.y, end, to.y);
      pen.moveTo(end - 6, to.y - 3);
      pen.lineTo(end, to.y);
      pen.lineTo(end - 6, to.y + 3);
    }
    pen.stroke();
  }
  pen.setLineDash([]);
}

function box(pen: CanvasRenderingContext2D, spot: Spot, painted: Painted, colours: Colours): void {
  const state = painted.health.get(spot.service) ?? WELL;
  const here = spot.service === painted.chosen;
  const colour = state.severity ? colours[state.severity as "critical"] : state.foreseen ? colours.warning : state.touched ? colours.text : colours.edge;
  const near = painted.sight.scale >= NAMED_FROM;
  pen.beginPath();
  pen.roundRect(spot.x - BOX.width / 2, spot.y - BOX.height / 2, BOX.width, BOX.height, 5);
  pen.fillStyle = here ? colours.chosen : !near && state.severity ? colour : colours.panel;
  pen.fill();
  pen.strokeStyle = here ? colours.link : colour;
  pen.lineWidth = here || state.severity ? 2.5 : rankOf(state) < rankOf(WELL) ? 2 : 1;
  pen.setLineDash(state.foreseen && !state.severity ? [3, 3] : []);
  pen.stroke();
  pen.setLineDash([]);
  if (!near) return;
  const mark = MARKS[state.severity] ?? "";
  pen.fillStyle = state.severity ? colour : colours.text;
  pen.fillText(mark + shortened(spot.service), spot.x - BOX.width / 2 + 7, spot.y + 0.5, BOX.width - 14);
}

/** Long names differ most at their end. */
function shortened(name: string): string {
  const text = legible(name.slice(0, 200));
  return text.length <= 24 ? text : `${text.slice(0, 11)}…${text.slice(-12)}`;
}
