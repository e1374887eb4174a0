/** Series of services on one axis of time: seen against expected, with what happened meanwhile. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { SeriesPage, SeriesPoints } from "../api/bodies";
import { explore, read, reasonOf } from "../api/client";
import { Plot } from "../parts/plot";
import { Fault, Name, Part, When } from "../parts/words";
import { counted } from "../pure/format";
import { exactly, type Favoured, type Mark, pickedOf, SHAPES } from "../pure/signals";

interface Given {
  services: readonly string[];
  favoured: readonly Favoured[];
  /** milliseconds */
  since: number;
  until: number;
  marks: readonly Mark[];
  /** read again every minute */
  live: boolean;
}

const EVERY_MS = 60_000;
const MOST = 6;
const POINTS = 400;

export function Signals({ services, favoured, since, until, marks, live }: Given) {
  const found = useSignal<readonly SeriesPoints[] | null>(null);
  const fault = useSignal("");
  const round = useSignal(0);
  const pointed = useSignal(0);
  const wanted = JSON.stringify([services, favoured, since, until]);
  useEffect(() => {
    const own = new AbortController();
    const load = async () => {
      try {
        const points = await pointsOf({ services, favoured, since, until }, own.signal);
        if (own.signal.aborted) return;
        found.value = points;
        fault.value = "";
      } catch (error) {
        if (!own.signal.aborted) fault.value = reasonOf(error);
      }
    };
    void load();
    const timer = live ? setInterval(() => document.hidden || void load(), EVERY_MS) : 0;
    return () => {
      own.abort();
      clearInterval(timer);
    };
  }, [wanted, live, round.value]);
  const seen = found.value;
  const within = marks.filter((mark) => Date.parse(mark.at) >= since && Date.parse(mark.at) <= until);
  return (
    <Part title="Signals" id="signals">
      <Fault text={fault.value && `Series are not known: ${fault.value}`} again={() => (round.value += 1)} />
      {seen === null && !fault.value && <p class="dim">Asking for its series …</p>}
      {seen && !seen.length && <p class="dim">No series of {services.length === 1 ? "this service" : "these services"} is scored.</p>}
      {seen && seen.length > 0 && (
        <p class="facts" aria-hidden="true">
          <span class="key seen">seen</span>
          <span class="key expected">expected, with its band</span>
          <span class="key anomaly">anomaly</span>
        </p>
      )}
      {seen?.map((data) => (
        <Plot key={data.series.series_id} data={data} since={since} until={until} marks={within} pointed={pointed} />
      ))}
      {within.length > 0 && <Marks marks={within} />}
    </Part>
  );
}

/** Each mark in words. */
function Marks({ marks }: { marks: readonly Mark[] }) {
  return (
    <details>
      <summary>
        {counted(marks.length, "mark")}: <span aria-hidden="true">{SHAPES.onset}</span> onset, <span aria-hidden="true">{SHAPES.opened}</span> opened, <span aria-hidden="true">{SHAPES.change}</span> changes,{" "}
        <span aria-hidden="true">{SHAPES.alert}</span> alerts, <span aria-hidden="true">{SHAPES.action}</span> actions
      </summary>
      <ul role="list">
        {marks.map((mark, place) => (
          <li key={place}>
            <span aria-hidden="true">{SHAPES[mark.kind]} </span>
            <When at={mark.at} />: <Name text={mark.text} most={200} />
          </li>
        ))}
      </ul>
    </details>
  );
}

async function pointsOf(wanted: Pick<Given, "services" | "favoured" | "since" | "until">, signal: AbortSignal): Promise<SeriesPoints[]> {
  const pages = await Promise.all(
    wanted.services.map((name) => read<SeriesPage>(explore(`/series?limit=200&service=${encodeURIComponent(exactly(name))}`), { signal })),
  );
  const picked = pages.flatMap((page, place) => pickedOf(wanted.services[place] ?? "", page.items, wanted.favoured)).slice(0, MOST);
  const range = new URLSearchParams({ since: new Date(wanted.since).toISOString(), until: new Date(wanted.until).toISOString(), points: String(POINTS) });
  const points = await Promise.all(picked.map((line) => read<SeriesPoints>(explore(`/series/${line.series_id}/points?${range}`), { signal })));
  return points.filter((one) => one.points.time_s.length > 0);
}
