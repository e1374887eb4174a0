/** The windows that lie over the page: all commands, and the keys. */

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { logOut, may, reasonOf, session } from "../api/client";
import { legible } from "../pure/format";
import { VIEWS } from "../pure/place";
import { KEYS, deed, over } from "../state/keys";
import { lineOf, order } from "../state/incidents";
import { note } from "../state/notes";
import { keysOn, theme, zone } from "../state/preferences";
import { go } from "../state/route";

export function Dialogs() {
  if (over.value === "palette") return <Palette />;
  if (over.value === "help") return <Help />;
  return null;
}

function Window({ label, children }: { label: string; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-label={label}
      onClose={() => (over.value = "")}
      onClick={(event) => {
        if (event.target === dialog.current) over.value = "";
      }}
    >
      {children}
    </dialog>
  );
}

function Help() {
  return (
    <Window label="Keys">
      <h2>Keys</h2>
      <dl class="keys">
        {KEYS.map(([key, meaning]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
      <label>
        <input type="checkbox" checked={keysOn.value} onChange={(event) => (keysOn.value = event.currentTarget.checked)} /> single keys are on
      </label>
      <p>
        <button type="button" onClick={() => (over.value = "")}>
          Close
        </button>
      </p>
    </Window>
  );
}

interface Command {
  name: string;
  run: () => void;
}

const MOST = 12;

function commands(): Command[] {
  const views = (Object.keys(VIEWS) as (keyof typeof VIEWS)[]).filter((view) => view !== "audit" || may("admin"));
  const deeds: Command[] = may("operator")
    ? [
        { name: "Acknowledge the incident", run: () => void deed("acknowledge") },
        { name: "Mark the incident as mitigated", run: () => void deed("mitigate") },
        { name: "Resolve the incident", run: () => void deed("resolve") },
      ]
    : [];
  return [
    ...views.map((view) => ({ name: `Go to ${view.charAt(0).toUpperCase()}${view.slice(1)}`, run: () => go(view) })),
    { name: "Find a service", run: findService },
    ...deeds,
    { name: zone.value === "utc" ? "Show local times" : "Show times in UTC", run: () => (zone.value = zone.value === "utc" ? "local" : "utc") },
    { name: "Light colours", run: () => (theme.value = "light") },
    { name: "Dark colours", run: () => (theme.value = "dark") },
    { name: "Colours as the system prefers", run: () => (theme.value = "") },
    { name: keysOn.value ? "Switch single keys off" : "Switch single keys on", run: () => (keysOn.value = !keysOn.value) },
    { name: "Show the keys", run: () => (over.value = "help") },
    ...(session.value && session.value.subject !== "local"
      ? [{ name: "Log out", run: () => void logOut().catch((error: unknown) => note(reasonOf(error), true)) }]
      : []),
  ];
}

function findService(): void {
  go("services");
  const focus = (tries: number) => {
    const field = document.querySelector<HTMLElement>("#service-search");
    if (field) field.focus();
    else if (tries) setTimeout(() => focus(tries - 1), 100);
  };
  requestAnimationFrame(() => focus(50));
}

function fitting(text: string): Command[] {
  const parts = text.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (name: string) => parts.every((part) => name.toLowerCase().includes(part));
  const found = commands().filter((command) => fits(command.name));
  if (!parts.length) return found;
  for (const id of order.peek()) {
    if (found.length >= MOST) break;
    const line = lineOf(id)?.peek();
    const name = line ? `Open ${legible(line.anchor).slice(0, 60)}, ${line.severity}, ${id}` : "";
    if (name && fits(name)) found.push({ name, run: () => go("incident", id) });
  }
  return found;
}

function Palette() {
  const text = useSignal("");
  const at = useSignal(0);
  const found = fitting(text.value).slice(0, MOST);
  const place = Math.min(at.value, found.length - 1);
  const run = (command: Command | undefined) => {
    over.value = "";
    if (command) setTimeout(command.run);
  };
  const key = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown") at.value = Math.min(found.length - 1, place + 1);
    else if (event.key === "ArrowUp") at.value = Math.max(0, place - 1);
    else if (event.key === "Enter") run(found[place]);
    else return;
    event.preventDefault();
  };
  return (
    <Window label="Commands">
      <input
        type="text"
        class="wide"
        role="combobox"
        aria-expanded="true"
        aria-controls="commands"
        aria-activedescendant={found.length ? `command-${place}` : undefined}
        aria-label="Command, service or incident"
        placeholder="command, service or incident"
        autocomplete="off"
        value={text.value}
        onInput={(event) => {
          text.value = event.currentTarget.value;
          at.value = 0;
        }}
        onKeyDown={key}
      />
      <ul id="commands" role="listbox" aria-label="Commands">
        {found.map((command, number) => (
          <li key={command.name} id={`command-${number}`} role="option" aria-selected={number === place} onClick={() => run(command)}>
            <bdi>{command.name}</bdi>
          </li>
        ))}
      </ul>
      {!found.length && <p role="status">Nothing is called that.</p>}
    </Window>
  );
}
