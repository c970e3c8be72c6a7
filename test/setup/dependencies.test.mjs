/** npm ci: when it runs, when it does not, and what becomes of one that ended half-way. */

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { installDependencies, installRuntimes } from "../../setup/dependencies.mjs";
import { SetupFailure } from "../../setup/failure.mjs";
import { inTurn, recordedProgress, ScratchMachine, scriptedRun } from "./scratch-machine.mjs";

const lock = {
  packages: {
    "": { name: "clamgate" },
    "node_modules/fastify": { version: "5.0.0" },
    "node_modules/only-elsewhere": { version: "1.0.0", optional: true },
  },
};

/** @type {ScratchMachine} */
let scratch;
/** @type {string} */
let directory;
beforeEach(() => {
  scratch = new ScratchMachine();
  scratch.addPrograms("/usr/bin/npm");
  directory = scratch.at("/repository");
  mkdirSync(directory);
  writeFileSync(join(directory, "package.json"), JSON.stringify({ engines: { node: ">=24.12" } }));
  writeFileSync(join(directory, "package-lock.json"), JSON.stringify(lock));
});
afterEach(() => scratch.remove());

const npm = () => `${scratch.at("/usr/bin/npm")} ci`;
const pinned = () => `${join(directory, "node_modules/.bin/node")} --version`;

/** What npm leaves behind when it comes to its end. @param {object} [hidden] */
function finishByNpm(hidden = { packages: { "node_modules/fastify": { version: "5.0.0" } } }) {
  scratch.write("/repository/node_modules/fastify/package.json", "{}");
  scratch.write("/repository/node_modules/.package-lock.json", JSON.stringify(hidden));
}

/** @param {Parameters<typeof scriptedRun>[0]} script @param {Partial<import("../../setup/machine.mjs").Machine>} [facts] */
async function attempt(script, facts = {}) {
  const [scripted, { progress, shown }] = [scriptedRun(script), recordedProgress()];
  const machine = { ...scratch.machine, ...facts };
  const error = await installDependencies({ machine, run: scripted.run, progress, directory }).then(
    () => null,
    (reason) => reason,
  );
  const ran = scripted.calls.filter(({ line }) => line.includes("npm"));
  return { error, npmRuns: ran.length, shown, calls: scripted.calls, npmCall: ran[0] };
}

/** @param {unknown} error */
function textOf(error) {
  assert.ok(error instanceof SetupFailure, String(error));
  return [error.step, ...error.lines].join("\n");
}

