/** Why: the cause with what speaks for it, what else it could be, and the picture. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { IncidentView, ReportList, RootCause, RootCauseReport } from "../api/bodies";
import { call, incidents, read, reasonOf } from "../api/client";
import { Fault, Name, Part, When } from "../parts/words";
import { counted, figure, percent } from "../pure/format";
import { linkTo } from "../state/route";

export function Cause({ incident }: { incident: IncidentView }) {
  const report = incident.root_cause;
  if (!report)
    return (
      <Part title="Cause">
        <p class="panel">It was not analysed yet.</p>
      </Part>
    );
  return (
    <>
      <Part title="Cause">
        <div class="panel">
          <Finding report={report} />
          <Alternatives report={report} />
          <p class="facts">
            <span>
              as of <When at={report.made_at} />
            </span>
            <span>
              from telemetry of <When at={report.window_start} /> to <When at={report.window_end} />
            </span>
          </p>
          <Answers incident={incident} />
          <Evidence id={incident.incident_id} madeAt={report.made_at} />
        </div>
      </Part>
      <Examples report={report} />
    </>
  );
}

function Finding({ report }: { report: RootCauseReport }) {
  const first = report.causes[0];
  const headline = report.false_alarm ? "Most probably a false alarm" : report.decided && first ? null : "Not decided";
  const undecided = report.would_decide ?? [];
  return (
    <>
      <p class="finding">
        <strong>
          {headline ?? (
            <>
              <Name text={first?.service ?? ""} />, {percent(first?.probability ?? Number.NaN)}
            </>
          )}
        </strong>
      </p>
      <p>
        <Name text={headline === null ? (first?.sentence ?? report.statement) : report.statement} most={600} />
      </p>
      {undecided.length > 0 && (
        <>
          <h3>What would decide it</h3>
          <ul>
            {undecided.map((text) => (
              <li key={text}>
                <Name text={text} most={300} />
              </li>
            ))}
          </ul>
        </>
      )}
      {first && !report.false_alarm && <Grounds cause={first} named={headline === null} />}
    </>
  );
}

/** What speaks for a cause. */
function Grounds({ cause, named }: { cause: RootCause; named: boolean }) {
  const { path = [], evidence = [], changes = [], levels = [] } = cause;
  if (!path.length && !evidence.length && !changes.length && !levels.length) return null;
  return (
    <>
      {!named && (
        <h3>
          What speaks for <Name text={cause.service} most={60} />
        </h3>
      )}
      {path.length > 1 && (
        <p>
          Path:{" "}
          {path.map((service, place) => (
            <span key={`${place}${service}`}>
              {place > 0 && <span aria-label="then"> → </span>}
              <a href={linkTo("services", "", { service })}>
                <Name text={service} most={60} whole={false} />
              </a>
            </span>
          ))}
        </p>
      )}
      {evidence.length > 0 && (
        <ul>
          {evidence.map((one) => (
            <li key={one.text}>
              <Name text={one.text} most={300} />
              <span class="dim">
                {" "}
                since <When at={one.since} />
              </span>
            </li>
          ))}
        </ul>
      )}
      {changes.length > 0 && (
        <>
          <h3>Changes just before</h3>
          <ul>
            {changes.map((one) => (
              <li key={one.change_id}>
                <When at={one.at} />: <Name text={`${one.kind} ${one.what ?? ""}`} most={200} />
                {one.source && (
                  <span class="dim">
                    {" "}
                    from <Name text={one.source} most={60} />
                  </span>
                )}
              </li>
            ))}
          </ul>
        </>
      )}
      {levels.length > 0 && <Levels levels={levels} />}
    </>
  );
}

