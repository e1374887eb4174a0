/** Numbers, times and names as people read them. Nothing here touches the page or the clock. */

export type Zone = "local" | "utc";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A span of time in its two largest units: "40 s", "3 min", "2 h 5 min", "4 d 3 h". */
export function span(milliseconds: number): string {
  const length = Math.max(0, milliseconds);
  if (length < MINUTE) return `${Math.floor(length / 1000)} s`;
  if (length < HOUR) return `${Math.floor(length / MINUTE)} min`;
  if (length < DAY) return two(Math.floor(length / HOUR), "h", Math.floor((length % HOUR) / MINUTE), "min");
  return two(Math.floor(length / DAY), "d", Math.floor((length % DAY) / HOUR), "h");
}

function two(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small ? `${large} ${largeUnit} ${small} ${smallUnit}` : `${large} ${largeUnit}`;
}

/** What is left until a deadline, to the second: "4:05", "1:02:09"; "over" when it has passed. */
export function countdown(until: string, now: number): string {
  const left = Math.ceil((Date.parse(until) - now) / 1000);
  if (!(left > 0)) return "over";
  const seconds = String(left % 60).padStart(2, "0");
  const minutes = Math.floor(left / 60);
  if (minutes < 60) return `${minutes}:${seconds}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${seconds}`;
}

/** A moment: the time of today, the day as well otherwise; with the zone's name where it is UTC. */
export function moment(at: string | number, zone: Zone, now: number): string {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return String(at);
  const options = { timeZone: zone === "utc" ? "UTC" : undefined };
  const day = (when: Date) => when.toLocaleDateString("en-GB", { ...options, day: "numeric", month: "short", year: "numeric" });
  const time = date.toLocaleTimeString("en-GB", { ...options, hour: "2-digit", minute: "2-digit" });
  const mark = zone === "utc" ? " UTC" : "";
  return day(date) === day(new Date(now)) ? `${time}${mark}` : `${day(date)} ${time}${mark}`;
}

/** A moment below an axis whose marks are so many seconds apart: the day at midnight and where marks are days, else the time. */
export function axisMark(at: number, zone: Zone, seconds: number): string {
  const date = new Date(at);
  const options = { timeZone: zone === "utc" ? "UTC" : undefined };
  const time = date.toLocaleTimeString("en-GB", { ...options, hour: "2-digit", minute: "2-digit", ...(seconds < 60 ? { second: "2-digit" } : {}) });
  return seconds >= 86_400 || /^00:00(:00)?$/.test(time) ? date.toLocaleDateString("en-GB", { ...options, day: "numeric", month: "short" }) : time;
}

/** A probability that never claims what it does not know: no 0 % and no 100 %. */
export function percent(probability: number): string {
  if (!Number.isFinite(probability)) return "unknown";
  if (probability < 0.01) return "below 1 %";
  if (probability > 0.99) return "above 99 %";
  return `${Math.round(probability * 100)} %`;
}

/** "1 alert", "1,200 alerts". */
export function counted(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString("en-GB")} ${number === 1 ? one : many}`;
}

/** A number with at most three digits that say something. */
export function figure(number: number): string {
  return Number.isFinite(number) ? number.toLocaleString("en-GB", { maximumSignificantDigits: 3 }) : "unknown";
}

// Marks that turn the direction of text or take no room; joiners stay, scripts and emoji need them.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

/** A text in which what cannot be seen is named: "a\u202eb" becomes "a⟨U+202E⟩b". */
export function legible(text: string): string {
  return text.replace(UNSEEN, (mark) => `⟨U+${mark.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

/** The beginning of a text, by whole characters; `cut` says whether something is missing. */
export function beginning(text: string, characters: number): { text: string; cut: boolean } {
  if (text.length <= characters) return { text, cut: false };
  let end = characters;
  const code = text.charCodeAt(end - 1);
  if (code >= 0xd800 && code <= 0xdbff) end -= 1;
  return { text: `${text.slice(0, end)}…`, cut: true };
}

/** A word of the API for people: "false_alarm" becomes "false alarm". */
export const words = (name: string): string => name.replaceAll("_", " ");

/** The address where it is one of the web, else nothing: never javascript:, data: or a relative path. */
export function webAddress(address: string | undefined | null): string {
  if (!address || !/^https?:\/\//i.test(address)) return "";
  try {
    return new URL(address).href;
  } catch {
    return "";
  }
}
