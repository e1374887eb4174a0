// Types of the APIs' bodies, from the descriptions that `make docs` writes into openapi/.
import { readFile, writeFile } from "node:fs/promises";
import openapi, { astToString } from "openapi-typescript";

const folder = new URL("../", import.meta.url);
for (const name of ["incidents", "automation", "explore"]) {
  const description = JSON.parse(await readFile(new URL(`openapi/${name}.json`, folder), "utf8"));
  await writeFile(new URL(`src/api/${name}.gen.d.ts`, folder), astToString(await openapi(description, { defaultNonNullable: false })));
}
