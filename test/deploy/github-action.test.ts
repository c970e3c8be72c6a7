/** The steps of the GitHub Action, run as its runner runs them; npx, freshclam and apt-get are stand-ins. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmod, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { validateAction, validateWorkflow } from "@action-validator/core";
import { parse } from "yaml";
import { eicar, eicarName, testSignatures } from "../live/clamd.ts";
import { suiteDirectory } from "../scratch-directory.ts";
import { deployDirectory } from "./image.ts";

interface Step {
  readonly name: string;
  readonly run?: string;
}

interface Action {
  readonly inputs: Readonly<Record<string, { readonly default: string }>>;
  readonly runs: { readonly steps: readonly Step[] };
}

const read = (name: string) => readFile(new URL(`github-action/${name}`, deployDirectory), "utf8");
const text = await read("action.yml");
const action = parse(text) as Action;
const main = fileURLToPath(new URL("../src/main.ts", deployDirectory));

describe("the GitHub Action", () => {
  const directory = suiteDirectory();
  let workspace: string;

  before(async () => {
    workspace = directory.at("workspace");
    const signatures = directory.at("clamgate-signatures");
    for (const made of [signatures, directory.at("bin"), join(workspace, "a b"), join(workspace, "a b", ".git")])
      await mkdir(made, { recursive: true });
    for (const [name, content] of Object.entries(testSignatures)) await writeFile(join(signatures, name), content);
    await writeFile(join(workspace, "fine"), "fine");
    await writeFile(join(workspace, "a b", "eicar.com"), eicar);
    await writeFile(join(workspace, "a b", ".git", "eicar.com"), eicar);
    const programs = {
      npx: `test "$1 $2" = "--yes clamgate@${action.inputs.version?.default}" || exit 99\nshift 2\nexec ${process.execPath} ${main} "$@"`,
      freshclam: `for one; do echo "$one"; done > ${directory.path}/fetched`,
    };
    for (const [name, script] of Object.entries(programs)) {
      await writeFile(directory.at("bin", name), `#!/bin/sh\n${script}\n`);
      await chmod(directory.at("bin", name), 0o755);
    }
  });

  /** As the runner has it for `shell: bash`. */
  function run(name: string, env: Readonly<Record<string, string>>) {
    const script = action.runs.steps.find((step) => step.name === name)?.run;
    assert.ok(script !== undefined, name);
    const { status, stdout, stderr } = spawnSync("bash", ["--noprofile", "--norc", "-eo", "pipefail", "-c", script], {
      cwd: workspace,
      encoding: "utf8",
      env: {
        PATH: `${directory.path}/bin:${process.env.PATH}`,
        HOME: directory.path,
        TMPDIR: directory.path,
        RUNNER_TEMP: directory.path,
        ...env,
      },
    });
    return { status, text: stdout + stderr };
  }

  async function scan(given: Readonly<Record<string, string>>) {
    const outputs = directory.at("outputs");
    await writeFile(outputs, "");
    const inputs = Object.entries(action.inputs).map(([name, input]) => [name.toUpperCase().replaceAll("-", "_"), input.default]);
    const env = {
      ...Object.fromEntries(inputs),
      DATABASE_DIRECTORY: directory.at("clamgate-signatures"),
      GITHUB_OUTPUT: outputs,
    };
    return { ...run("Scan", { ...env, ...given }), outputs: (await readFile(outputs, "utf8")).trimEnd().split("\n") };
  }

  test("and its example are what GitHub takes", async () => {
    assert.deepEqual(validateAction(text).errors, []);
    assert.deepEqual(validateWorkflow(await read("example.yml")).errors, []);
  });

  test("takes the version of the gateway that it comes with", async () => {
    const manifest = JSON.parse(await readFile(new URL("../package.json", deployDirectory), "utf8")) as {
      readonly version: string;
    };
    assert.equal(action.inputs.version?.default, manifest.version);
  });

  test("fails where something is blocked, and writes what for code scanning; what is excluded is left out", async () => {
    const { status, text, outputs } = await scan({});
    assert.equal(status, 1, text);
    assert.deepEqual(outputs, ["exit-code=1", "results=clamgate.sarif"]);
    const report = await readFile(join(workspace, "clamgate.sarif"), "utf8");
    assert.match(report, new RegExp(eicarName));
    assert.match(report, /a%20b\/eicar\.com/);
    assert.doesNotMatch(report, /\.git/);
    await rm(join(workspace, "clamgate.sarif"));
  });

  test("passes where all is allowed, and writes nothing where no file is named", async () => {
    const { status, text, outputs } = await scan({ PATHS: "fine\n", OUTPUT: "" });
    assert.equal(status, 0, text);
    assert.deepEqual(outputs, ["exit-code=0"]);
  });

  test("takes inputs for names, never for commands, and fails where one is not there", async () => {
    const before = await readdir(workspace);
    const { status, outputs } = await scan({
      PATHS: 'fine\n$(touch made) `touch made`; touch made\n"',
      EXCLUDE: "$(touch made)",
      OUTPUT: "",
    });
    assert.equal(status, 2);
    assert.deepEqual(outputs, ["exit-code=2"]);
    assert.deepEqual(await readdir(workspace), before);
    assert.equal((await scan({ PATHS: "", OUTPUT: "" })).status, 2);
  });

  test("fetches signatures into the directory that is cached by day", async () => {
    const { status, text } = run("Fetch signatures", { SIGNATURES: directory.at("fresh") });
    assert.equal(status, 0, text);
    assert.equal(await readFile(directory.at("fetched"), "utf8"), `--config-file=${directory.path}/freshclam.conf\n`);
    const conf = await readFile(directory.at("freshclam.conf"), "utf8");
    assert.match(conf, new RegExp(`^DatabaseMirror \\S+\nDatabaseDirectory ${directory.path}/fresh\nDatabaseOwner \\S+\n$`));
    assert.deepEqual(await readdir(directory.at("fresh")), []);
  });
});
