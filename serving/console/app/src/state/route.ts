/** The address bar: what is looked at, with scroll positions that survive going back. */

import { computed, signal } from "@preact/signals";
import { tenant } from "../api/client";
import { addressOf, type Place, placeOf, type ViewName } from "../pure/place";

const here = (): Place => placeOf(location.pathname, location.search);

export const place = signal<Place>(here());
export const query = computed(() => place.value.query);

const scrolled = new Map<number, number>();
let entry = Number((history.state as { entry?: number } | null)?.entry ?? 0);
let newest = entry;

/** Go to a place; "back" leads to where it was left. */
export function go(view: ViewName, id = "", asked: Record<string, string> = {}): void {
  scrolled.set(entry, scrollY);
  const next: Place = { view, id, query: { ...asked, tenant: tenant.value } };
  newest = entry = newest + 1;
  history.pushState({ entry }, "", addressOf(next));
  place.value = here();
  scrollTo(0, 0);
}

/** Change the query of the present place so that "back" leads to what it was; nothing scrolls. */
export function visit(changes: Record<string, string>): void {
  const address = addressOf({ ...place.value, query: { ...place.value.query, ...changes } });
  if (address === location.pathname + location.search) return;
  scrolled.set(entry, scrollY);
  newest = entry = newest + 1;
  history.pushState({ entry }, "", address);
  place.value = here();
}

/** Change the query of the present place. The entry of the history stays the same. */
export function ask(changes: Record<string, string>): void {
  const next: Place = { ...place.value, query: { ...place.value.query, ...changes } };
  const address = addressOf(next);
  if (address === location.pathname + location.search) return;
  try {
    history.replaceState({ entry }, "", address);
  } catch {
    return; // the browser allows only so many changes in a time: the next one will do
  }
  place.value = here();
}

/** The address of a place, for links. */
export const linkTo = (view: ViewName, id = "", asked: Record<string, string> = {}): string =>
  addressOf({ view, id, query: { ...asked, tenant: tenant.value } });

/** The address of the present place for another tenant. */
export const addressFor = (name: string): string => addressOf({ ...place.value, query: { ...place.value.query, sel: "", tenant: name } });

export function startRouting(): void {
  history.scrollRestoration = "manual";
  tenant.value = place.value.query.tenant ?? "";
  history.replaceState({ entry }, "", location.pathname + location.search + location.hash);
  addEventListener("popstate", (event: PopStateEvent) => {
    scrolled.set(entry, scrollY);
    entry = Number((event.state as { entry?: number } | null)?.entry ?? 0);
    place.value = here();
    const top = scrolled.get(entry) ?? 0;
    requestAnimationFrame(() => scrollTo(0, top));
  });
  addEventListener("click", follow);
}

/** Links within the console change the view and load nothing. */
function follow(event: MouseEvent): void {
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  const aside = event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
  if (!link || aside || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
  if (link.pathname === location.pathname && link.search === location.search && link.hash) return;
  event.preventDefault();
  const next = placeOf(link.pathname, link.search);
  go(next.view, next.id, { ...next.query });
}
