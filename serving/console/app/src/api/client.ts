/** Calls of the console's own origin: the session and, behind it, the APIs. */

import { signal } from "@preact/signals";
import type { Problem, Session } from "./bodies";

/** undefined = not asked yet, null = nobody is logged in */
export const session = signal<Session | null | undefined>(undefined);
/** name of the tenant that is looked at; "" = the only one, or the default */
export const tenant = signal("");
/** when the API of incidents last answered, in milliseconds; 0 = it did not yet */
export const answeredAt = signal(0);
/** whether it, or all that is behind this page, does not answer */
export const silent = signal(false);

const TIMEOUT_MS = 20_000;
const NO_ANSWER = new Set([502, 503, 504]);

/** What was refused, in the API's words. `status` 0 = there was no answer. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    detail: string,
    readonly kind = "",
  ) {
    super(detail);
  }
}

export interface Asked {
  method?: "GET" | "POST" | "DELETE";
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** goes on when the page is left */
  keepalive?: boolean;
}

export const incidents = (path: string): string => `/api/incidents${path}`;
export const explore = (path: string): string => `/api/explore${path}`;
export const automation = (path: string): string => `/api/automation${path}`;

/** The answer to a call. Raises Refused; a 401 ends the session. */
export async function call(path: string, asked: Asked = {}): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, {
      method: asked.method ?? "GET",
      headers: headersOf(asked),
      body: asked.body === undefined ? null : JSON.stringify(asked.body),
      signal: asked.signal ?? AbortSignal.timeout(TIMEOUT_MS),
      credentials: "same-origin",
      cache: "no-store",
      keepalive: asked.keepalive ?? false,
    });
  } catch (error) {
    if (asked.signal?.aborted) throw error;
    silent.value = true;
    throw new Refused(0, "There is no answer.");
  }
  const first = path.startsWith(incidents("/"));
  if (answer.ok) {
    if (first) heard();
    return answer;
  }
  const problem = (await answer.json().catch(() => ({}))) as Partial<Problem>;
  if (answer.status === 401 && path !== "/session") session.value = null;
  if (first && NO_ANSWER.has(answer.status)) silent.value = true;
  throw new Refused(answer.status, wordsOf(problem) || `${answer.status} ${answer.statusText}`, (problem.type ?? "").split(":").pop());
}

/** Note that the API of incidents answered. */
export function heard(): void {
  answeredAt.value = Date.now();
  silent.value = false;
}

export const read = async <Body>(path: string, asked: Asked = {}): Promise<Body> => (await (await call(path, asked)).json()) as Body;

export const send = <Body>(path: string, body: unknown, asked: Asked = {}): Promise<Body> => read<Body>(path, { ...asked, method: "POST", body });

export const remove = async (path: string): Promise<void> => void (await call(path, { method: "DELETE" }));

/** What went wrong, for people. */
export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function headersOf(asked: Asked): Record<string, string> {
  const changes = asked.method !== undefined && asked.method !== "GET";
  return {
    ...(asked.body === undefined ? {} : { "content-type": "application/json" }),
    ...(tenant.value ? { "x-scope-orgid": tenant.value } : {}),
    ...(changes && session.value ? { "x-aiops-csrf": session.value.csrf } : {}),
    ...asked.headers,
  };
}

function wordsOf(problem: Partial<Problem>): string {
  const fix = problem.fix && !problem.detail?.includes(problem.fix) ? ` ${problem.fix}.` : "";
  return problem.detail ? problem.detail + fix : "";
}

const RANKS = { viewer: 1, operator: 2, admin: 3 };

/** Whether the session may do what needs a role. */
export const may = (role: keyof typeof RANKS): boolean => RANKS[session.value?.role ?? "viewer"] >= RANKS[role];

export async function askSession(): Promise<void> {
  try {
    session.value = await read<Session>("/session");
  } catch (error) {
    if (!(error instanceof Refused) || error.status === 401) session.value = null;
    else throw error;
  }
}

export async function logIn(token: string): Promise<void> {
  await call("/session", { method: "POST", body: { token } });
  await askSession();
}

export async function logOut(): Promise<void> {
  await remove("/session");
  session.value = null;
}
