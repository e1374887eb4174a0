/** What is looked at, as an address that shows a colleague the same. */

export const VIEWS = { now: "/", services: "/services", explore: "/explore", act: "/act", quiet: "/quiet", audit: "/audit" } as const;
export type ViewName = keyof typeof VIEWS | "incident" | "nowhere";

export interface Place {
  view: ViewName;
  /** id of the incident of the view "incident", else "" */
  id: string;
  /** the rest: filters, selection, tenant; without empty values */
  query: Readonly<Record<string, string>>;
}

/** The place that an address names. */
export function placeOf(path: string, search: string): Place {
  const query: Record<string, string> = {};
  for (const [name, value] of new URLSearchParams(search)) if (value) query[name] = value;
  const incident = /^\/(?:incidents|open)\/([^/]+)\/?$/.exec(path);
  if (incident) return { view: "incident", id: decoded(incident[1] ?? ""), query };
  const trimmed = path.length > 1 ? path.replace(/\/+$/, "") : path;
  const found = Object.entries(VIEWS).find(([, own]) => own === trimmed);
  return { view: found ? (found[0] as ViewName) : "nowhere", id: "", query };
}

/** The address of a place; names in order, so that one place has one address. */
export function addressOf(place: Place): string {
  const path = place.view === "incident" ? `/incidents/${encodeURIComponent(place.id)}` : place.view === "nowhere" ? "/" : VIEWS[place.view];
  const search = new URLSearchParams();
  for (const name of Object.keys(place.query).sort()) {
    const value = place.query[name];
    if (value) search.set(name, value);
  }
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
