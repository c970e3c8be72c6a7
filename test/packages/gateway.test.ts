/** The package `clamgate`, installed from a registry into an empty directory. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { settingsAsMarkdown } from "../../src/config/print-settings.ts";
import { settings } from "../../src/config/settings.ts";
import { upload } from "../e2e/client.ts";
import { startGatewayProcess } from "../e2e/gateway-process.ts";
import { eicar, unknownBytes } from "../e2e/samples.ts";
import { npm, type Packed, pack, repository } from "./packed.ts";
import { startRegistry } from "./registry.ts";

describe("the package clamgate", () => {
  let packed: Packed;
  let project: string;
  const installed = (path: string) => join(project, "node_modules/clamgate", path);
  before(async () => {
    packed = await pack();
    project = join(packed.directory, "project");
    await mkdir(project);
    await writeFile(join(project, "package.json"), "{}");
    await using registry = await startRegistry(packed);
    await npm(project, ["install", "clamgate"], { registry: registry.url });
  });
  after(() => packed[Symbol.asyncDispose]());

  test("holds what is built and the documents that npm shows, and nothing else", async () => {
    const files = await packed.files();
    const others = files.filter((path) => !/^dist\/(src|client\/src)\/|^bin\/clamgate\.js$/.test(path));
    assert.deepEqual(others.sort(), ["CHANGELOG.md", "LICENSE", "README.md", "package.json"]);
    assert.deepEqual(
      files.filter((path) => /\.ts$|tsconfig/.test(path)),
      [],
    );
    const assets = (await readdir(join(repository, "src"), { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile() && !/\.ts$|^tsconfig\.json$/.test(entry.name))
      .map((entry) => join("dist", relative(repository, entry.parentPath), entry.name));
    assert.deepEqual(
      assets.filter((path) => !files.includes(path)),
      [],
      "what is not TypeScript is copied",
    );
    for (const name of ["dist/src/main.js", "dist/src/app/commands/serve.js"]) {
      const { sourcesContent } = JSON.parse(await readFile(installed(`${name}.map`), "utf8"));
      const source = name.replace("dist/", "").replace(".js", ".ts");
      assert.deepEqual(sourcesContent, [await readFile(join(repository, source), "utf8")]);
    }
  });

  test("gives a command that knows its version and its settings", async () => {
    const { version } = JSON.parse(await readFile(join(repository, "package.json"), "utf8"));
    const run = async (...args: string[]) => await npm(project, ["exec", "--offline", "--", "clamgate", ...args]);
    assert.equal(await run("version"), `${version}\n`);
    assert.equal(await run("settings", "--markdown"), settingsAsMarkdown(settings));
  });

  test("serves, finds, and ends as a checkout does", async () => {
    await using gateway = await startGatewayProcess({ main: installed("bin/clamgate.js") });
    await gateway.ready();
    assert.equal((await upload(gateway.url, eicar)).status, 406);
    assert.equal((await upload(gateway.url, unknownBytes(100))).status, 200);
    gateway.signal("SIGTERM");
    assert.equal(await gateway.ended, 0);
  });

  test("says which Node it needs where an older one runs it", async () => {
    const pretend = "data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'24.11.1'}})";
    const run = promisify(execFile)(process.execPath, [`--import=${pretend}`, installed("bin/clamgate.js"), "version"]);
    const { code, stderr } = await run.then(
      () => ({ code: 0, stderr: "" }),
      (error: { code: number; stderr: string }) => error,
    );
    assert.equal(code, 1);
    assert.match(stderr, /^clamgate \S+ needs Node\.js 24\.12 or newer, and this is 24\.11\.1 \(\//);
  });
});
