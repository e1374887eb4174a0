/** What a person has set for themselves in this browser. */

import { effect, signal } from "@preact/signals";
import type { Zone } from "../pure/format";

const kept = (name: string, otherwise: string): string => {
  try {
    return localStorage.getItem(`aiops.${name}`) ?? otherwise;
  } catch {
    return otherwise; // storage is switched off: nothing is kept
  }
};

export const zone = signal<Zone>(kept("zone", "local") === "utc" ? "utc" : "local");
export const keysOn = signal(kept("keys", "on") === "on");
/** "" = as the system prefers */
export const theme = signal(kept("theme", ""));

export function startPreferences(): void {
  keep("zone", () => zone.value);
  keep("keys", () => (keysOn.value ? "on" : "off"));
  keep("theme", () => theme.value);
  effect(() => {
    document.documentElement.style.colorScheme = theme.value || "light dark";
    document.documentElement.dataset.theme = theme.value;
  });
}

function keep(name: string, value: () => string): void {
  effect(() => {
    const text = value();
    try {
      localStorage.setItem(`aiops.${name}`, text);
    } catch {
      // storage is switched off: it holds until the page is left
    }
  });
}
