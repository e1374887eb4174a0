/** What an incident was: a verdict, and what it would change before it is given. */

import { useSignal } from "@preact/signals";
import type { IncidentView, VerdictAnswer, VerdictBody } from "../api/bodies";
import { incidents, may, reasonOf, send } from "../api/client";
import { Fault, Name, Part, When } from "../parts/words";
import { words } from "../pure/format";
import { note } from "../state/notes";

const KINDS: readonly (readonly [VerdictBody["kind"], string])[] = [
  ["true", "it was real, and the cause is right"],
  ["wrong_cause", "it was real, but the cause is another"],
  ["false_alarm", "nothing was wrong"],
  ["duplicate", "it repeats another incident"],
];
const MOST_SERVICES = 40;

export function Verdict({ incident, done }: { incident: IncidentView; done: () => void }) {
  const last = incident.verdicts.at(-1);
  return (
    <Part title="Verdict" id="verdict">
      {last ? (
        <p>
          In force: <strong>{words(last.kind)}</strong>
          {last.right_cause ? (
            <>
              , the cause was <Name text={last.right_cause} />
            </>
          ) : null}
          , by <Name text={last.by} most={60} />, <When at={last.given_at} />
          {last.note ? (
            <>
              : <Name text={last.note} most={300} />
            </>
          ) : null}
        </p>
      ) : (
        <p class="dim">Nobody has said yet what it was.</p>
      )}
      {may("operator") ? <Form incident={incident} done={done} /> : <p class="dim">A verdict needs the role operator.</p>}
    </Part>
  );
}

function Form({ incident, done }: { incident: IncidentView; done: () => void }) {
  const draft = useSignal<VerdictBody>({ kind: "true" });
  const effects = useSignal<readonly string[] | null>(null);
  const fault = useSignal("");
  const path = incidents(`/incidents/${encodeURIComponent(incident.incident_id)}/verdict`);
  const set = (changes: Partial<VerdictBody>) => {
    draft.value = { ...draft.value, ...changes };
    effects.value = null;
  };
  const tried = (deed: () => Promise<void>) => async (event: Event) => {
    event.preventDefault();
    try {
      fault.value = "";
      await deed();
    } catch (error) {
      fault.value = reasonOf(error);
    }
  };
  const preview = tried(async () => {
    const answer = await send<VerdictAnswer>(`${path}?preview=true`, bodyOf(draft.value));
    const said = (answer.past?.sentences ?? []).filter(Boolean);
    effects.value = said.length ? said : ["It changes nothing that was learned."];
  });
  const give = tried(async () => {
    await send<VerdictAnswer>(path, bodyOf(draft.value));
    effects.value = null;
    note("The verdict is in force.");
    done();
  });
  return (
    <form class="panel stack" onSubmit={(event) => void preview(event)}>
      <Fields incident={incident} draft={draft.value} set={set} />
      <div class="buttons">
        <button type="submit">What would it change?</button>
        {effects.value && (
          <button type="button" class="main" onClick={(event) => void give(event)}>
            Give the verdict
          </button>
        )}
      </div>
      <div role="status">
        {effects.value && (
          <ul>
            {effects.value.map((text) => (
              <li key={text}>
                <Name text={text} most={400} />
              </li>
            ))}
          </ul>
        )}
      </div>
      <Fault text={fault.value} />
    </form>
  );
}

function Fields({ incident, draft, set }: { incident: IncidentView; draft: VerdictBody; set: (changes: Partial<VerdictBody>) => void }) {
  const candidates = [...new Set([...(incident.root_cause?.causes.map((cause) => cause.service) ?? []), ...incident.services])].slice(0, 200);
  const unrelated = draft.unrelated ?? [];
  const mark = (service: string, on: boolean) => set({ unrelated: on ? [...unrelated, service] : unrelated.filter((one) => one !== service) });
  return (
    <>
      <label>
        It was{" "}
        <select id="verdict-kind" value={draft.kind} onChange={(event) => set({ kind: event.currentTarget.value as VerdictBody["kind"] })}>
          {KINDS.map(([kind, meaning]) => (
            <option key={kind} value={kind}>
              {words(kind)}: {meaning}
            </option>
          ))}
        </select>
      </label>
      {draft.kind === "wrong_cause" && (
        <label>
          The right cause <input list="candidates" required maxLength={200} value={draft.right_cause ?? ""} onInput={(event) => set({ right_cause: event.currentTarget.value })} />
          <datalist id="candidates">
            {candidates.map((service) => (
              <option key={service} value={service} />
            ))}
          </datalist>
        </label>
      )}
      {draft.kind === "duplicate" && (
        <label>
          Id of the incident that it repeats <input required maxLength={200} value={draft.duplicate_of ?? ""} onInput={(event) => set({ duplicate_of: event.currentTarget.value })} />
        </label>
      )}
      {incident.services.length > 1 && (
        <details>
          <summary>Services that had nothing to do with it</summary>
          <ul role="list" class="ticks">
            {incident.services.slice(0, MOST_SERVICES).map((service) => (
              <li key={service}>
                <label>
                  <input type="checkbox" checked={unrelated.includes(service)} onChange={(event) => mark(service, event.currentTarget.checked)} /> <Name text={service} most={60} whole={false} />
                </label>
              </li>
            ))}
          </ul>
        </details>
      )}
      <label>
        Note <textarea rows={2} maxLength={2000} value={draft.note ?? ""} onInput={(event) => set({ note: event.currentTarget.value })} />
      </label>
    </>
  );
}

/** Only what goes with the kind. */
function bodyOf(draft: VerdictBody): VerdictBody {
  const { right_cause, duplicate_of, ...rest } = draft;
  return {
    ...rest,
    ...(draft.kind === "wrong_cause" && right_cause ? { right_cause } : {}),
    ...(draft.kind === "duplicate" && duplicate_of ? { duplicate_of } : {}),
  };
}
