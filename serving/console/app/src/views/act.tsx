/** Acting: what waits, what runs and what it asks, what runbooks have earned, and the switch that stops all of it. */

import { useSignal } from "@preact/signals";
import type { PlanLine, PlanPage, StandingList, StandingView, SwitchView } from "../api/bodies";
import { automation, may, read, reasonOf, send } from "../api/client";
import { useLoaded } from "../parts/loaded";
import { Fault, Name, Part, When } from "../parts/words";
import { percent, words } from "../pure/format";
import { note } from "../state/notes";
import { ask, query } from "../state/route";
import { ACTING, Plan } from "./plans";

const OFTEN_MS = 5000;
const SELDOM_MS = 30_000;
const RUN_STATES = ["cured", "undone", "unclear", "undo_failed", "failed", "refused", "expired", "stopped", ...ACTING] as const;

export function Act() {
  return (
    <>
      <h1 tabIndex={-1}>Act</h1>
      <Switch />
      <Waiting />
      <Acting />
      <Runs />
      <Earned />
    </>
  );
}

function Switch() {
  const { data, fault, again } = useLoaded<SwitchView>(automation("/switch"), OFTEN_MS);
  const view = data.value;
  return (
    <Part title="Kill switch" id="switch">
      <Fault text={fault.value} again={again} />
      {view && (
        <div class="panel">
          <p>
            <strong>{view.on ? "On: plans may begin." : `Off: nothing new begins; runs that act ${view.remainder || "stay as they are"}.`}</strong>
          </p>
          {view.changed_at && (
            <p class="dim">
              turned <When at={view.changed_at} /> by <Name text={view.by} most={60} />
              {view.note && (
                <>
                  : <Name text={view.note} most={200} />
                </>
              )}
            </p>
          )}
          {!view.bound && <p class="dim">Approvals are not bound to persons: names are only typed, as no tokens are asked for.</p>}
          {may("operator") ? <Turn view={view} done={(next) => (data.value = next)} /> : <p class="dim">To turn it needs the role operator.</p>}
        </div>
      )}
    </Part>
  );
}

function Turn({ view, done }: { view: SwitchView; done: (next: SwitchView) => void }) {
  const why = useSignal("");
  const running = useSignal("finish");
  const fault = useSignal("");
  const turn = async (event: Event) => {
    event.preventDefault();
    try {
      const body = { on: !view.on, note: why.value, ...(view.on ? { running: running.value } : {}) };
      done(await send<SwitchView>(automation("/switch"), body));
      note(view.on ? "Off: nothing new begins." : "On: plans may begin.");
      why.value = fault.value = "";
    } catch (error) {
      fault.value = reasonOf(error);
    }
  };
  return (
    <form class="filters" onSubmit={(event) => void turn(event)}>
      {view.on && (
        <label>
          Runs that act{" "}
          <select value={running.value} onChange={(event) => (running.value = event.currentTarget.value)}>
            <option value="finish">finish</option>
            <option value="undo">are undone</option>
            <option value="stop">stop where they are</option>
          </select>
        </label>
      )}
      <label>
        Why <input maxLength={500} value={why.value} onInput={(event) => (why.value = event.currentTarget.value)} />
      </label>
      <button type="submit" class={view.on ? "danger" : "main"}>
        {view.on ? "Turn off: stop all acting" : "Turn on"}
      </button>
      {view.acting.length > 0 && <span class="dim">{view.acting.length} runs act now</span>}
      <Fault text={fault.value} />
    </form>
  );
}

function Waiting() {
  const { data, fault, again } = useLoaded<PlanPage>(automation("/plans?state=waiting&limit=50"), OFTEN_MS);
  const items = data.value?.items ?? [];
  return (
    <Part title="Waits for approval" id="waiting" count={data.value ? items.length : undefined}>
      <Fault text={fault.value} again={again} />
      {data.value && !items.length && <p class="dim">No plan waits.</p>}
      {items.map((line) => (
        <Line key={line.plan_id} line={line} open />
      ))}
    </Part>
  );
}

function Acting() {
  const states = ACTING.map((state) => `state=${state}`).join("&");
  const { data, fault, again } = useLoaded<PlanPage>(automation(`/runs?limit=50&${states}`), OFTEN_MS);
  const items = data.value?.items ?? [];
  return (
    <Part title="Acts now" id="acting" count={data.value ? items.length : undefined}>
      <Fault text={fault.value} again={again} />
      {data.value && !items.length && <p class="dim">No run acts, and none asks anything.</p>}
      {items.map((line) => (
        <Line key={line.plan_id} line={line} open />
      ))}
    </Part>
  );
}

