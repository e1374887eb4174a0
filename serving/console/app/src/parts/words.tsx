/** Small pieces that all views share: names, times, severities, refusals. */

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { beginning, legible, moment, span } from "../pure/format";
import { now } from "../state/time";
import { zone } from "../state/preferences";

const MOST = 120;

/** A name or text from outside: isolated, breakable, cut where it is long, and whole on demand. */
export function Name({ text, most = MOST, whole = true }: { text: string; most?: number; whole?: boolean }) {
  const open = useSignal(false);
  const { text: cut, cut: more } = beginning(legible(text), most);
  if (!more) return <bdi class="name">{cut}</bdi>;
  return (
    <>
      <bdi class="name">{open.value ? legible(text) : cut}</bdi>
      {whole && (
        <button type="button" class="quiet" aria-expanded={open.value} onClick={() => (open.value = !open.value)}>
          {open.value ? "less" : "whole text"}
        </button>
      )}
    </>
  );
}

/** Several names, the first ones of many. */
export function Names({ texts, most = 8 }: { texts: readonly string[]; most?: number }) {
  const open = useSignal(false);
  const shown = open.value ? texts : texts.slice(0, most);
  return (
    <span class="names">
      {shown.map((text) => (
        <Name key={text} text={text} most={60} />
      ))}
      {texts.length > most && (
        <button type="button" class="quiet" aria-expanded={open.value} onClick={() => (open.value = !open.value)}>
          {open.value ? "fewer" : `and ${(texts.length - most).toLocaleString("en-GB")} more`}
        </button>
      )}
    </span>
  );
}

const SHAPES: Record<string, string> = { critical: "▲", warning: "◆", info: "●" };

export function Severity({ severity }: { severity: string }) {
  return (
    <span class={`severity ${severity}`}>
      <span aria-hidden="true">{SHAPES[severity] ?? "●"}</span> {severity}
    </span>
  );
}

/** A moment in the chosen zone. */
export function When({ at }: { at: string }) {
  return (
    <time dateTime={at} title={at}>
      {moment(at, zone.value, now.value)}
    </time>
  );
}

/** How long ago something was. */
export function Age({ at, ago = false }: { at: string; ago?: boolean }) {
  const { value } = now;
  return (
    <time dateTime={at} title={moment(at, zone.value, value)}>
      {span(value - Date.parse(at))}
      {ago ? " ago" : ""}
    </time>
  );
}

/** What went wrong, with a way to try again. */
export function Fault({ text, again }: { text: string; again?: () => void }) {
  if (!text) return null;
  return (
    <p class="fault" role="alert">
      <span aria-hidden="true">⚠ </span>
      <Name text={text} most={400} />{" "}
      {again && (
        <button type="button" onClick={again}>
          Try again
        </button>
      )}
    </p>
  );
}

/** A part of a view with its heading. */
export function Part({ title, id, children, count }: { title: string; id?: string; children: ComponentChildren; count?: number | undefined }) {
  const heading = id ?? title.toLowerCase().replace(/[^a-z]+/g, "-");
  return (
    <section aria-labelledby={heading}>
      <h2 id={heading} tabIndex={-1}>
        {title}
        {count === undefined ? "" : <span class="count"> {count.toLocaleString("en-GB")}</span>}
      </h2>
      {children}
    </section>
  );
}
