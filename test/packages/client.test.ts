/** The package `@clamgate/client`, installed into an empty directory: what it holds, who can load it, and on which runtimes it scans. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { clientReference } from "../../docs/client-reference.ts";
import { type ScriptedClamd, startScriptedClamd } from "../client/scripted-clamd.ts";
import { startRest } from "../front/rest/rest-server.ts";
import { type Consumer, openConsumer } from "./consumer.ts";
import { npm, type Packed, repository } from "./packed.ts";

const entries = ["", "/express", "/fastify", "/nest", "/next", "/hono", "/clamscan"];
const runtimes = join(repository, "test/runtimes/node_modules/.bin");
const run = promisify(execFile);

/** What every runtime has to say of a clamd and of a gateway, their addresses its arguments. */
const program = `
const { argv, stdout } = globalThis.process;
const told = [];
for (const url of argv.slice(2)) {
  const scanner = createScanner(url, { timeoutMs: 60_000 });
  const bytes = (text) => new TextEncoder().encode(text);
  const form = new FormData();
  form.append("f", new File(["virus:A.Virus"], "a.txt"));
  const [field] = await scanner.scanForm(form);
  told.push(
    (await scanner.scan(bytes("harmless"))).verdict.kind,
    (await scanner.scan(bytes("virus:A.Virus"))).verdict.signatures.join(),
    (await scanner.scan(new Blob(["harmless"]).stream())).sha256.slice(0, 8),
    field.report.allowed,
    (await scanner.scanFile("package.json")).name,
    await scanner.scan(5).catch((error) => error instanceof ScanError && error.code),
  );
}
stdout.write(JSON.stringify(told));
`;
const ofOneTarget = ["clean", "A.Virus", "98fc5211", false, "package.json", "input"];

