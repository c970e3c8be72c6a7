/** The workflow that publishes both packages: valid, and of commands that do what they are there for. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { promisify } from "node:util";
import { parse } from "yaml";
import { suiteDirectory } from "../scratch-directory.ts";
import { repository } from "./packed.ts";

interface Step {
  readonly name?: string;
  readonly run?: string;
}

describe("deploy/npm/publish.yaml", () => {
  let steps: readonly Step[];
  const directory = suiteDirectory();
  before(async () => {
    const { jobs } = parse(await readFile(join(repository, "deploy/npm/publish.yaml"), "utf8"));
    assert.deepEqual(jobs.publish.permissions, { contents: "read", "id-token": "write" });
    steps = jobs.publish.steps;
    await mkdir(directory.at("client"));
    for (const name of ["package.json", "client/package.json"]) await cp(join(repository, name), directory.at(name));
  });

  /** A step's own commands; what needs root is left out. */
  async function run(name: string, env: Readonly<Record<string, string>>): Promise<void> {
    const text = steps.find((step) => step.name === name)?.run ?? assert.fail(`there is no step ${name}`);
    const commands = text.replaceAll(/^sudo .*$/gm, "");
    const { PATH = "" } = process.env;
    const own = { PATH, HOME: directory.path, npm_config_offline: "true", npm_config_update_notifier: "false" };
    await promisify(execFile)("bash", ["-euc", commands], { cwd: directory.path, env: { ...own, ...env } });
  }

  test("publishes nothing under a tag that is not the version", async () => {
    const { version } = JSON.parse(await readFile(join(repository, "package.json"), "utf8"));
    await run("The tag is the version", { GITHUB_REF_NAME: `v${version}` });
    await assert.rejects(run("The tag is the version", { GITHUB_REF_NAME: "v9.9.9" }));
  });

  test("names the repository in both packages, as provenance needs it", async () => {
    await run("Name the repository", { GITHUB_SERVER_URL: "https://example.test", GITHUB_REPOSITORY: "some/where" });
    const read = async (path: string) => JSON.parse(await readFile(directory.at(path), "utf8")).repository;
    const git = { type: "git", url: "git+https://example.test/some/where.git" };
    assert.deepEqual(await read("package.json"), git);
    assert.deepEqual(await read("client/package.json"), { ...git, directory: "client" });
  });

  test("runs all tests before it publishes, each package with its provenance", () => {
    const commands = steps.flatMap(({ run = "" }) => run.split("\n")).filter((line) => /\.ci\/run|npm publish/.test(line));
    assert.deepEqual(commands, [
      "sudo --preserve-env=PATH bash .ci/run",
      "npm publish --provenance --access public -w client",
      "npm publish --provenance --access public",
    ]);
  });

  test("neither package is kept from being published", async () => {
    for (const path of ["package.json", "client/package.json"]) {
      assert.equal(JSON.parse(await readFile(join(repository, path), "utf8")).private, undefined, path);
    }
  });
});