describe("installDependencies", () => {
  test("runs npm ci once, and is silent the next time", async () => {
    const script = /** @type {const} */ ([[pinned(), { output: "v26.10.0\n" }]]);
    const first = await attempt(script);
    assert.deepEqual([first.error, first.npmRuns], [null, 1]);
    const second = await attempt(script);
    assert.deepEqual([second.error, second.npmRuns, second.shown], [null, 0, []]);
  });

  test("includes the development packages whatever NODE_ENV says, and stays off the Node it removes", async () => {
    const own = join(directory, "node_modules/.bin");
    const { npmCall } = await attempt([[pinned(), { output: "v26.10.0" }]], {
      env: { PATH: `${own}:/usr/bin`, NODE_ENV: "production" },
    });
    assert.match(npmCall?.line ?? "", / ci --include=dev /);
    assert.equal(npmCall?.options.env?.PATH, "/usr/bin");
    assert.equal(npmCall?.options.cwd, directory);
  });

  test("runs it again when the lock file changed", async () => {
    const script = /** @type {const} */ ([[pinned(), { output: "v26.10.0" }]]);
    await attempt(script);
    writeFileSync(join(directory, "package-lock.json"), JSON.stringify({ packages: {} }));
    assert.equal((await attempt(script)).npmRuns, 1);
  });

  test("runs it again after one that was interrupted", async () => {
    const good = /** @type {const} */ ([pinned(), { output: "v26.10.0" }]);
    await attempt([good]);
    rmSync(join(directory, "node_modules/.clamgate-setup"));
    const interrupted = await attempt([[npm(), { code: 143, output: "" }], good]);
    assert.match(textOf(interrupted.error), /ended with exit code 143/);
    assert.deepEqual([(await attempt([good])).error, (await attempt([good])).npmRuns], [null, 0]);
  });

  test("takes the former stamp away before it begins", async () => {
    const good = /** @type {const} */ ([pinned(), { output: "v26.10.0" }]);
    await attempt([good]);
    writeFileSync(join(directory, "package-lock.json"), JSON.stringify({ packages: {} }));
    await attempt([[npm(), { code: 1 }], good]);
    assert.equal(existsSync(join(directory, "node_modules/.clamgate-setup")), false);
  });

  for (const [name, output, advice] of /** @type {const} */ ([
    ["no network", "npm error code EAI_AGAIN\nnpm error getaddrinfo EAI_AGAIN registry", /Check this machine's network/],
    ["a full disk", "npm error code ENOSPC\nnpm error ENOSPC: no space left on device", /Make room on the disk/],
  ])) {
    test(`says what to do about ${name}`, async () => {
      const { error } = await attempt([[npm(), { code: 1, output }]]);
      assert.match(textOf(error), advice);
      assert.match(textOf(error), /goes on from here/);
    });
  }

  test("runs npm ci where the packages are for another machine", async () => {
    const good = /** @type {const} */ ([pinned(), { output: "v26.10.0" }]);
    await attempt([good]);
    const { error, npmRuns } = await attempt([
      [pinned(), inTurn({ code: 126, output: "exec format error" }, { output: "v26.10.0" })],
    ]);
    assert.deepEqual([error, npmRuns], [null, 1]);
  });

  test("takes over what npm itself finished for the same lock file", async () => {
    finishByNpm();
    const script = /** @type {const} */ ([[pinned(), { output: "v26.10.0" }]]);
    const { error, npmRuns } = await attempt(script);
    assert.deepEqual([error, npmRuns], [null, 0]);
    assert.equal(existsSync(join(directory, "node_modules/.clamgate-setup")), true);
  });

  test("does not take over another version, a missing package or a list cut off", async () => {
    const script = () => /** @type {const} */ ([[pinned(), { output: "v26.10.0" }]]);
    const forget = () => rmSync(join(directory, "node_modules"), { recursive: true });
    finishByNpm({ packages: { "node_modules/fastify": { version: "4.0.0" } } });
    assert.equal((await attempt(script())).npmRuns, 1);
    forget();
    finishByNpm();
    rmSync(join(directory, "node_modules/fastify"), { recursive: true });
    assert.equal((await attempt(script())).npmRuns, 1);
    forget();
    finishByNpm();
    scratch.write("/repository/node_modules/.package-lock.json", '{"packages": {"node_mod');
    assert.equal((await attempt(script())).npmRuns, 1);
  });

  test("uses the npm that started it where PATH has none", async () => {
    rmSync(scratch.at("/usr/bin/npm"));
    const env = { PATH: "/usr/bin", npm_execpath: "/opt/node/lib/node_modules/npm/bin/npm-cli.js" };
    const { error, calls } = await attempt([[pinned(), { output: "v26.10.0" }]], { env });
    assert.equal(error, null);
    assert.ok(calls[0]?.line.startsWith(`${process.execPath} ${env.npm_execpath} ci`));
  });

  test("says so where there is no npm at all", async () => {
    rmSync(scratch.at("/usr/bin/npm"));
    const { error } = await attempt([], { env: { PATH: "/usr/bin", npm_execpath: "/usr/lib/yarn.js" } });
    assert.match(textOf(error), /no npm on PATH/);
  });

  for (const answer of ["v24.11.9", "v20.20.2", "", "not a version"]) {
    test(`does not accept ${answer === "" ? "silence" : answer} from the pinned Node`, async () => {
      const { error } = await attempt([[pinned(), { output: answer }]], { nodeVersion: "20.20.2" });
      assert.match(textOf(error), /^checking the pinned Node[\s\S]*install Node 24\.12 or newer/);
      assert.equal(existsSync(join(directory, "node_modules/.clamgate-setup")), false);
    });
  }

  for (const answer of ["v24.12.0", "v25.0.0", "v26.10.0"]) {
    test(`accepts ${answer}`, async () => {
      assert.equal((await attempt([[pinned(), { output: answer }]])).error, null);
    });
  }

  test("lets this machine's own Node take the place of one that cannot run here", async () => {
    const facts = { nodeVersion: "24.12.0", execPath: "/usr/bin/node-of-alpine" };
    const { error } = await attempt([[pinned(), { code: 127, output: "no such file or directory" }]], facts);
    assert.equal(error, null);
    assert.equal(readlinkSync(join(directory, "node_modules/.bin/node")), "/usr/bin/node-of-alpine");
  });
});

describe("installRuntimes", () => {
  test("runs npm ci in the directory of the runtimes once, and again when their lock file changed", async () => {
    const place = join(directory, "test/runtimes");
    const npmRuns = async () => {
      const [scripted, { progress }] = [scriptedRun([]), recordedProgress()];
      await installRuntimes({ machine: scratch.machine, run: scripted.run, progress, directory });
      return scripted.calls.map(({ line, options }) => [line.startsWith(npm()), options.cwd]);
    };
    scratch.write("/repository/test/runtimes/package-lock.json", "{}");
    scratch.write("/repository/test/runtimes/node_modules/bun/package.json", "{}");
    assert.deepEqual(await npmRuns(), [[true, place]]);
    assert.deepEqual(await npmRuns(), []);
    scratch.write("/repository/test/runtimes/package-lock.json", "{ }");
    assert.deepEqual(await npmRuns(), [[true, place]]);
  });
});
