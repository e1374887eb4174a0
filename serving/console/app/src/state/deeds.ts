/** What a person does to incidents: shown at once, sent after a moment in which it can be taken back, undone where it is refused. */

import { batch, signal } from "@preact/signals";
import { incidents, may, reasonOf, send } from "../api/client";
import type { IncidentView } from "../api/bodies";
import { counted } from "../pure/format";
import { fits, leadsTo, type Verb } from "../pure/urgency";
import { lineOf, refresh } from "./incidents";
import { announce, close, note } from "./notes";

/** what is shown of an incident before the API has said so, by its id */
export const pending = signal<ReadonlyMap<string, Verb>>(new Map());
/** told of each incident that was changed from here */
export const changed = signal("");

const TAKE_BACK_MS = 5000;
const AT_ONCE = 4;
const DONE: Record<Verb, string> = { acknowledge: "Acknowledged", mitigate: "Mitigated", resolve: "Resolved" };

interface Waiting {
  verb: Verb;
  ids: readonly string[];
  timer: number;
  noteId: number;
}

const waiting = new Set<Waiting>();

/** The state that is shown of an incident. */
export const shownState = (id: string, state: string): string => {
  const verb = pending.value.get(id);
  return verb && fits(verb, state) ? leadsTo(verb) : state;
};

/** Do something to incidents; those it does not fit are left out. `names`: what to call a single one. */
export function act(verb: Verb, ids: readonly string[], stateOf: (id: string) => string = stateOfLine): void {
  if (!may("operator")) {
    note("Your role may look, but not change incidents: that needs the role operator.", true);
    return;
  }
  const fitting = ids.filter((id) => fits(verb, stateOf(id)) && !pending.value.has(id));
  if (!fitting.length) return;
  mark(fitting, verb);
  const what = fitting.length === 1 ? (lineOf(fitting[0] as string)?.peek().anchor ?? fitting[0]) : counted(fitting.length, "incident");
  const deed: Waiting = { verb, ids: fitting, timer: 0, noteId: 0 };
  const text = `${DONE[verb]}: ${what}.`;
  deed.noteId = note(text, false, () => takeBack(deed));
  deed.timer = window.setTimeout(() => void carryOut(deed), TAKE_BACK_MS);
  waiting.add(deed);
  announce(`${text} Press u to undo.`);
}

/** Take back what was done last and was not sent yet. Returns whether there was something. */
export function undo(): boolean {
  const last = [...waiting].pop();
  if (last) takeBack(last);
  return last !== undefined;
}

/** Send at once what waits: the page is left. */
export function flush(): void {
  for (const deed of [...waiting]) void carryOut(deed, true);
}

function takeBack(deed: Waiting): void {
  if (!waiting.delete(deed)) return;
  clearTimeout(deed.timer);
  close(deed.noteId);
  unmark(deed.ids);
  announce("Undone.");
}

async function carryOut(deed: Waiting, leaving = false): Promise<void> {
  if (!waiting.delete(deed)) return;
  clearTimeout(deed.timer);
  close(deed.noteId);
  const left = [...deed.ids];
  const refused = new Map<string, string>();
  const worker = async () => {
    for (let id = left.shift(); id !== undefined; id = left.shift()) {
      try {
        await send<IncidentView>(incidents(`/incidents/${encodeURIComponent(id)}/${deed.verb}`), {}, { keepalive: leaving });
        changed.value = "";
        changed.value = id;
      } catch (error) {
        refused.set(id, reasonOf(error));
      }
      unmark([id], refused.has(id) ? 0 : 1500);
      refresh(id);
    }
  };
  await Promise.all(Array.from({ length: leaving ? deed.ids.length : AT_ONCE }, worker));
  if (refused.size) say(deed, refused);
}

function say(deed: Waiting, refused: ReadonlyMap<string, string>): void {
  const [reason = ""] = refused.values();
  const which = deed.ids.length === 1 ? "Nothing was changed" : `${refused.size} of ${counted(deed.ids.length, "incident")} stay as they were`;
  note(`${which}: ${reason}`, true);
}

function mark(ids: readonly string[], verb: Verb): void {
  const next = new Map(pending.value);
  for (const id of ids) next.set(id, verb);
  pending.value = next;
}

/** Show the truth again; after a success a little later, when it has been read. */
function unmark(ids: readonly string[], afterMs = 0): void {
  if (afterMs) {
    setTimeout(() => unmark(ids), afterMs);
    return;
  }
  batch(() => {
    const next = new Map(pending.value);
    for (const id of ids) next.delete(id);
    pending.value = next;
  });
}

const stateOfLine = (id: string): string => lineOf(id)?.peek().state ?? "";
