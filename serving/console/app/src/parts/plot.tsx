/** One series over time: what was seen, what was expected, anomalies, and what happened meanwhile. Drawn as SVG in the page's colours. */

import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { SeriesPoints } from "../api/bodies";
import { beginning, figure, legible, moment } from "../pure/format";
import { back, bandOf, gapOf, lineOf, momentSteps, nearest, on, rangeOf, type Scale, steps } from "../pure/plot";
import { type Mark, SHAPES } from "../pure/signals";
import { zone } from "../state/preferences";
import { Name } from "./words";

const LEFT = 52;
const RIGHT = 8;
const TOP = 16;
const BOTTOM = 20;
const HEIGHT = 132;
const STEP_PX = 110;

interface Given {
  data: SeriesPoints;
  since: number;
  until: number;
  marks: readonly Mark[];
  /** the moment under the pointer in milliseconds, shared by plots of one time; 0 = none */
  pointed: Signal<number>;
}

export function Plot({ data, since, until, marks, pointed }: Given) {
  const frame = useRef<HTMLElement>(null);
  const width = useWidth(frame);
  const { points, band } = data;
  const x: Scale = { from: since, to: until, start: LEFT, end: Math.max(LEFT + 50, width - RIGHT) };
  const range = useMemo(() => rangeOf(points.mean, points.max, points.min, band.lower, band.upper), [data]);
  const y: Scale = { ...range, start: HEIGHT - BOTTOM, end: TOP };
  const paths = useMemo(
    () => ({
      seen: lineOf(points.time_s, points.mean, x, y, gapOf(points.time_s)),
      expected: lineOf(band.time_s, band.expected, x, y),
      band: bandOf(band, x, y),
    }),
    [data, width, since, until],
  );
  const unit = data.series.unit ? ` in ${data.series.unit}` : "";
  const point = (event: PointerEvent) => {
    pointed.value = back(x, event.clientX - (frame.current?.getBoundingClientRect().left ?? 0));
  };
  return (
    <figure class="plot" ref={frame} onPointerMove={point} onPointerLeave={() => (pointed.value = 0)}>
      <figcaption>
        <strong>
          <Name text={data.series.service} most={60} whole={false} />
        </strong>{" "}
        <Name text={data.series.name.slice(data.series.service.length + 1) || data.series.metric} most={90} whole={false} />
        <span class="dim">{unit}</span> <Reading data={data} pointed={pointed} />
      </figcaption>
      <svg width={width} height={HEIGHT} role="img" aria-label={inWords(data)}>
        {steps(range.from, range.to, 4).map((value) => (
          <g key={value}>
            <line class="grid" x1={x.start} x2={x.end} y1={on(y, value)} y2={on(y, value)} />
            <text x={LEFT - 6} y={on(y, value) + 4} text-anchor="end">
              {figure(value)}
            </text>
          </g>
        ))}
        {momentSteps(since, until, Math.max(1, Math.floor((x.end - x.start) / STEP_PX)), zone.value).map((at) => (
          <text key={at} x={on(x, at)} y={HEIGHT - 5} text-anchor="middle">
            {clock(at)}
          </text>
        ))}
        <path class="band" d={paths.band} />
        <path class="expected" d={paths.expected} />
        <path class="seen" d={paths.seen} />
        {data.detections
          .filter((one) => one.of_series)
          .map((one) => (
            <circle key={one.detection_id} class="anomaly" cx={on(x, Date.parse(one.at))} cy={on(y, Math.min(range.to, Math.max(range.from, one.value)))} r={3.5} />
          ))}
        {marks
          .filter((mark) => Date.parse(mark.at) >= since && Date.parse(mark.at) <= until)
          .map((mark, place) => (
            <g key={place} class={`mark ${mark.kind}`}>
              <line x1={on(x, Date.parse(mark.at))} x2={on(x, Date.parse(mark.at))} y1={TOP} y2={HEIGHT - BOTTOM} />
              <text x={on(x, Date.parse(mark.at))} y={TOP - 4} text-anchor="middle">
                {SHAPES[mark.kind]}
                <title>{`${moment(mark.at, zone.value, Date.parse(mark.at))} ${legible(mark.text).slice(0, 200)}`}</title>
              </text>
            </g>
          ))}
        <Pointed pointed={pointed} x={x} />
      </svg>
    </figure>
  );
}

function Pointed({ pointed, x }: { pointed: Signal<number>; x: Scale }) {
  const at = pointed.value;
  if (!at || at < x.from || at > x.to) return null;
  return <line class="pointed" x1={on(x, at)} x2={on(x, at)} y1={TOP} y2={HEIGHT - BOTTOM} />;
}

/** The values at the pointer, else the last one. */
function Reading({ data, pointed }: { data: SeriesPoints; pointed: Signal<number> }) {
  const { points, band } = data;
  const place = pointed.value ? nearest(points.time_s, pointed.value / 1000) : points.mean.findLastIndex((value) => value !== null);
  const at = points.time_s[place];
  const value = points.mean[place];
  if (at === undefined || value === null || value === undefined) return null;
  const beside = nearest(band.time_s, at);
  const [low, high] = [band.lower[beside], band.upper[beside]];
  return (
    <span class="reading">
      {clock(at * 1000)}: {figure(value)}
      {low != null && high != null ? `, expected ${figure(low)} to ${figure(high)}` : ""}
    </span>
  );
}

function clock(at: number): string {
  return new Date(at).toLocaleTimeString("en-GB", { timeZone: zone.value === "utc" ? "UTC" : undefined, hour: "2-digit", minute: "2-digit" });
}

/** What the picture shows, for those who do not see it. */
function inWords({ series, points, band, detections }: SeriesPoints): string {
  const seen = points.mean.filter((value) => value !== null);
  const name = beginning(legible(series.name), 120).text;
  if (!seen.length) return `${name}: no points in this time`;
  const { low, high } = seen.reduce((so, value) => ({ low: Math.min(so.low, value), high: Math.max(so.high, value) }), { low: Infinity, high: -Infinity });
  const last = band.upper.findLastIndex((value) => value !== null);
  const expected = last < 0 ? `nothing is expected (${band.status})` : `expected ${figure(band.lower[last] ?? Number.NaN)} to ${figure(band.upper[last] ?? Number.NaN)}`;
  const own = detections.filter((one) => one.of_series).length;
  return `${name}: ${figure(low)} to ${figure(high)}, last ${figure(seen.at(-1) ?? Number.NaN)}; ${expected}; ${own} anomalies`;
}

function useWidth(frame: { current: HTMLElement | null }): number {
  const width = useSignal(600);
  useEffect(() => {
    const own = frame.current;
    if (!own) return undefined;
    const look = () => {
      width.value = own.clientWidth;
    };
    look();
    const watch = new ResizeObserver(look);
    watch.observe(own);
    return () => watch.disconnect();
  }, []);
  return width.value;
}