function Levels({ levels }: { levels: NonNullable<RootCause["levels"]> }) {
  return (
    <details>
      <summary>How its metrics stand</summary>
      <div class="scroll" tabIndex={0} role="group" aria-label="Metrics of the cause">
        <table>
          <thead>
            <tr>
              <th scope="col">metric</th>
              <th scope="col">now</th>
              <th scope="col">usual</th>
              <th scope="col">limit</th>
            </tr>
          </thead>
          <tbody>
            {levels.map((one) => (
              <tr key={one.metric}>
                <th scope="row">
                  <Name text={one.metric} most={80} />
                </th>
                <td>{figure(one.now)}</td>
                <td>{figure(one.usual)}</td>
                <td>{one.limit == null ? "none" : figure(one.limit)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

function Alternatives({ report }: { report: RootCauseReport }) {
  const others = report.decided || report.false_alarm ? report.causes.slice(report.false_alarm ? 0 : 1) : report.causes;
  const none = report.none_probability ?? 0;
  if (!others.length && !none) return null;
  return (
    <details open={!report.decided}>
      <summary>{counted(others.length, "other candidate")}</summary>
      <ul>
        {others.map((cause) => (
          <li key={cause.service}>
            <Name text={cause.service} most={80} />, {percent(cause.probability)}
            {cause.sentence && (
              <>
                : <Name text={cause.sentence} most={240} />
              </>
            )}
          </li>
        ))}
        <li>none of the services that were looked at, {percent(none)}</li>
      </ul>
    </details>
  );
}

/** The picture of the analysis, drawn when it is asked for. It has a light ground of its own: its lines are drawn for one. */
function Evidence({ id, madeAt }: { id: string; madeAt: string }) {
  const open = useSignal(false);
  const address = useSignal("");
  const fault = useSignal("");
  const load = async (own: AbortSignal) => {
    try {
      const answer = await call(incidents(`/incidents/${encodeURIComponent(id)}/evidence.svg`), { signal: own });
      const next = URL.createObjectURL(await answer.blob());
      if (address.value) URL.revokeObjectURL(address.value);
      address.value = next;
      fault.value = "";
    } catch (error) {
      if (!own.aborted) fault.value = reasonOf(error);
    }
  };
  useEffect(() => {
    if (!open.value) return undefined;
    const own = new AbortController();
    void load(own.signal);
    return () => own.abort();
  }, [id, madeAt, open.value]);
  useEffect(() => () => URL.revokeObjectURL(address.value), []);
  return (
    <details onToggle={(event) => (open.value = event.currentTarget.open)}>
      <summary>Picture of the analysis</summary>
      <Fault text={fault.value} again={() => void load(new AbortController().signal)} />
      {address.value && (
        <figure class="evidence" tabIndex={0} role="group" aria-label="Picture of the analysis, scrolls sideways where the window is narrow">
          <img src={address.value} alt="Series of the services along the path, seen against their baseline. The text of the cause above says the same in words." />
        </figure>
      )}
    </details>
  );
}

function Examples({ report }: { report: RootCauseReport }) {
  const traces = report.examples ?? [];
  if (!traces.length) return null;
  return (
    <Part title="Example traces">
      <ul role="list">
        {traces.map((trace) => (
          <li key={trace.trace_id} class="card">
            <strong>{trace.role}</strong>: <Name text={`${trace.service} ${trace.operation}`} />, {figure(trace.duration_ms)} ms{" "}
            <code>
              <Name text={trace.trace_id} />
            </code>
            <p class="dim">
              waited for{" "}
              {[...trace.path.steps]
                .sort((one, other) => other.self_ms - one.self_ms)
                .slice(0, 3)
                .map((step, place) => (
                  <span key={place}>
                    {place > 0 && ", "}
                    <Name text={step.service} most={60} /> {figure(step.self_ms)} ms{step.failed ? " (failed)" : ""}
                  </span>
                ))}
            </p>
          </li>
        ))}
      </ul>
    </Part>
  );
}

/** Earlier answers, where they said something else. */
function Answers({ incident }: { incident: IncidentView }) {
  const reports = useSignal<readonly RootCauseReport[] | null>(null);
  const fault = useSignal("");
  const show = async () => {
    try {
      const { items } = await read<ReportList>(incidents(`/incidents/${encodeURIComponent(incident.incident_id)}/root_cause`));
      reports.value = items.filter((report, place) => report.statement !== items[place + 1]?.statement);
      fault.value = "";
    } catch (error) {
      fault.value = reasonOf(error);
    }
  };
  return (
    <details onToggle={(event) => event.currentTarget.open && void show()}>
      <summary>How the answer changed</summary>
      <Fault text={fault.value} />
      <ul>
        {(reports.value ?? []).map((report) => (
          <li key={report.made_at}>
            <When at={report.made_at} />: <Name text={report.statement} most={300} />
          </li>
        ))}
      </ul>
    </details>
  );
}
