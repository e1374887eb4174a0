/** Asks for a token where nobody is logged in. */

import { useSignal } from "@preact/signals";
import { logIn, reasonOf } from "../api/client";
import { Fault } from "../parts/words";

export function Login() {
  const token = useSignal("");
  const fault = useSignal("");
  const busy = useSignal(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    busy.value = true;
    try {
      fault.value = "";
      await logIn(token.value.trim());
    } catch (error) {
      fault.value = reasonOf(error);
    }
    busy.value = false;
  };
  return (
    <form class="login" onSubmit={(event) => void submit(event)}>
      <h1 tabIndex={-1}>Log in</h1>
      <p>
        Incidents are shown to those who have a token. <code>aiops tokens make NAME</code> makes one.
      </p>
      <label for="token">Token (JSON Web Token)</label>
      <input id="token" type="password" autocomplete="off" required value={token.value} onInput={(event) => (token.value = event.currentTarget.value)} />
      <button class="main" disabled={busy.value}>
        Log in
      </button>
      <Fault text={fault.value} />
    </form>
  );
}
