/** The set-up as a process: arguments, exit codes, signals. */

import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { ScratchRepository } from "./scratch-repository.mjs";

/** Leaves a pinned Node behind that says what it has to, so that these tests run on any Node, as the set-up does. */
const npmCi =
  "mkdir -p node_modules/.bin && printf '#!/bin/sh\necho v26.0.0\n' > node_modules/.bin/node && chmod +x node_modules/.bin/node";

/** @type {ScratchRepository} */
let scratch;
beforeEach(() => {
  scratch = new ScratchRepository();
});
afterEach(() => scratch.remove());

/** @param {readonly string[]} args */
const setup = (...args) => scratch.start(process.execPath, ["setup/setup.mjs", ...args]);

describe("setup.mjs", () => {
  test("sets up once, in one line, and says nothing the second time", async () => {
    scratch.writeNpm(npmCi);
    const first = setup("--dependencies-only");
    assert.deepEqual(await first.ended, { code: 0, signal: null });
    assert.match(first.output(), /^set-up: installing the npm packages \(npm ci\) \.\.\. done in \d+\.\d s\n$/);
    const second = setup("--dependencies-only");
    assert.deepEqual([await second.ended, second.output()], [{ code: 0, signal: null }, ""]);
  });

  test("ends with 1, the tool's words and what to do when a step fails, and goes on the next time", async () => {
    scratch.writeNpm("echo npm error code ENOSPC; exit 228");
    const failing = setup("--dependencies-only");
    assert.equal((await failing.ended).code, 1);
    assert.match(
      failing.output(),
      /set-up stopped at: installing the npm packages[\s\S]*\| npm error code ENOSPC[\s\S]*Make room on the disk/,
    );
    scratch.writeNpm(npmCi);
    assert.equal((await setup("--dependencies-only").ended).code, 0);
  });

  test("shows the tools' output as it comes when verbose", async () => {
    scratch.writeNpm(`${npmCi}; echo added 130 packages`);
    const run = setup("--dependencies-only", "--verbose");
    assert.equal((await run.ended).code, 0);
    assert.match(run.output(), /\nadded 130 packages\n/);
  });

  test("explains itself, and refuses an argument that it does not know", async () => {
    const help = setup("--help");
    assert.equal((await help.ended).code, 0);
    assert.match(help.output(), /--for-tests/);
    assert.equal((await setup("--for-test").ended).code, 1);
  });

  for (const [signal, code] of /** @type {const} */ ([
    ["SIGTERM", 143],
    ["SIGINT", 130],
    ["SIGHUP", 129],
  ])) {
    test(`ends what it runs and itself on ${signal}`, async () => {
      scratch.writeNpm("echo running; trap 'echo npm ended > ended; exit 1' TERM; sleep 600 & wait");
      const run = setup("--dependencies-only", "--verbose");
      await run.until("running");
      process.kill(run.pid, signal);
      assert.equal((await run.ended).code, code);
      assert.match(run.output(), /set-up: stopped; run the same command again/);
      assert.equal(readFileSync(join(scratch.path, "ended"), "utf8"), "npm ended\n");
      assert.equal(existsSync(join(scratch.path, "node_modules/.clamgate-setup")), false);
    });
  }

  test("ends when its parent is gone", async () => {
    scratch.writeNpm("echo running; trap 'exit 1' TERM; sleep 600 & wait");
    const parent = scratch.start("sh", ["-c", `${process.execPath} setup/setup.mjs --dependencies-only --verbose; exit`]);
    await parent.until("running");
    process.kill(parent.pid, "SIGKILL");
    // The pipes close only when the set-up and all that it started have ended.
    await parent.ended;
    assert.match(parent.output(), /set-up: stopped/);
  });
});

describe("./clamgate", () => {
  test("says what to do before the set-up has run", async () => {
    const run = scratch.start("./clamgate", ["version"]);
    assert.deepEqual(await run.ended, { code: 1, signal: null });
    assert.match(run.output(), /^clamgate is not set up yet\. Run this first: node \/.*\/setup\/setup\.mjs\n$/);
  });

  test("runs src/main.ts on the installed Node with the arguments as they are, through a link and from anywhere", async () => {
    scratch.linkNode();
    scratch.write("src/main.ts", "console.log(JSON.stringify([process.execArgv, process.argv.slice(2)])); process.exitCode = 3;");
    scratch.write("a folder/readme", "");
    symlinkSync("../clamgate", join(scratch.path, "a folder/linked"));
    const run = scratch.start("sh", ["-c", 'cd / && exec "$0" scan "a  b" ""', join(scratch.path, "a folder/linked")]);
    assert.equal((await run.ended).code, 3);
    assert.deepEqual(JSON.parse(run.output()), [["--max-semi-space-size=8"], ["scan", "a  b", ""]]);
  });
});

describe("package.json's scripts", () => {
  // npm hands signals to its shell; `exec` makes the shell become the gateway, and the path keeps a shell from running
  // the Node that it remembers from the set-up.
  for (const [signal, code] of /** @type {const} */ ([
    ["SIGTERM", 7],
    ["SIGINT", 8],
  ])) {
    test(`npm start hands ${signal} to the gateway and its exit code back`, async () => {
      scratch.linkNode();
      scratch.write("setup/setup.mjs", "");
      scratch.write(
        "src/main.ts",
        `process.once("SIGTERM", () => process.exit(7));
process.once("SIGINT", () => process.exit(8));
setInterval(() => {}, 1000);
console.log("ready", ...process.argv.slice(2));
`,
      );
      const run = scratch.start("npm", ["start"]);
      await run.until("ready serve --allow-test-signatures");
      process.kill(run.pid, signal);
      assert.deepEqual(await run.ended, { code, signal: null });
    });
  }

  for (const script of ["start", "test", "check"]) {
    test(`npm run ${script} goes no further than a set-up that failed`, async () => {
      scratch.linkNode();
      scratch.write("setup/setup.mjs", "process.exitCode = 1;");
      const run = scratch.start("npm", ["run", script]);
      assert.equal((await run.ended).code, 1);
      assert.doesNotMatch(run.output(), /ready|tests \d|error TS/);
    });
  }

  test("npm test ends with the runner's own count and exit code", async () => {
    scratch.linkNode();
    scratch.write("setup/setup.mjs", "");
    scratch.write("test/open-handles.mjs", "");
    scratch.write("test/a.test.ts", 'import { test } from "node:test"; test("passes", () => {});');
    scratch.write("test/deep/b.test.mjs", 'import { test } from "node:test"; test("fails", () => { throw new Error("no"); });');
    const run = scratch.start("npm", ["test"]);
    assert.equal((await run.ended).code, 1);
    assert.match(run.output(), /tests 2\n[\s\S]*pass 1\n[\s\S]*fail 1\n/);
  });

  test("the continuous integration's script is executable", () => {
    assert.ok((statSync(new URL("../../.ci/run", import.meta.url)).mode & 0o111) !== 0);
  });
});