function Line({ line, open = false }: { line: PlanLine; open?: boolean }) {
  const shown = useSignal(open);
  return (
    <details class="card" open={open} onToggle={(event) => (shown.value = event.currentTarget.open)}>
      <summary>
        <Name text={line.title} most={100} whole={false} /> <span class="dim">on</span> <Name text={line.services.join(", ")} most={80} whole={false} />,{" "}
        <span class={`state ${line.state}`}>{words(line.state)}</span>{" "}
        <span class="dim">
          <When at={line.changed_at} />
        </span>
      </summary>
      {shown.value && <Plan id={line.plan_id} incident />}
    </details>
  );
}

function Runs() {
  const state = query.value.run ?? "";
  const filter = state ? `&state=${encodeURIComponent(state)}` : "";
  const { data, fault, again } = useLoaded<PlanPage>(automation(`/runs?limit=50${filter}`), SELDOM_MS);
  const more = useSignal<{ of: PlanPage | null; items: readonly PlanLine[]; next: string }>({ of: null, items: [], next: "" });
  const page = data.value;
  const own = more.value.of === page ? more.value : { of: page, items: [], next: page?.next_cursor ?? "" };
  const go = async () => {
    try {
      const next = await read<PlanPage>(automation(`/runs?limit=50${filter}&cursor=${encodeURIComponent(own.next)}`));
      more.value = { of: page, items: [...own.items, ...next.items], next: next.next_cursor };
    } catch (error) {
      note(reasonOf(error), true);
    }
  };
  return (
    <Part title="Runs" id="runs">
      <label>
        State{" "}
        <select value={state} onChange={(event) => ask({ run: event.currentTarget.value })}>
          <option value="">all</option>
          {RUN_STATES.map((name) => (
            <option key={name} value={name}>
              {words(name)}
            </option>
          ))}
        </select>
      </label>
      <Fault text={fault.value} again={again} />
      {page && !page.items.length && <p class="dim">No run is kept{state ? " in this state" : ""}.</p>}
      {[...(page?.items ?? []), ...own.items].map((line) => (
        <Line key={line.plan_id} line={line} />
      ))}
      {own.next && (
        <button type="button" onClick={() => void go()}>
          Show more
        </button>
      )}
    </Part>
  );
}

function Earned() {
  const { data, fault, again } = useLoaded<StandingList>(automation("/earned"), SELDOM_MS);
  const items = data.value?.items ?? [];
  return (
    <Part title="What runbooks have earned" id="earned" count={data.value ? items.length : undefined}>
      <p class="dim">A runbook that has cured a service often enough may run on it without being asked. A run that is undone or unclear takes that away.</p>
      <Fault text={fault.value} again={again} />
      {items.length > 0 && (
        <div class="scroll" tabIndex={0} role="group" aria-label="What runbooks have earned">
          <table>
            <thead>
              <tr>
                <th scope="col">runbook</th>
                <th scope="col">service</th>
                <th scope="col">cures</th>
                <th scope="col">at least</th>
                <th scope="col">runs alone</th>
                {may("operator") && <th scope="col">hold</th>}
              </tr>
            </thead>
            <tbody>
              {items.map((one) => (
                <Standing key={`${one.runbook}\n${one.service}\n${one.actions.join()}`} one={one} done={(next) => (data.value = next)} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Part>
  );
}

function Standing({ one, done }: { one: StandingView; done: (next: StandingList) => void }) {
  const hold = async () => {
    try {
      done(await send<StandingList>(automation("/earned/hold"), { runbook: one.runbook, service: one.service, held: !one.held_by }));
    } catch (error) {
      note(reasonOf(error), true);
    }
  };
  return (
    <tr>
      <th scope="row">
        <Name text={one.runbook} most={60} />
      </th>
      <td>
        <Name text={one.service} most={60} />
      </td>
      <td>
        {one.cures} of {one.runs}
      </td>
      <td>{one.runs ? percent(one.lower) : "unknown"}</td>
      <td>
        {one.held_by ? (
          <>
            held back by <Name text={one.held_by} most={60} /> {one.held_note && <Name text={one.held_note} most={120} />}
          </>
        ) : one.refusal ? (
          <>
            no: <Name text={one.refusal} most={200} />
          </>
        ) : (
          "nothing is known against it"
        )}
      </td>
      {may("operator") && (
        <td>
          <button type="button" onClick={() => void hold()} aria-label={`${one.held_by ? "Hold no longer" : "Hold back"}: ${one.runbook} on ${one.service}`.slice(0, 160)}>
            {one.held_by ? "Hold no longer" : "Hold back"}
          </button>
        </td>
      )}
    </tr>
  );
}

