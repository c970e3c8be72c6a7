/** What a start loads: nothing that its settings leave out. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

const run = promisify(execFile);

test("a gateway loads no client of Redis before a setting asks for one", async () => {
  const program = `
    await import(${JSON.stringify(new URL("../../../src/app/commands/serve.ts", import.meta.url).href)});
    const { createRequire } = await import("node:module");
    console.log(Object.keys(createRequire("${import.meta.filename}").cache).join("\\n"));
  `;
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", program], { maxBuffer: 10_000_000 });
  assert.match(stdout, /node_modules\/fastify\//);
  assert.doesNotMatch(stdout, /node_modules\/@redis\//);
});
