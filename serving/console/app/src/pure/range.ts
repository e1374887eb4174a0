/** Ranges of time as people type them: "now-2h", "now", or a time of the calendar. */

export interface Range {
  from: number;
  to: number;
  /** it ends at the present and moves with it */
  live: boolean;
}

export const PRESETS: readonly (readonly [string, string])[] = [
  ["now-1h", "last hour"],
  ["now-6h", "last 6 hours"],
  ["now-24h", "last day"],
  ["now-7d", "last week"],
];
export const DEFAULT_FROM = "now-6h";
export const MOST_MS = 62 * 86_400_000;
const UNITS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** The moment that a text names, in milliseconds since 1970; null = it names none. A time without a zone is UTC. */
export function momentOf(text: string, now: number): number | null {
  const trimmed = text.trim();
  if (trimmed === "now") return now;
  const ago = /^now-(\d{1,6})([smhdw])$/.exec(trimmed);
  if (ago) return now - Number(ago[1]) * (UNITS[ago[2] ?? ""] ?? 0);
  const calendar = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?(Z|[+-]\d\d:\d\d)?$/.exec(trimmed);
  if (!calendar) return null;
  const at = Date.parse(trimmed.replace(" ", "T") + (calendar[1] || !/[T ]/.test(trimmed) ? "" : "Z"));
  return Number.isNaN(at) ? null : at;
}

/** The range that two texts name, or what is wrong with them. */
export function rangeOf(from: string, to: string, now: number): Range | string {
  const begin = momentOf(from || DEFAULT_FROM, now);
  const end = momentOf(to || "now", now);
  if (begin === null) return `"${from}" is no time: write now-2h, or 2026-05-04 12:00`;
  if (end === null) return `"${to}" is no time: write now, now-2h, or 2026-05-04 12:00`;
  if (begin >= end) return "The range begins after its end.";
  if (end - begin > MOST_MS) return `At most ${MOST_MS / 86_400_000} days are shown at once.`;
  return { from: begin, to: end, live: (to || "now") === "now" };
}
