/** Keys, where they are switched on; never while something is typed. */

import { signal } from "@preact/signals";
import { fits, type Verb } from "../pure/urgency";
import { act, undo } from "./deeds";
import { keysOn } from "./preferences";
import { go, place } from "./route";
import { chosen, meant, selected, step, toggle } from "./selection";

/** which window lies over the page */
export const over = signal<"" | "palette" | "help">("");
/** state of the incident that is looked at; "" = it is not known */
export const viewedState = signal("");

export const KEYS: readonly (readonly [string, string])[] = [
  ["j / k", "next, previous incident"],
  ["Enter", "open it"],
  ["a", "acknowledge it, or the chosen ones"],
  ["m", "mitigated"],
  ["r", "resolve"],
  ["v", "verdict"],
  ["x", "choose it, for several at once"],
  ["u", "undo what was done last"],
  ["/", "search"],
  ["?", "these keys"],
  ["Ctrl-K", "all commands"],
];

const VERBS: Record<string, Verb> = { a: "acknowledge", m: "mitigate", r: "resolve" };

export function startKeys(): void {
  addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      over.value = over.value === "palette" ? "" : "palette";
      return;
    }
    if (!keysOn.value || event.ctrlKey || event.metaKey || event.altKey || over.value || typed(event.target)) return;
    if (pressed(event.key, event.target)) event.preventDefault();
  });
}

/** Do what is bound to a key; returns whether something is. */
export function pressed(key: string, target: EventTarget | null = null): boolean {
  const verb = VERBS[key];
  if (verb) return deed(verb);
  if (key === "?") over.value = "help";
  else if (key === "/") search();
  else if (key === "u") return undo();
  else if (key === "v") verdict();
  else if (place.value.view !== "now") return false;
  else if (key === "j") return step(1);
  else if (key === "k") return step(-1);
  else if (key === "x" && selected.value) toggle(selected.value);
  else if (key === "Enter" && selected.value && !within(target)) go("incident", selected.value);
  else return false;
  return true;
}

/** Do something to what is looked at, or to what is chosen in the list. */
export function deed(verb: Verb): boolean {
  const { view, id } = place.value;
  if (view === "incident") {
    if (!fits(verb, viewedState.value)) return false;
    act(verb, [id], () => viewedState.value);
    return true;
  }
  if (view !== "now") return false;
  const ids = meant();
  act(verb, ids);
  chosen.value = new Set();
  return ids.length > 0;
}

function verdict(): void {
  const { view } = place.value;
  if (view === "now" && selected.value) go("incident", selected.value);
  requestAnimationFrame(() => {
    const heading = document.querySelector<HTMLElement>("#verdict");
    heading?.scrollIntoView({ block: "start" });
    document.querySelector<HTMLElement>("#verdict-kind")?.focus({ preventScroll: true });
  });
}

function search(): void {
  const field = () => [...document.querySelectorAll<HTMLInputElement>("input.search")].find((one) => one.offsetParent !== null);
  if (!field()) go("now");
  requestAnimationFrame(() => field()?.focus());
}

function typed(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !["checkbox", "radio", "button"].includes(target.type);
  return target.isContentEditable || ["TEXTAREA", "SELECT"].includes(target.tagName);
}

/** Whether Enter already does something where the focus is. */
const within = (target: EventTarget | null): boolean => target instanceof Element && target.closest("a, button, summary, input") !== null;

