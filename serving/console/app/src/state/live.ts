/** The stream of events: one connection, which comes back where it stood. */

import { signal } from "@preact/signals";
import { call, heard, incidents, session, silent } from "../api/client";
import { FrameReader } from "../pure/frames";

/** whether events arrive */
export const connected = signal(false);

export interface LiveEvent {
  kind: string;
  incident: string;
  data: Record<string, unknown>;
}

type Listener = (events: readonly LiveEvent[]) => void;

const listeners = new Set<Listener>();
const RETRY_MS = [500, 1000, 2000, 4000];
const SILENCE_MS = 40_000;
const SETTLE_MS = 250;
let abort: AbortController | null = null;
let last = "";
let wake = () => {};
let lose = () => {};
let resting = false;

export function onEvents(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Connect, and connect again whenever the connection ends; until the session does. */
export async function watch(): Promise<void> {
  stop();
  const own = (abort = new AbortController());
  last = "";
  for (let tries = 0; !own.signal.aborted && session.value; tries += 1) {
    try {
      await follow(own, () => {
        tries = 0;
      });
    } catch {
      // said by `connected` and by what silent holds: the loop tries again
    }
    if (own.signal.aborted) return;
    connected.value = false;
    await new Promise<void>((done) => {
      wake = done;
      if (!resting) setTimeout(done, RETRY_MS[Math.min(tries, RETRY_MS.length - 1)]);
    });
  }
}

/** Wait until events arrive, but not long: what is read after that misses none of them. */
export function settled(): Promise<void> {
  return new Promise((done) => {
    const end = onEvents((events) => events.some((event) => event.kind === "connected") && finish());
    const timer = setTimeout(() => finish(), SETTLE_MS);
    const finish = () => {
      end();
      clearTimeout(timer);
      done();
    };
    if (connected.value) finish();
  });
}

/** Let the connection go until `followAgain`: a browser has six to one address, and pages that nobody sees need none. */
export function rest(): void {
  resting = true;
  lose();
}

/** Give the present connection up, as it may be dead, and connect again at once. */
export function followAgain(): void {
  resting = false;
  lose();
  wake();
}

/** Connect again where the connection was let go. */
export function goOn(): void {
  if (resting) followAgain();
}

export function stop(): void {
  abort?.abort();
  abort = null;
  connected.value = false;
}

async function follow(own: AbortController, begun: () => void): Promise<void> {
  const lost = new AbortController();
  const either = AbortSignal.any([own.signal, lost.signal]);
  lose = () => lost.abort();
  const mute = () => {
    silent.value = true;
    lost.abort();
  };
  let watchdog = setTimeout(mute, SILENCE_MS);
  try {
    const answer = await call(incidents("/events"), { signal: either, headers: last ? { "last-event-id": last } : {} });
    begun();
    const fresh = !last;
    connected.value = true;
    if (fresh) tell([{ kind: "connected", incident: "", data: {} }]);
    const reader = new FrameReader();
    const stream = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
    if (!stream) return;
    for (let part = await stream.read(); !part.done; part = await stream.read()) {
      clearTimeout(watchdog);
      watchdog = setTimeout(mute, SILENCE_MS);
      heard();
      tell(eventsOf(reader, part.value));
    }
  } finally {
    clearTimeout(watchdog);
    if (!own.signal.aborted) connected.value = false;
  }
}

function eventsOf(reader: FrameReader, text: string): LiveEvent[] {
  const events: LiveEvent[] = [];
  for (const frame of reader.push(text)) {
    if (frame.id) last = frame.id;
    if (!frame.data && frame.event !== "reset") continue;
    const data = frame.data ? (JSON.parse(frame.data) as Record<string, unknown>) : {};
    events.push({ kind: frame.event, incident: String(data.incident_id ?? ""), data });
  }
  return events;
}

function tell(events: readonly LiveEvent[]): void {
  if (events.length) for (const listener of [...listeners]) listener(events);
}
