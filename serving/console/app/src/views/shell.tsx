/** The frame around all views: where one is, whose data it is, whether it is fresh. */

import { effect } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { answeredAt, askSession, logOut, may, reasonOf, session, silent, tenant } from "../api/client";
import { Dialogs } from "../parts/dialogs";
import { legible, moment } from "../pure/format";
import type { ViewName } from "../pure/place";
import { forget, lineOf, load, order, ready } from "../state/incidents";
import { keysOn, zone } from "../state/preferences";
import { over } from "../state/keys";
import { settled, watch } from "../state/live";
import { announced, close, note, notes } from "../state/notes";
import { addressFor, linkTo, place } from "../state/route";
import { second } from "../state/time";
import { Login } from "./login";
import { Now } from "./now";

export interface Entry {
  view: ViewName;
  title: string;
  show: () => JSX.Element;
  role: "viewer" | "admin";
}

export function Shell({ entries, incident }: { entries: readonly Entry[]; incident: (id: string) => JSX.Element }) {
  const { view, id } = place.value;
  const entry = entries.find((one) => one.view === view);
  useTitle(entry?.title ?? (view === "incident" ? `Incident ${legible(id).slice(0, 60)}` : "aiops"));
  const known = session.value;
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header>
        <a class="brand" href={linkTo("now")}>
          aiops
        </a>
        {known && <Views entries={entries} />}
        <Settings />
      </header>
      <Stale />
      <main id="main" tabIndex={-1}>
        {known === undefined && <p class="dim">{silent.value ? "There is no answer. Trying again." : "Asking who is logged in …"}</p>}
        {known === null && <Login />}
        {known && (
          <>
            <div hidden={view !== "now"}>
              <Now />
            </div>
            {view === "incident" && incident(id)}
            {view !== "now" && entry?.show()}
            {view === "nowhere" && (
              <>
                <h1>There is nothing at this address</h1>
                <p>
                  <a href={linkTo("now")}>Open incidents</a>
                </p>
              </>
            )}
          </>
        )}
      </main>
      <p role="status" aria-live="polite" class="unseen" id="announced">
        {announced.value}
      </p>
      <Notes />
      <Dialogs />
    </>
  );
}

function Views({ entries }: { entries: readonly Entry[] }) {
  const { view } = place.value;
  return (
    <nav aria-label="Views">
      {entries
        .filter((entry) => may(entry.role))
        .map((entry) => (
          <a key={entry.view} href={linkTo(entry.view)} aria-current={entry.view === view ? "page" : undefined}>
            {entry.title}
          </a>
        ))}
    </nav>
  );
}

function Settings() {
  const known = session.value;
  return (
    <div class="settings">
      {known && <Tenants tenants={known.tenants} />}
      <button type="button" onClick={() => (over.value = "palette")} aria-keyshortcuts="Control+K">
        Commands
      </button>
      <button type="button" onClick={() => (zone.value = zone.value === "utc" ? "local" : "utc")} title="Which zone times are shown in">
        {zone.value === "utc" ? "UTC" : "local time"}
      </button>
      {keysOn.value ? null : (
        <button type="button" onClick={() => (over.value = "help")}>
          Keys are off
        </button>
      )}
      {known && (
        <span class="who">
          <bdi>{legible(known.subject).slice(0, 40)}</bdi>, {known.role}
        </span>
      )}
      {known && known.subject !== "local" && (
        <button type="button" onClick={() => void logOut().catch((error: unknown) => note(reasonOf(error), true))}>
          Log out
        </button>
      )}
    </div>
  );
}

function Tenants({ tenants }: { tenants: readonly string[] | null }) {
  if (tenants !== null && tenants.length < 2) return null;
  const change = (name: string) => {
    location.assign(addressFor(name));
  };
  if (tenants === null)
    return (
      <form
        onSubmit={(event) => {
          event.preventDefault();
          change(String(new FormData(event.currentTarget).get("tenant") ?? "").trim());
        }}
      >
        <label>
          Tenant <input name="tenant" size={10} placeholder="default" defaultValue={tenant.value} />
        </label>
      </form>
    );
  return (
    <label>
      Tenant{" "}
      <select value={tenant.value} onChange={(event) => change(event.currentTarget.value)}>
        {!tenants.includes(tenant.value) && <option value={tenant.value}>{tenant.value || "choose"}</option>}
        {tenants.map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
    </label>
  );
}

/** Says that what is shown is old, for as long as nothing answers. */
function Stale() {
  if (!silent.value || session.value === null) return null;
  const since = answeredAt.value ? `Data is as of ${moment(answeredAt.value, zone.value, second.value)}: the API does not answer.` : "The API does not answer.";
  return (
    <p class="stale" role="alert">
      <span aria-hidden="true">⚠ </span>
      {since} What is shown may have changed since.
    </p>
  );
}

function Notes() {
  return (
    <div class="notes" role="region" aria-label="Notes">
      {notes.value.map((one) => (
        <div key={one.id} class={one.bad ? "note bad" : "note"} role={one.bad ? "alert" : undefined}>
          <bdi>{legible(one.text).slice(0, 600)}</bdi>
          {one.undo && (
            <button type="button" class="main" onClick={one.undo}>
              Undo
            </button>
          )}
          {!one.undo && (
            <button type="button" onClick={() => close(one.id)}>
              Close
            </button>
          )}
        </div>
      ))}
    </div>
  );
}

/** A new view is announced by its title, which also counts what nobody has acknowledged; and the focus goes to its heading; back leads the focus to where it was. */
function useTitle(title: string): void {
  const first = useRef(true);
  useEffect(
    () =>
      effect(() => {
        const waiting = order.value.filter((id) => lineOf(id)?.value.state === "open").length;
        document.title = `${waiting ? `(${waiting}) ` : ""}${title === "aiops" ? title : `${title} · aiops`}`;
      }),
    [title],
  );
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    const back = document.querySelector<HTMLElement>("main > :not([hidden]) li.row.selected a, main > :not([hidden]) h1");
    back?.focus({ preventScroll: true });
  }, [title]);
}

/** Ask who is logged in, and begin with their data; again whenever that changes. */
export function useSession(): void {
  const subject = session.value ? session.value.subject : session.value;
  useEffect(() => {
    if (subject === undefined) {
      let over = false;
      const asking = async () => {
        while (!over && session.value === undefined) {
          await askSession().catch(() => new Promise((done) => setTimeout(done, 2000)));
        }
      };
      void asking();
      return () => {
        over = true;
      };
    }
    if (subject === null) {
      forget();
      return undefined;
    }
    void watch();
    void settled().then(() => (ready.value ? undefined : load()));
    return undefined;
  }, [subject]);
}
