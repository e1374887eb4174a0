/** Which incident the keys are about, and which ones were chosen for something that is done to all of them. */

import { computed, signal } from "@preact/signals";
import { passes } from "../pure/urgency";
import { shownState } from "./deeds";
import { lineOf, order } from "./incidents";
import { query } from "./route";

/** the incident under the keys; "" = none yet */
export const selected = signal("");
/** ids with a tick */
export const chosen = signal<ReadonlySet<string>>(new Set());

export const filters = computed(() => ({
  state: query.value.state ?? "",
  severity: query.value.severity ?? "",
  service: query.value.service ?? "",
  text: query.value.text ?? "",
}));

/** ids that pass the filters, in order */
export const shown = computed<readonly string[]>(() => {
  const { state, severity, service, text } = filters.value;
  if (!state && !severity && !service && !text) return order.value;
  return order.value.filter((id) => {
    const line = lineOf(id)?.value;
    if (!line) return false;
    return passes({ ...line, state: state ? shownState(id, line.state) : line.state }, filters.value);
  });
});

export function select(id: string): void {
  selected.value = id;
}

export function toggle(id: string): void {
  const next = new Set(chosen.value);
  if (!next.delete(id)) next.add(id);
  chosen.value = next;
}

/** What is done next is done to these: the chosen ones, else the selected one. */
export function meant(): readonly string[] {
  const visible = new Set(shown.value);
  const all = [...chosen.value].filter((id) => visible.has(id));
  return all.length ? all : selected.value ? [selected.value] : [];
}

/** Move the selection and the focus by rows; returns whether there was a row. */
export function step(by: number): boolean {
  const ids = shown.value;
  if (!ids.length) return false;
  const at = ids.indexOf(selected.value);
  const next = ids[at < 0 ? (by > 0 ? 0 : ids.length - 1) : Math.max(0, Math.min(ids.length - 1, at + by))];
  return next !== undefined && focusRow(next);
}

export function focusRow(id: string): boolean {
  const link = document.querySelector<HTMLElement>(`li.row[data-id="${CSS.escape(id)}"] a`);
  link?.focus();
  link?.closest("li")?.scrollIntoView({ block: "nearest" });
  return link !== null;
}
