/** Any series over any range, with what was expected of it and what was detected. */

import { useComputed, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { DetectionMark, SeriesLine, SeriesPage, SeriesPoints } from "../api/bodies";
import { explore } from "../api/client";
import { Chart } from "../parts/chart";
import { useLoaded } from "../parts/loaded";
import { Fault, Name, Part, When } from "../parts/words";
import { columnsOf, extremesOf } from "../pure/columns";
import { counted, figure } from "../pure/format";
import { DEFAULT_FROM, PRESETS, type Range, rangeOf } from "../pure/range";
import { ask, query } from "../state/route";
import { now } from "../state/time";

const MOST_SHOWN = 6;
const MOST_MARKS = 8;
const LISTED = 50;
const POINTS = 600;
const HOUR_MS = 3_600_000;
const DAY_S = 86_400;

const idsShown = (): readonly string[] => (query.value.s ?? "").split(",").filter(Boolean);

export function Explore() {
  const ids = idsShown();
  const range = rangeOf(query.value.from ?? "", query.value.to ?? "", now.value);
  return (
    <>
      <h1 tabIndex={-1}>Explore</h1>
      <RangePicker fault={typeof range === "string" ? range : ""} />
      <div class="explore">
        <Choice ids={ids} />
        <div>
          {ids.length === 0 && <p class="empty">Choose a series: it is shown with its band and what was detected.</p>}
          {typeof range !== "string" && ids.map((id) => <Shown key={id} id={id} range={range} />)}
        </div>
      </div>
    </>
  );
}

function RangePicker({ fault }: { fault: string }) {
  const { from = DEFAULT_FROM, to = "now", cmp = "" } = query.value;
  return (
    <form class="filters range" aria-label="Range of time" onSubmit={(event) => event.preventDefault()}>
      <label>
        From <input size={18} value={from} onChange={(event) => ask({ from: event.currentTarget.value })} />
      </label>
      <label>
        To <input size={18} value={to} onChange={(event) => ask({ to: event.currentTarget.value })} />
      </label>
      {PRESETS.map(([start, name]) => (
        <button key={start} type="button" aria-pressed={from === start && to === "now"} onClick={() => ask({ from: start, to: "" })}>
          {name}
        </button>
      ))}
      <label>
        Compare with{" "}
        <select value={cmp} onChange={(event) => ask({ cmp: event.currentTarget.value })}>
          <option value="">nothing</option>
          <option value="1">the day before</option>
          <option value="7">the week before</option>
        </select>
      </label>
      {fault && <Fault text={fault} />}
    </form>
  );
}

function Choice({ ids }: { ids: readonly string[] }) {
  const text = query.value.text ?? "";
  const path = useSignal(listOf(text));
  useEffect(() => {
    const timer = setTimeout(() => (path.value = listOf(text)), 200);
    return () => clearTimeout(timer);
  }, [text]);
  const { data, fault, again } = useLoaded<SeriesPage>(path.value);
  const page = data.value;
  return (
    <Part title="Series" count={page?.total}>
      <label>
        Part of service, metric or labels
        <input type="search" class="wide search" value={text} onInput={(event) => ask({ text: event.currentTarget.value })} />
      </label>
      <Fault text={fault.value} again={again} />
      <ul class="series" role="list" aria-label="Series to choose from">
        {page?.items.map((one) => (
          <li key={one.series_id}>
            <label>
              <input
                type="checkbox"
                checked={ids.includes(one.series_id)}
                disabled={!ids.includes(one.series_id) && ids.length >= MOST_SHOWN}
                onChange={() => toggle(ids, one.series_id)}
              />{" "}
              <Name text={one.name} most={110} whole={false} />
            </label>
          </li>
        ))}
      </ul>
      {page && page.total > page.items.length && <p class="dim">{`The first ${page.items.length} of ${counted(page.total, "series", "series")}: write more of a name.`}</p>}
      {page && page.total === 0 && <p class="empty">{text ? "No series has this in its name." : "There are no series yet."}</p>}
    </Part>
  );
}

const listOf = (text: string): string => explore(`/series?limit=${LISTED}${text && `&text=${encodeURIComponent(text)}`}`);

function toggle(ids: readonly string[], id: string): void {
  ask({ s: (ids.includes(id) ? ids.filter((one) => one !== id) : [...ids, id]).join(",") });
}

function Shown({ id, range }: { id: string; range: Range }) {
  const series = useLoaded<SeriesLine>(explore(`/series/${encodeURIComponent(id)}`));
  const line = series.data.value;
  return (
    <section class="panel" aria-label={line?.name ?? id}>
      <div class="title">
        <strong>{line ? <Name text={line.name} most={160} /> : <span class="dim">{id}</span>}</strong>{" "}
        <button type="button" class="quiet" onClick={() => toggle(idsShown(), id)}>
          Remove
        </button>
      </div>
      <Fault text={series.fault.value} again={series.again} />
      {line && <Points line={line} range={range} />}
    </section>
  );
}

/** A live range ends at the last point where the series has been silent for long, as in a recording. */
function endOf(line: SeriesLine, range: Range): number {
  const last = line.last_at ? Date.parse(line.last_at) + 1 : range.to;
  return range.live && range.to - last > HOUR_MS ? last : range.to;
}

/** A live range moves with the present, and is read again as it does. */
function Points({ line, range }: { line: SeriesLine; range: Range }) {
  const end = endOf(line, range);
  const begin = end - (range.to - range.from);
  const offset = Number(query.value.cmp ?? 0) * DAY_S;
  const asked = new URLSearchParams({ since: new Date(begin).toISOString(), until: new Date(end).toISOString(), points: String(POINTS), offset_s: String(offset) });
  const { data, fault, again } = useLoaded<SeriesPoints>(explore(`/series/${encodeURIComponent(line.series_id)}/points?${asked}`));
  const columns = useComputed(() => (data.value ? columnsOf(data.value) : null)).value;
  const answer = data.value;
  return (
    <>
      <Fault text={fault.value} again={again} />
      {end !== range.to && <p class="dim">It is silent: the range ends at its last point.</p>}
      {answer && columns && (
        <>
          <Chart
            label={sentenceOf(answer)}
            columns={columns}
            marks={answer.detections}
            from={begin}
            to={end}
            onRange={(from, to) => ask({ from: new Date(from).toISOString(), to: new Date(to).toISOString() })}
          />
          <p class="facts">
            <span>{sentenceOf(answer)}</span>
            <span>{answer.band.time_s.length ? `band: ${answer.band.status}` : "no band was made for this range"}</span>
          </p>
          <Marks marks={answer.detections} />
        </>
      )}
    </>
  );
}

function sentenceOf(answer: SeriesPoints): string {
  const extremes = extremesOf(answer);
  const found = counted(answer.detections.length, "detection");
  if (!extremes) return `no points in this range, ${found} of its service`;
  const unit = answer.series.unit ? ` ${answer.series.unit}` : "";
  return `${figure(extremes.lowest)} to ${figure(extremes.highest)}${unit}, the newest ${figure(extremes.newest)}; ${found}`;
}

function Marks({ marks }: { marks: readonly DetectionMark[] }) {
  const newest = marks.slice(-MOST_MARKS).reverse();
  if (!newest.length) return null;
  return (
    <ul class="marks" role="list" aria-label="Detections, the newest first">
      {newest.map((mark) => (
        <li key={mark.detection_id}>
          <When at={mark.at} /> <Name text={mark.of_series ? mark.reason : `${mark.metric}: ${mark.reason}`} most={160} /> <span class="dim">tier {mark.tier}</span>
        </li>
      ))}
      {marks.length > newest.length && <li class="dim">and {(marks.length - newest.length).toLocaleString("en-GB")} earlier</li>}
    </ul>
  );
}
