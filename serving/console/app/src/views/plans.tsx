/** Plans and runs: what would change, whom it reaches, how it is taken back; and a person's word on it. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { PlanPage, PlanView, QuestionView, StepView } from "../api/bodies";
import { automation, may, reasonOf, send } from "../api/client";
import { useLoaded } from "../parts/loaded";
import { Fault, Name, Names, Part, When } from "../parts/words";
import { counted, percent, words } from "../pure/format";
import { note } from "../state/notes";
import { linkTo } from "../state/route";
import { Countdown } from "./aside";

export const ACTING: readonly string[] = ["approved", "acting", "settling", "undoing", "checking"];
const LISTED_MS = 10_000;
const ACTING_MS = 3000;
const RESTING_MS = 20_000;
const OPEN_AT_ONCE = 3;

export function Plans({ incident }: { incident: string }) {
  const { data, fault, again } = useLoaded<PlanPage>(automation(`/plans?incident=${encodeURIComponent(incident)}&limit=50`), LISTED_MS);
  const items = data.value?.items ?? [];
  return (
    <Part title="Plans and runs" id="plans" count={data.value ? items.length : undefined}>
      <Fault text={fault.value && `Plans are not known: ${fault.value}`} again={again} />
      {data.value && !items.length && <p class="dim">No runbook has made a plan for it.</p>}
      {items.map((line, place) => (
        <details key={line.plan_id} open={place < OPEN_AT_ONCE} class="card">
          <summary>
            <Name text={line.title} most={100} whole={false} />, <span class={`state ${line.state}`}>{words(line.state)}</span>
          </summary>
          <Plan id={line.plan_id} />
        </details>
      ))}
    </Part>
  );
}

/** A plan as a whole, by its id. */
export function Plan({ id, incident = false }: { id: string; incident?: boolean }) {
  const everyMs = useSignal(ACTING_MS);
  const { data, fault, again } = useLoaded<PlanView>(automation(`/plans/${encodeURIComponent(id)}`), everyMs.value);
  const view = data.value;
  const busy = view !== null && (ACTING.includes(view.plan.state) || view.plan.state === "waiting");
  useEffect(() => {
    everyMs.value = busy || !view ? ACTING_MS : RESTING_MS;
  }, [busy]);
  return (
    <>
      <Fault text={fault.value} again={again} />
      {view && (
        <div class="plan">
          <Summary view={view} incident={incident} />
          <ol class="steps">
            {view.steps.map((step) => (
              <Step key={step.number} step={step} />
            ))}
          </ol>
          <Against view={view} />
          {view.plan.state === "waiting" && <Decision view={view} done={(next) => (data.value = next)} />}
          {view.question && <Question id={view.plan.plan_id} question={view.question} done={(next) => (data.value = next)} />}
          <Log view={view} />
        </div>
      )}
    </>
  );
}

function Summary({ view, incident }: { view: PlanView; incident: boolean }) {
  return (
    <>
      <p class="facts">
        <span>
          runbook <Name text={view.plan.runbook} most={60} />
        </span>
        <span>
          made <When at={view.plan.made_at} />
        </span>
        <span>cause {percent(view.probability)} sure</span>
        {view.plan.state === "waiting" && <Countdown until={view.plan.expires_at} />}
        {incident && (
          <a href={linkTo("incident", view.plan.incident_id)}>
            incident <Name text={view.plan.incident_id} most={40} whole={false} />
          </a>
        )}
      </p>
      {view.expected && (
        <p>
          Expected: <Name text={view.expected} most={300} />
        </p>
      )}
      <p>
        Reaches:{" "}
        {view.reach.length ? (
          <>
            <Names texts={view.reach} /> <span class="dim">(call what is acted on)</span>
          </>
        ) : (
          "no service is known to call what is acted on"
        )}
      </p>
      <p class="dim">
        {counted(view.standing.cures, "cure")} in {counted(view.standing.runs, "run")} on this service; {counted(view.runs_left, "more run")} allowed now
      </p>
    </>
  );
}

function Step({ step }: { step: StepView }) {
  return (
    <li>
      <p class="title">
        <strong>
          <Name text={step.action} most={60} />
        </strong>
        <Name text={step.target} most={120} />
        <span class="tag">{step.risk} risk</span>
        <span class={`state ${step.state}`}>{words(step.state)}</span>
      </p>
      {step.difference && (
        <pre class="difference">
          {step.difference.split("\n").map((line, place) => (
            <span key={place} class={line.startsWith("+") ? "added" : line.startsWith("-") ? "removed" : ""}>
              <Name text={line} most={400} />
              {"\n"}
            </span>
          ))}
        </pre>
      )}
      {step.effect && (
        <p>
          Effect: <Name text={step.effect} most={240} />
        </p>
      )}
      <p>{step.undo ? <Undo text={step.undo} /> : <strong>It cannot be taken back.</strong>}</p>
      {step.replica_share > 0 && <p class="dim">touches {percent(step.replica_share)} of the replicas at once</p>}
      {step.note && (
        <p>
          <Name text={step.note} most={300} />
        </p>
      )}
    </li>
  );
}

const Undo = ({ text }: { text: string }) => (
  <>
    Undo: <Name text={text} most={240} />
  </>
);

