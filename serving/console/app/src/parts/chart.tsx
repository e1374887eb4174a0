/** A series as a picture: its values, what was expected, what it is compared with, and what was detected. */

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { DetectionMark } from "../api/bodies";
import type { Columns } from "../pure/columns";
import { axisMark, figure } from "../pure/format";
import { theme, zone } from "../state/preferences";

const HEIGHT = 220;
const LOW = 1;
const HIGH = 3;
const LOWER = 4;
const UPPER = 6;

export interface Picture {
  /** what the picture says, for those who do not see it */
  label: string;
  columns: Columns;
  marks: readonly DetectionMark[];
  /** milliseconds since 1970 */
  from: number;
  to: number;
  /** a range was drawn with the pointer */
  onRange: (from: number, to: number) => void;
}

export function Chart(picture: Picture) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(picture);
  latest.current = picture;
  useEffect(() => {
    const place = box.current;
    if (!place) return undefined;
    const make = () => {
      plot.current?.destroy();
      plot.current = new uPlot(optionsOf(latest, place.clientWidth), latest.current.columns, place);
    };
    make();
    const resized = new ResizeObserver(() => plot.current?.setSize({ width: place.clientWidth, height: HEIGHT }));
    resized.observe(place);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", make);
    return () => {
      scheme.removeEventListener("change", make);
      resized.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [theme.value, zone.value]);
  useEffect(() => plot.current?.setData(picture.columns), [picture.columns, picture.from, picture.to]);
  return <div class="chart" ref={box} role="img" aria-label={picture.label} />;
}

function optionsOf(latest: { current: Picture }, width: number): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const shade = document.createElement("span");
  document.body.append(shade);
  const colour = (name: string): string => {
    shade.style.color = `var(--${name})`;
    return getComputedStyle(shade).color;
  };
  const colours = { text: colour("text"), dim: colour("dim"), line: colour("line"), link: colour("link"), critical: colour("critical"), good: colour("good") };
  shade.remove();
  const say = (_: uPlot, value: number | null) => (value === null ? "–" : figure(value));
  const line = (label: string, stroke: string, more: Partial<uPlot.Series> = {}): uPlot.Series => ({ label, stroke, value: say, points: { show: false }, ...more });
  const axis = { stroke: colours.dim, grid: { stroke: colours.line, width: 1 }, ticks: { stroke: colours.line, width: 1 }, font: `12px ${style.fontFamily}` };
  return {
    width,
    height: HEIGHT,
    tzDate: (seconds) => (zone.value === "utc" ? uPlot.tzDate(new Date(seconds * 1000), "UTC") : new Date(seconds * 1000)),
    cursor: { drag: { x: true, y: false, setScale: false } },
    legend: { live: true },
    scales: { x: { range: () => [latest.current.from / 1000, latest.current.to / 1000] } },
    axes: [{ ...axis, values: (_, marks, _space, _field, seconds) => marks.map((mark) => axisMark(mark * 1000, zone.value, seconds)) }, { ...axis, size: 70, values: (_, values) => values.map((value) => figure(value)) }],
    series: [
      {},
      line("lowest", colours.link, { width: 0.5 }),
      line("mean", colours.link, { width: 1.5 }),
      line("highest", colours.link, { width: 0.5 }),
      line("lower bound", colours.good, { width: 0.5, dash: [2, 3], spanGaps: true }),
      line("expected", colours.good, { width: 1, dash: [6, 4], spanGaps: true }),
      line("upper bound", colours.good, { width: 0.5, dash: [2, 3], spanGaps: true }),
      line("before", colours.dim, { width: 1, dash: [1, 2], spanGaps: true }),
    ],
    bands: [
      { series: [HIGH, LOW], fill: faint(colours.link) },
      { series: [UPPER, LOWER], fill: faint(colours.good) },
    ],
    hooks: {
      draw: [(plot) => drawMarks(plot, latest.current.marks, colours.critical, colours.dim)],
      setSelect: [
        (plot) => {
          const { left, width: drawn } = plot.select;
          if (drawn < 5) return;
          latest.current.onRange(plot.posToVal(left, "x") * 1000, plot.posToVal(left + drawn, "x") * 1000);
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
    },
  };
}

const faint = (colour: string): string => colour.replace(/^rgb\((.*)\)$/, "rgba($1, 0.15)");

/** Detections as lines from top to bottom, those of the series itself with a wedge on top. */
function drawMarks(plot: uPlot, marks: readonly DetectionMark[], own: string, other: string): void {
  const { ctx, bbox } = plot;
  ctx.save();
  for (const mark of marks) {
    const x = plot.valToPos(Date.parse(mark.at) / 1000, "x", true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.strokeStyle = ctx.fillStyle = mark.of_series ? own : other;
    ctx.setLineDash(mark.of_series ? [] : [2, 4]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    if (!mark.of_series) continue;
    ctx.beginPath();
    ctx.moveTo(x - 5, bbox.top);
    ctx.lineTo(x + 5, bbox.top);
    ctx.lineTo(x, bbox.top + 8);
    ctx.fill();
  }
  ctx.restore();
}
