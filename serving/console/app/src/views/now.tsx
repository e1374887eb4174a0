/** What is open now, the most urgent first, with what waits for a person beside it. */

import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { may } from "../api/client";
import { usePainted } from "../parts/loaded";
import { Fault } from "../parts/words";
import { counted } from "../pure/format";
import { OPEN_STATES, SEVERITIES } from "../pure/urgency";
import { act } from "../state/deeds";
import { fault, load, order, ready, total } from "../state/incidents";
import { ask, place, query } from "../state/route";
import { chosen, filters, focusRow, meant, selected, shown } from "../state/selection";
import { Aside } from "./aside";
import { Resolved } from "./resolved";
import { Row } from "./row";

const FIRST = 40;
const STEP = 160;

export function Now() {
  const resolved = filters.value.state === "resolved";
  return (
    <div class="now">
      <h1 tabIndex={-1}>Now</h1>
      <Aside />
      <div class="list-part">
        <Filters />
        <Fault text={fault.value} again={() => void load()} />
        {resolved ? <Resolved /> : <OpenList />}
      </div>
    </div>
  );
}

function Filters() {
  const { state, severity, service, text } = filters.value;
  const active = Boolean(state || severity || service || text);
  return (
    <form class="filters" role="search" aria-label="Filter incidents" onSubmit={(event) => event.preventDefault()}>
      <label>
        State{" "}
        <select value={state} onChange={(event) => ask({ state: event.currentTarget.value })}>
          <option value="">all open</option>
          {OPEN_STATES.map((name) => (
            <option key={name} value={name}>
              {name === "open" ? "not acknowledged" : name}
            </option>
          ))}
          <option value="resolved">resolved</option>
        </select>
      </label>
      <label>
        Severity{" "}
        <select value={severity} onChange={(event) => ask({ severity: event.currentTarget.value })}>
          <option value="">all</option>
          {SEVERITIES.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
      <label>
        Service <input type="search" size={14} value={service} onInput={(event) => ask({ service: event.currentTarget.value.trim() })} />
      </label>
      <label>
        Text <input type="search" id="search" class="search" size={18} value={text} onInput={(event) => ask({ text: event.currentTarget.value })} />
      </label>
      {active && (
        <button type="button" onClick={() => ask({ state: "", severity: "", service: "", text: "" })}>
          Clear filters
        </button>
      )}
    </form>
  );
}

function OpenList() {
  const ids = shown.value;
  const most = useSignal(FIRST);
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => {
    if (most.value >= ids.length) return undefined;
    const timer = setTimeout(() => (most.value = Math.min(ids.length, most.value + STEP)), 16);
    return () => clearTimeout(timer);
  }, [most.value, ids.length]);
  usePainted("first-incidents", ready.value && ids.length > 0);
  useKeptFocus(list.current, ids);
  useSelectionInAddress(most.value >= ids.length);
  if (!ready.value) return fault.value ? null : <p class="dim">Asking for incidents …</p>;
  return (
    <>
      <Bulk />
      {ids.length === 0 && <p class="empty">{order.value.length ? "No open incident passes these filters." : "No incident is open."}</p>}
      <ul class="rows" role="list" aria-label="Open incidents" ref={list}>
        {ids.slice(0, Math.max(most.value, FIRST)).map((id) => (
          <Row key={id} id={id} />
        ))}
      </ul>
    </>
  );
}

/** Said over the list: how many there are, and what can be done to the chosen ones. */
function Bulk() {
  const all = total.value ?? 0;
  const ids = shown.value;
  const ticked = [...chosen.value].filter((id) => ids.includes(id));
  const every = ids.length > 0 && ticked.length === ids.length;
  return (
    <div class="bulk">
      {ids.length > 0 && may("operator") && (
        <label>
          <input type="checkbox" checked={every} onChange={() => (chosen.value = new Set(every ? [] : ids))} /> all shown
        </label>
      )}
      <p role="status" id="total">
        {ids.length === all ? counted(all, "open incident") : `${ids.length.toLocaleString("en-GB")} of ${counted(all, "open incident")}`}
        {ticked.length > 0 && `, ${ticked.length.toLocaleString("en-GB")} chosen`}
      </p>
      {ticked.length > 0 && (
        <span class="buttons">
          <button type="button" class="main" onClick={() => doAll("acknowledge")}>
            Acknowledge chosen
          </button>
          <button type="button" onClick={() => doAll("resolve")}>
            Resolve chosen
          </button>
          <button type="button" onClick={() => (chosen.value = new Set())}>
            Choose none
          </button>
        </span>
      )}
    </div>
  );
}

function doAll(verb: "acknowledge" | "resolve"): void {
  act(verb, meant());
  chosen.value = new Set();
}

/** A row that moves in the list loses the focus in the browser's eyes: give it back. A row that leaves hands it to its successor. */
function useKeptFocus(list: HTMLElement | null, ids: readonly string[]): void {
  const before = useRef<readonly string[]>(ids);
  const inList = list?.contains(document.activeElement) ?? false;
  useLayoutEffect(() => {
    const old = before.current;
    before.current = ids;
    if (!inList || old === ids || list?.contains(document.activeElement)) return;
    const at = old.indexOf(selected.value);
    const next = ids.includes(selected.value) ? selected.value : (old.slice(at).find((id) => ids.includes(id)) ?? ids.at(-1));
    if (next) focusRow(next);
  }, [ids]);
}

/** The selected row stands in the address, and is selected again by it. */
function useSelectionInAddress(complete: boolean): void {
  const restored = useRef(false);
  useLayoutEffect(() => {
    const asked = query.value.sel;
    if (restored.current || !asked || selected.value || !shown.value.length) return;
    restored.current = focusRow(asked) || complete;
  });
  useEffect(() => {
    if (!selected.value || place.value.view !== "now") return undefined;
    const timer = setTimeout(() => place.value.view === "now" && ask({ sel: selected.value }), 250);
    return () => clearTimeout(timer);
  }, [selected.value]);
}
