/** The commands of docs/access.md, run as they stand there, and what it says they answer. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { freePort } from "../live/free-port.ts";
import { scratchDirectory } from "../scratch-directory.ts";

const root = new URL("../../", import.meta.url).pathname;

test("docs/access.md does what it says", { timeout: 120_000 }, async () => {
  const document = await readFile(`${root}docs/access.md`, "utf8");
  const blocks = [...document.matchAll(/```(sh|text)\n([^`]*)```/g)].map(([, kind = "", body = ""]) => ({ kind, body }));
  const script = blocks.filter(({ kind }) => kind === "sh").map(({ body }) => body);
  const expected = blocks.filter(({ kind }) => kind === "text").flatMap(({ body }) => body.trim().split("\n"));
  assert.ok(script.length >= 5 && expected.length >= 10);
  await using home = await scratchDirectory();
  const port = await freePort();
  const commands = `set -eu\ntrap 'kill $(jobs -p); wait' EXIT\n${script.join("").replaceAll("127.0.0.1:9000", `127.0.0.1:${port}`)}`;
  const { PATH = "", NODE_COMPILE_CACHE = "" } = process.env;
  const env = {
    PATH,
    NODE_COMPILE_CACHE,
    HOME: home.path,
    PORT: String(port),
    STATE_DIRECTORY: home.path,
    SIGNATURE_CHECKS: "0",
    DOWNLOAD_PROXY_PORT: "off",
    LOG_FORMAT: "json",
  };
  const shell = spawn("bash", ["-c", commands], { cwd: root, env, stdio: ["ignore", "pipe", "ignore"] });
  const [output, [code]] = await Promise.all([text(shell.stdout), once(shell, "exit")]);
  assert.equal(code, 0, output);
  const lines = output.split("\n");
  let at = 0;
  for (const line of expected) {
    const pattern = new RegExp(
      `^${line
        .split("…")
        .map((part) => RegExp.escape(part))
        .join(".*")}`,
    );
    const found = lines.findIndex((one, index) => index >= at && pattern.test(one));
    assert.ok(found >= 0, `${line}\nis not in\n${lines.slice(at).join("\n")}`);
    at = found + 1;
  }
});