describe("the package @clamgate/client", () => {
  let consumer: Consumer;
  let packed: Packed;
  let project: string;
  let clamd: ScriptedClamd;
  let gateway: Awaited<ReturnType<typeof startRest>>;
  before(async () => {
    consumer = await openConsumer();
    packed = consumer.packed;
    project = consumer.directory;
    clamd = await startScriptedClamd();
    gateway = await startRest();
  });
  after(async () => {
    await clamd[Symbol.asyncDispose]();
    await gateway[Symbol.asyncDispose]();
    await consumer[Symbol.asyncDispose]();
  });

  /** What the program says, run by this command. */
  async function told(extension: "mjs" | "cjs", loading: string, [command = "", ...args]: readonly string[]): Promise<unknown> {
    const file = `program.${extension}`;
    const text = extension === "cjs" ? `(async () => {${program}})()` : program;
    await writeFile(join(project, file), `${loading}\n${text}`);
    const { PATH = "" } = process.env;
    const env = { PATH, HOME: project, DENO_DIR: join(project, ".deno"), DENO_NO_UPDATE_CHECK: "1" };
    const { stdout } = await run(command, [...args, file, clamd.url, gateway.url], { cwd: project, env });
    return JSON.parse(stdout);
  }

  const imported = `import { createScanner, ScanError } from "@clamgate/client";`;
  const required = `const { createScanner, ScanError } = require("@clamgate/client");`;

  test("holds JavaScript with its maps and types, depends on nothing, and is small", async () => {
    const files = await packed.files();
    const others = files.filter((path) => !/^dist\/(client\/src|src)\/.+\.(js|js\.map|d\.ts)$/.test(path));
    assert.deepEqual(others.sort(), ["LICENSE", "README.md", "docs/reference.md", "package.json"]);
    const manifest = JSON.parse(await readFile(join(project, "node_modules/@clamgate/client/package.json"), "utf8"));
    assert.deepEqual([manifest.dependencies, manifest.engines.node], [undefined, ">=20.19"]);
    assert.deepEqual(
      Object.keys(manifest.exports).filter((path) => path !== "./package.json"),
      entries.map((entry) => `.${entry}`),
    );
    const { size } = JSON.parse(await npm(packed.directory, ["pack", packed.path, "--dry-run", "--json"]))[0];
    assert.ok(size < 100_000, `client/README.md says 85 kB, and it is ${size} bytes`);
  });

  test("is loaded by import and by require, and is one module to both", async () => {
    const two = [...ofOneTarget, ...ofOneTarget];
    assert.deepEqual(await told("mjs", imported, [process.execPath]), two);
    assert.deepEqual(await told("cjs", required, [process.execPath]), two);
    const check = `
      const NodeClam = require("@clamgate/client/clamscan");
      import("@clamgate/client/clamscan").then((module) => console.log(module.default === NodeClam, typeof new NodeClam().init));`;
    const { stdout } = await run(process.execPath, ["--eval", check], { cwd: project });
    assert.equal(stdout, "true function\n");
  });

  // Their packages are built for glibc, macOS and Windows: elsewhere the set-up installs what there is.
  const isGlibc =
    process.platform !== "linux" || "glibcVersionRuntime" in (process.report.getReport() as { header: object }).header;
  const others: Readonly<Record<string, readonly string[]>> = {
    node: [],
    bun: ["run"],
    deno: ["run", "--quiet", "--allow-all", "--no-remote", "--node-modules-dir=manual"],
  };
  for (const [name, args] of Object.entries(others)) {
    const command = join(runtimes, name);
    if (!isGlibc && !existsSync(command)) continue;
    test(`scans on ${name === "node" ? "the oldest Node" : name} by a clamd and by a gateway`, async () => {
      const two = [...ofOneTarget, ...ofOneTarget];
      assert.deepEqual(await told("mjs", imported, [command, ...args]), two);
      assert.deepEqual(await told("cjs", required, [command, ...args]), two);
    });
  }

  test("has nothing that publint or attw would mend", async () => {
    const tool = (name: string, ...args: readonly string[]) =>
      run(process.execPath, [join(repository, "node_modules/.bin", name), ...args], { cwd: packed.directory }).catch((error) =>
        assert.fail(error.stdout),
      );
    await tool("publint", "run", packed.path, "--strict");
    // Ignored: what TypeScript's old node10 resolution, gone since TypeScript 7, does not find without `exports`; and that require()
    // of an ES module fails, which it does no longer from Node 20.19 on.
    await tool("attw", packed.path, "--profile", "node16", "--ignore-rules", "cjs-resolves-to-esm");
  });

  for (const [module, resolution] of [
    ["nodenext", "nodenext"],
    ["esnext", "bundler"],
  ]) {
    test(`type-checks strictly by ${resolution} resolution, its users' code as its own declarations`, async () => {
      await consumer.link(
        "typescript",
        "@types",
        "express",
        "multer",
        "fastify",
        "@fastify/multipart",
        "@nestjs",
        "hono",
        "rxjs",
        "undici-types",
      );
      const load = entries.map((entry, index) => `import * as entry${index} from "@clamgate/client${entry}";`).join("\n");
      const use = `
        import { createScanner, type Report, ScanError } from "@clamgate/client";
        import NodeClam from "@clamgate/client/clamscan";
        export const all = [${entries.map((_, index) => `entry${index}`).join()}];
        export const report: Promise<Report> = createScanner("tcp://localhost").scan(new Uint8Array());
        export const code: "timeout" = new ScanError("timeout", "").code as "timeout";
        export const clam: Promise<NodeClam> = new NodeClam().init({});
        // @ts-expect-error: a report is never null, and has no such key
        export const wrong: null = (await createScanner().scan(new Blob())).isInfected;`;
      const directory = join(project, `types-${resolution}`);
      await mkdir(directory);
      await writeFile(join(directory, "main.mts"), load + use);
      if (resolution === "nodenext") {
        await writeFile(
          join(directory, "main.cts"),
          `import client = require("@clamgate/client");\nexport const scanner = client.createScanner();`,
        );
      }
      const compilerOptions = {
        module,
        moduleResolution: resolution,
        target: "es2023",
        strict: true,
        noEmit: true,
        types: ["node"],
      };
      await writeFile(join(directory, "tsconfig.json"), JSON.stringify({ compilerOptions }));
      await run(process.execPath, [join(repository, "node_modules/.bin/tsc"), "-p", directory]).catch(({ stdout }) =>
        assert.fail(stdout),
      );
    });
  }

  test("has a reference that says what its declarations say", async () => {
    const reference = await readFile(join(project, "node_modules/@clamgate/client/docs/reference.md"), "utf8");
    assert.equal(reference, await clientReference(join(project, "node_modules/@clamgate/client/dist")), "npm run docs renews it");
  });

  test("is of the version that the gateway has, here and in the change log", async () => {
    const read = async (path: string) => await readFile(join(repository, path), "utf8");
    const { version } = JSON.parse(await read("package.json"));
    const { packages } = JSON.parse(await read("package-lock.json"));
    const found = [JSON.parse(await read("client/package.json")).version, packages[""].version, packages.client.version];
    assert.deepEqual(found, [version, version, version]);
    assert.match(await read("CHANGELOG.md"), new RegExp(`^## ${version.replaceAll(".", "\\.")}\\b`, "m"));
    assert.equal(await read("client/LICENSE"), await read("LICENSE"));
  });
});
