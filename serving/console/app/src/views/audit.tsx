/** Who did what, and whether the log is as it was written. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { AuditCheck, AuditPage, AuditView } from "../api/bodies";
import { incidents, read, reasonOf } from "../api/client";
import { Fault, Name, When } from "../parts/words";
import { counted } from "../pure/format";

export function Audit() {
  const items = useSignal<readonly AuditView[]>([]);
  const next = useSignal("");
  const fault = useSignal("");
  const ask = async (cursor: string) => {
    try {
      const page = await read<AuditPage>(incidents(`/audit?limit=100${cursor && `&cursor=${encodeURIComponent(cursor)}`}`));
      items.value = cursor ? [...items.value, ...page.items] : page.items;
      next.value = page.next_cursor;
      fault.value = "";
    } catch (error) {
      fault.value = reasonOf(error);
    }
  };
  useEffect(() => void ask(""), []);
  return (
    <>
      <h1 tabIndex={-1}>Audit</h1>
      <Check />
      <Fault text={fault.value} again={() => void ask("")} />
      <div class="scroll" tabIndex={0} role="group" aria-label="Audit log">
        <table>
          <thead>
            <tr>
              <th scope="col">number</th>
              <th scope="col">when</th>
              <th scope="col">who</th>
              <th scope="col">what</th>
              <th scope="col">to what</th>
              <th scope="col">more</th>
            </tr>
          </thead>
          <tbody>
            {items.value.map((one) => (
              <tr key={one.seq}>
                <td>{one.seq}</td>
                <td>
                  <When at={one.at} />
                </td>
                <td>
                  <Name text={one.by} most={60} />
                </td>
                <td>
                  <Name text={one.what} most={60} />
                </td>
                <td>
                  <Name text={one.subject} most={80} />
                </td>
                <td>
                  <Name text={detailOf(one)} most={160} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {next.value && (
        <button type="button" onClick={() => void ask(next.value)}>
          Show more
        </button>
      )}
    </>
  );
}

const detailOf = (one: AuditView): string =>
  Object.entries(one.detail)
    .map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join("; ");

function Check() {
  const said = useSignal("");
  const fault = useSignal("");
  const check = async () => {
    said.value = "Reading the whole log …";
    try {
      const { entries, intact, first_broken, detail } = await read<AuditCheck>(incidents("/audit/check"), { signal: AbortSignal.timeout(300_000) });
      said.value = intact ? `All ${counted(entries, "entry", "entries")} are as they were written.` : `Entry ${first_broken ?? "?"} is not as it was written. ${detail ?? ""}`;
      fault.value = "";
    } catch (error) {
      said.value = "";
      fault.value = reasonOf(error);
    }
  };
  return (
    <div class="bulk">
      <button type="button" onClick={() => void check()}>
        Check the chain
      </button>
      <p role="status" id="chain">
        {said.value}
      </p>
      <Fault text={fault.value} />
    </div>
  );
}
