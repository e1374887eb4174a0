/** Data that a view reads: kept while it is read again, with the reason where it could not be. */

import { useSignal, type Signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { read, reasonOf } from "../api/client";

export interface Loaded<Body> {
  data: Signal<Body | null>;
  fault: Signal<string>;
  again: () => void;
}

/** Read a path now, when it changes, and every `everyMs` while the page is seen (0 = only once). */
export function useLoaded<Body>(path: string, everyMs = 0): Loaded<Body> {
  const data = useSignal<Body | null>(null);
  const fault = useSignal("");
  const round = useSignal(0);
  useEffect(() => {
    const own = new AbortController();
    const load = async () => {
      try {
        const body = await read<Body>(path, { signal: own.signal });
        if (own.signal.aborted) return;
        data.value = body;
        fault.value = "";
      } catch (error) {
        if (!own.signal.aborted) fault.value = reasonOf(error);
      }
    };
    if (path) void load();
    const timer = path && everyMs ? setInterval(() => document.hidden || void load(), everyMs) : 0;
    return () => {
      own.abort();
      clearInterval(timer);
    };
  }, [path, everyMs, round.value]);
  return { data, fault, again: () => (round.value += 1) };
}

/** Whether this part has been painted once: what is read after that does not stand in the way of what is needed first. */
export function useAfterPaint(): boolean {
  const after = useSignal(false);
  useEffect(() => {
    let timer = 0;
    const frame = requestAnimationFrame(() => {
      timer = window.setTimeout(() => (after.value = true), 30);
    });
    return () => {
      cancelAnimationFrame(frame);
      clearTimeout(timer);
    };
  }, []);
  return after.value;
}

/** Marks the moment when something was first painted, for measurements. */
export function usePainted(name: string, there: boolean): void {
  useEffect(() => {
    if (there && !performance.getEntriesByName(name).length) requestAnimationFrame(() => setTimeout(() => performance.mark(name)));
  }, [there]);
}
