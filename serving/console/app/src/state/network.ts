/** What the browser says of the network. */

import { incidents, read, silent } from "../api/client";
import { followAgain } from "./live";

export function startNetwork(): void {
  addEventListener("offline", () => {
    silent.value = true;
  });
  addEventListener("online", () => {
    followAgain();
    void read(incidents("/held-back")).catch(() => undefined);
  });
}