function Against({ view }: { view: PlanView }) {
  const broken = view.needs.filter((need) => !need.holds);
  if (!view.refusals.length && !broken.length) return null;
  return (
    <div class="fault">
      <strong>Speaks against it now</strong>
      <ul>
        {view.refusals.map((text) => (
          <li key={text}>
            <Name text={text} most={300} />
          </li>
        ))}
        {broken.map((need) => (
          <li key={need.that}>
            <Name text={`${need.that}: ${need.why}`} most={300} />
          </li>
        ))}
      </ul>
    </div>
  );
}

function Decision({ view, done }: { view: PlanView; done: (next: PlanView) => void }) {
  const said = useSignal("");
  const fault = useSignal("");
  const busy = useSignal(false);
  const role = (["viewer", "operator", "admin"] as const).find((name) => name === view.role) ?? "operator";
  if (!may("operator") || !may(role)) return <p class="dim">To approve it needs the role {role === "viewer" ? "operator" : role}.</p>;
  const decide = (verb: "approve" | "reject") => async () => {
    busy.value = true;
    try {
      const body = verb === "approve" ? { fingerprint: view.fingerprint, note: said.value } : { note: said.value };
      done(await send<PlanView>(automation(`/plans/${encodeURIComponent(view.plan.plan_id)}/${verb}`), body));
      note(verb === "approve" ? "The plan is approved." : "The plan is declined.");
    } catch (error) {
      fault.value = reasonOf(error);
    }
    busy.value = false;
  };
  return (
    <div class="decision">
      <label>
        Note <input class="wide" maxLength={500} value={said.value} onInput={(event) => (said.value = event.currentTarget.value)} />
      </label>
      {view.not_requester && (
        <p class="dim">
          Another person than <Name text={view.requested_by} most={60} /> has to approve it.
        </p>
      )}
      <div class="buttons">
        <button type="button" class="main" disabled={busy.value} onClick={() => void decide("approve")()}>
          Approve
        </button>
        <button type="button" disabled={busy.value} onClick={() => void decide("reject")()}>
          Decline
        </button>
        <span class="dim">
          fingerprint <code>{view.fingerprint.slice(0, 12)}</code>
        </span>
      </div>
      <Fault text={fault.value} />
    </div>
  );
}

/** What a run asks a person. */
export function Question({ id, question, done }: { id: string; question: QuestionView; done: (next: PlanView) => void }) {
  const answers = useSignal<Readonly<Record<string, string>>>({});
  const fault = useSignal("");
  const answer = (declined: boolean) => async (event: Event) => {
    event.preventDefault();
    try {
      done(await send<PlanView>(automation(`/runs/${encodeURIComponent(id)}/answer`), declined ? { declined } : { answers: answers.value }));
      note(declined ? "Declined: the run takes back what it did." : "Answered.");
    } catch (error) {
      fault.value = reasonOf(error);
    }
  };
  const set = (name: string, value: string) => (answers.value = { ...answers.value, [name]: value });
  return (
    <form class="question" onSubmit={(event) => void answer(false)(event)}>
      <p>
        <strong>It asks: </strong>
        <Name text={question.question} most={500} /> <Countdown until={question.until} />
      </p>
      {!may("operator") && <p class="dim">To answer needs the role operator.</p>}
      {may("operator") && (
        <>
          {question.fields.map((field) => (
            <label key={field.name}>
              <Name text={field.label || field.name} most={200} whole={false} />{" "}
              {field.choices.length || field.type === "yes_no" ? (
                <select required value={answers.value[field.name] ?? ""} onChange={(event) => set(field.name, event.currentTarget.value)}>
                  <option value="">choose</option>
                  {(field.choices.length ? field.choices : ["yes", "no"]).map((choice) => (
                    <option key={choice}>{choice}</option>
                  ))}
                </select>
              ) : (
                <input
                  required
                  inputMode={field.type === "number" ? "decimal" : "text"}
                  value={answers.value[field.name] ?? ""}
                  onInput={(event) => set(field.name, event.currentTarget.value)}
                />
              )}
            </label>
          ))}
          <div class="buttons">
            <button type="submit" class="main">
              {question.fields.length ? "Answer" : "Go on"}
            </button>
            <button type="button" onClick={(event) => void answer(true)(event)}>
              No: take it back
            </button>
          </div>
        </>
      )}
      <Fault text={fault.value} />
    </form>
  );
}

function Log({ view }: { view: PlanView }) {
  return (
    <details>
      <summary>Log, {counted(view.events.length, "line")}</summary>
      {view.approval && (
        <p>
          {view.approval.earned ? "Approved by nobody: the runbook has earned it" : <By by={view.approval.by} bound={view.approval.bound ?? false} />}, <When at={view.approval.at} />
        </p>
      )}
      <ol class="timeline">
        {view.events.map((event, place) => (
          <li key={place}>
            <When at={event.at} /> {words(event.state)}: <Name text={event.what} most={300} />
            {event.by && (
              <span class="dim">
                {" "}
                <Name text={event.by} most={60} />
              </span>
            )}
          </li>
        ))}
      </ol>
    </details>
  );
}

const By = ({ by, bound }: { by: string; bound: boolean }) => (
  <>
    Approved by <Name text={by} most={60} />
    {bound ? "" : " (a name that was only typed)"}
  </>
);
