/** What the browser says of the network, and of whether anybody looks at the page. */

import { incidents, read, silent } from "../api/client";
import { followAgain, goOn, rest } from "./live";

const UNSEEN_MS = 60_000;

export function startNetwork(): void {
  addEventListener("offline", () => {
    silent.value = true;
    followAgain();
  });
  addEventListener("online", () => {
    followAgain();
    void read(incidents("/held-back")).catch(() => undefined);
  });
  addEventListener("pagehide", rest);
  addEventListener("pageshow", goOn);
  let unseen = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(unseen);
    if (document.hidden) unseen = window.setTimeout(rest, UNSEEN_MS);
    else goOn();
  });
}
