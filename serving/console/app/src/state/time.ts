/** The present, as signals: what shows an age repaints only when the age may have changed. */

import { signal } from "@preact/signals";

/** to a quarter of a minute */
export const now = signal(Date.now());
/** to the second */
export const second = signal(Date.now());

export function startTime(): void {
  setInterval(() => {
    second.value = Date.now();
    if (second.value - now.value >= 15_000) now.value = second.value;
  }, 1000);
  document.addEventListener("visibilitychange", () => {
    second.value = now.value = Date.now();
  });
}
