// Bundles each test for Node and runs them all with Node's own runner.
import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { build } from "vite";

const names = readdirSync("tests").filter((name) => name.endsWith(".test.ts"));
rmSync(".build", { recursive: true, force: true });
for (const name of names) {
  await build({
    configFile: false,
    logLevel: "error",
    build: { ssr: `tests/${name}`, outDir: ".build", emptyOutDir: false, rollupOptions: { output: { entryFileNames: name.replace(".ts", ".mjs") } } },
  });
}
const run = spawnSync(process.execPath, ["--test", ".build/"], { stdio: "inherit" });
process.exit(run.status ?? 1);
