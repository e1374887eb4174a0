/** Columns of a series' points, band and comparison on one axis of time, as the chart takes them. */

import type { SeriesPoints } from "../api/bodies";

export type Column = (number | null)[];

/** time, lowest, mean, highest, lower bound, expected, upper bound, compared mean; times in seconds, ascending. */
export type Columns = [number[], Column, Column, Column, Column, Column, Column, Column];

/** Put everything on the union of all times; what has no value at a time is null there. */
export function columnsOf(answer: SeriesPoints): Columns {
  const { points, band, compared } = answer;
  const times = [...new Set([...points.time_s, ...band.time_s, ...(compared?.time_s ?? [])])].sort((one, other) => one - other);
  const place = new Map(times.map((time, index) => [time, index]));
  const spread = (at: readonly number[], values: readonly (number | null)[]): Column => {
    const column: Column = new Array<number | null>(times.length).fill(null);
    at.forEach((time, index) => (column[place.get(time) ?? 0] = values[index] ?? null));
    return column;
  };
  return [
    times,
    spread(points.time_s, points.min),
    spread(points.time_s, points.mean),
    spread(points.time_s, points.max),
    spread(band.time_s, band.lower),
    spread(band.time_s, band.expected),
    spread(band.time_s, band.upper),
    spread(compared?.time_s ?? [], compared?.mean ?? []),
  ];
}

export interface Extremes {
  lowest: number;
  highest: number;
  newest: number;
}

/** The lowest, highest and newest value of a series in the range; null = it has no points there. */
export function extremesOf(answer: SeriesPoints): Extremes | null {
  let found: Extremes | null = null;
  answer.points.mean.forEach((mean, index) => {
    const low = answer.points.min[index];
    const high = answer.points.max[index];
    if (mean === null || low == null || high == null) return;
    found = { lowest: Math.min(low, found?.lowest ?? low), highest: Math.max(high, found?.highest ?? high), newest: mean };
  });
  return found;
}
