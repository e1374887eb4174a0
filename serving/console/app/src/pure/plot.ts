/** Series as lines: scales, steps of axes, paths, and what stands on the axis of time beside them. */

import type { Zone } from "./format";

export interface Columns {
  time_s: readonly number[];
  mean: readonly (number | null)[];
}

export interface Band {
  time_s: readonly number[];
  expected: readonly (number | null)[];
  lower: readonly (number | null)[];
  upper: readonly (number | null)[];
}

/** A linear scale from values to pixels. */
export interface Scale {
  from: number;
  to: number;
  /** pixels at `from` and at `to` */
  start: number;
  end: number;
}

export const on = (scale: Scale, value: number): number => scale.start + ((value - scale.from) / (scale.to - scale.from || 1)) * (scale.end - scale.start);

/** The value at a pixel. */
export const back = (scale: Scale, pixel: number): number => scale.from + ((pixel - scale.start) / (scale.end - scale.start || 1)) * (scale.to - scale.from);

const known = (values: readonly (number | null)[]): number[] => values.filter((value): value is number => value !== null && Number.isFinite(value));

/** The least range of values that holds lines and band, with some room; from 0 where that costs little. */
export function rangeOf(...lines: readonly (readonly (number | null)[])[]): { from: number; to: number } {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const line of lines) {
    for (const value of known(line)) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  if (low > high) return { from: 0, to: 1 };
  if (low >= 0 && low < high * 0.5) low = 0;
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  return { from: low === 0 ? 0 : low - room, to: high + room };
}

/** Round values between two bounds, at most so many. */
export function steps(from: number, to: number, most: number): number[] {
  const least = (to - from) / Math.max(1, most);
  if (!(least > 0) || !Number.isFinite(least)) return [];
  const power = 10 ** Math.floor(Math.log10(least));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= least) ?? 10) * power;
  const found = [];
  for (let number = Math.ceil(from / step - 1e-9); number * step <= to + step * 1e-9; number += 1) found.push(Number((number * step).toPrecision(12)));
  return found;
}

const MINUTES = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080] as const;

/** Round moments between two, in milliseconds, at most so many; round in the zone that is shown. */
export function momentSteps(from: number, to: number, most: number, zone: Zone): number[] {
  const step = (MINUTES.find((minutes) => (to - from) / (minutes * 60_000) <= most) ?? 43_200) * 60_000;
  const shift = zone === "utc" ? 0 : -new Date(from).getTimezoneOffset() * 60_000;
  const found = [];
  for (let at = Math.ceil((from + shift) / step) * step - shift; at <= to; at += step) found.push(at);
  return found;
}

const rounded = (pixel: number): string => String(Math.round(pixel * 10) / 10);

/** The path of a line; it is broken where a value is missing, or where more than `gap_s` lie between two points. */
export function lineOf(time_s: readonly number[], values: readonly (number | null)[], x: Scale, y: Scale, gap_s = Number.POSITIVE_INFINITY): string {
  const parts: string[] = [];
  let before = Number.NEGATIVE_INFINITY;
  time_s.forEach((at, place) => {
    const value = values[place];
    if (value === null || value === undefined) {
      before = Number.NEGATIVE_INFINITY;
      return;
    }
    parts.push(`${at - before > gap_s || before === Number.NEGATIVE_INFINITY ? "M" : "L"}${rounded(on(x, at * 1000))} ${rounded(on(y, value))}`);
    before = at;
  });
  return parts.join("");
}

/** The paths that enclose a band, one for each unbroken piece. */
export function bandOf(band: Band, x: Scale, y: Scale): string {
  const pieces: number[][] = [[]];
  band.time_s.forEach((_, place) => {
    if (band.lower[place] === null || band.upper[place] === null) pieces.push([]);
    else (pieces.at(-1) as number[]).push(place);
  });
  const corner = (place: number, values: readonly (number | null)[]) => `${rounded(on(x, (band.time_s[place] as number) * 1000))} ${rounded(on(y, values[place] as number))}`;
  return pieces
    .filter((piece) => piece.length > 1)
    .map((piece) => `M${piece.map((place) => corner(place, band.upper)).join("L")}L${[...piece].reverse().map((place) => corner(place, band.lower)).join("L")}Z`)
    .join("");
}

/** The longest time between two points that is no gap: three of the common distance. */
export function gapOf(time_s: readonly number[]): number {
  const apart = time_s.slice(1).map((at, place) => at - (time_s[place] as number));
  apart.sort((one, other) => one - other);
  return 3 * (apart[Math.floor(apart.length / 2)] ?? Number.POSITIVE_INFINITY);
}

/** The place of the value that is nearest to a moment in seconds; -1 = there is none. */
export function nearest(time_s: readonly number[], at_s: number): number {
  let low = 0;
  let high = time_s.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((time_s[middle] as number) < at_s) low = middle + 1;
    else high = middle;
  }
  if (low > 0 && (low === time_s.length || at_s - (time_s[low - 1] as number) < (time_s[low] as number) - at_s)) low -= 1;
  return time_s.length ? low : -1;
}
