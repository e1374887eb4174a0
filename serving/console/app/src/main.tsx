/** Start of the console. */

import { render } from "preact";
import "./style.css";
import { flush } from "./state/deeds";
import { followEvents } from "./state/incidents";
import { startKeys } from "./state/keys";
import { startNetwork } from "./state/network";
import { startPreferences } from "./state/preferences";
import { startRouting } from "./state/route";
import { startTime } from "./state/time";
import { Act } from "./views/act";
import { Audit } from "./views/audit";
import { Explore } from "./views/explore";
import { Incident } from "./views/incident";
import { Quiet } from "./views/quiet";
import { Services } from "./views/services";
import { type Entry, Shell, useSession } from "./views/shell";

const ENTRIES: readonly Entry[] = [
  { view: "now", title: "Now", show: () => <></>, role: "viewer" },
  { view: "services", title: "Services", show: () => <Services />, role: "viewer" },
  { view: "explore", title: "Explore", show: () => <Explore />, role: "viewer" },
  { view: "act", title: "Act", show: () => <Act />, role: "viewer" },
  { view: "quiet", title: "Quiet", show: () => <Quiet />, role: "viewer" },
  { view: "audit", title: "Audit", show: () => <Audit />, role: "admin" },
];

function App() {
  useSession();
  return <Shell entries={ENTRIES} incident={(id) => <Incident id={id} />} />;
}

startPreferences();
startRouting();
startTime();
startKeys();
followEvents();
startNetwork();
addEventListener("pagehide", flush);
render(<App />, document.getElementById("app") as HTMLElement);
