/** What is said to a person: notes at the foot of the page, and announcements for screen readers. */

import { signal } from "@preact/signals";

export interface Note {
  id: number;
  text: string;
  bad: boolean;
  undo: (() => void) | null;
}

export const notes = signal<readonly Note[]>([]);
/** read out by screen readers */
export const announced = signal("");

const SHOWN_MS = 8000;
const GATHERED_MS = 400;
let number = 0;
let gathered: string[] = [];

/** Show a note; what went wrong stays until it is closed. Returns its id. */
export function note(text: string, bad = false, undo: (() => void) | null = null): number {
  const id = ++number;
  notes.value = [...notes.value.slice(-3), { id, text, bad, undo }];
  if (!bad && !undo) setTimeout(() => close(id), SHOWN_MS);
  return id;
}

export function close(id: number): void {
  notes.value = notes.value.filter((one) => one.id !== id);
}

/** Have a text read out, together with others of the same moment. */
export function announce(text: string): void {
  if (!gathered.length) {
    setTimeout(() => {
      const last = gathered.slice(0, 3).join(" ");
      announced.value = gathered.length > 3 ? `${last} And ${gathered.length - 3} more.` : last;
      gathered = [];
    }, GATHERED_MS);
  }
  gathered.push(text);
}
