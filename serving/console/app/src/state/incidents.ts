/** Open incidents: one signal each, so that a change repaints its own row and nothing else. */

import { batch, computed, type Signal, signal } from "@preact/signals";
import { incidents, read, reasonOf, Refused, session } from "../api/client";
import type { IncidentLine, IncidentPage } from "../api/bodies";
import { byUrgency, isOpen, OPEN_STATES } from "../pure/urgency";
import { announce } from "./notes";
import { connected, type LiveEvent, onEvents } from "./live";

const lines = new Map<string, Signal<IncidentLine>>();
/** ids of open incidents, the most urgent first */
export const order = signal<readonly string[]>([]);
/** how many there are by the API's own count; null = it has not said yet */
export const total = signal<number | null>(null);
/** why they could not be read; "" = they could */
export const fault = signal("");
export const ready = computed(() => total.value !== null);

/** as many an API of an earlier version gives at most */
const FEWER = 200;
const FEW = 8;
const GATHERED_MS = 60;
const AGAIN_MS = 4000;
let atOnce = 1000;
let touched = new Set<string>();
let timer = 0;
let loadedConnected: boolean | null = null;

export const lineOf = (id: string): Signal<IncidentLine> | undefined => lines.get(id);

/** Read all open incidents anew. */
export async function load(): Promise<void> {
  loadedConnected = connected.value;
  try {
    const found: IncidentLine[] = [];
    let page: IncidentPage = { items: [], next_cursor: "", total: 0 };
    do {
      const cursor = page.next_cursor ? `&cursor=${encodeURIComponent(page.next_cursor)}` : "";
      page = await read<IncidentPage>(incidents(`/incidents?limit=${atOnce}&${OPEN_STATES.map((state) => `state=${state}`).join("&")}${cursor}`));
      found.push(...page.items);
    } while (page.next_cursor);
    batch(() => {
      fault.value = "";
      replace(found);
      total.value = page.total;
    });
  } catch (error) {
    if (error instanceof Refused && error.status === 400 && atOnce > FEWER) {
      atOnce = FEWER;
      return load();
    }
    fault.value = reasonOf(error);
    setTimeout(() => fault.value && session.value && void load(), AGAIN_MS);
  }
}

/** Forget everything, for another tenant or session. */
export function forget(): void {
  batch(() => {
    loadedConnected = null;
    lines.clear();
    order.value = [];
    total.value = null;
    fault.value = "";
  });
}

/** Follow live events. Returns what ends it. */
export function followEvents(): () => void {
  return onEvents((events) => {
    for (const event of events) {
      if (event.kind === "reset" || (event.kind === "connected" && loadedConnected === false)) void load();
      else if (event.incident) note(event);
    }
  });
}

/** Read one incident's line again, as soon as others of the same moment are known. */
export function refresh(id: string): void {
  touched.add(id);
  timer ||= window.setTimeout(() => {
    timer = 0;
    const ids = [...touched];
    touched = new Set();
    void (ids.length > FEW ? load() : Promise.all(ids.map(reread)));
  }, GATHERED_MS);
}

function note(event: LiveEvent): void {
  if (event.kind === "opened") announce(`New ${String(event.data.severity ?? "")} incident at ${String(event.data.anchor ?? "an unknown service")}.`);
  refresh(event.incident);
}

async function reread(id: string): Promise<void> {
  try {
    const page = await read<IncidentPage>(incidents(`/incidents?limit=5&text=${encodeURIComponent(id)}`));
    const line = page.items.find((one) => one.incident_id === id);
    if (line) put(line);
  } catch (error) {
    fault.value = reasonOf(error);
  }
}

/** Take a line as the truth. */
export function put(line: IncidentLine): void {
  batch(() => {
    fault.value = "";
    const id = line.incident_id;
    const known = lines.get(id);
    if (!isOpen(line.state)) {
      if (!known) return;
      lines.delete(id);
      order.value = order.value.filter((one) => one !== id);
      total.value = Math.max(0, (total.value ?? 1) - 1);
      return;
    }
    const moved = !known || known.value.severity !== line.severity || known.value.opened_at !== line.opened_at;
    if (known) known.value = line;
    else {
      lines.set(id, signal(line));
      total.value = (total.value ?? 0) + 1;
    }
    if (moved) arrange();
  });
}

function replace(found: readonly IncidentLine[]): void {
  const kept = new Set(found.map((line) => line.incident_id));
  for (const id of [...lines.keys()]) if (!kept.has(id)) lines.delete(id);
  for (const line of found) {
    const known = lines.get(line.incident_id);
    if (!known) lines.set(line.incident_id, signal(line));
    else if (JSON.stringify(known.value) !== JSON.stringify(line)) known.value = line;
  }
  arrange();
}

function arrange(): void {
  const sorted = [...lines.values()].map((line) => line.peek()).sort(byUrgency);
  const ids = sorted.map((line) => line.incident_id);
  if (ids.length !== order.value.length || ids.some((id, place) => id !== order.value[place])) order.value = ids;
}
