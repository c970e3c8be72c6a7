/** The examples of clamscan's own README, taken from its package and run on the layer: only paths and addresses are changed. */

import assert from "node:assert/strict";
import * as fs from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import * as stream from "node:stream";
import { after, before, describe, test } from "node:test";
import NodeClam from "../../client/src/clamscan.ts";
import { type ScriptedClamd, startScriptedClamd } from "./scripted-clamd.ts";

/** What keeps an example from being JavaScript, or from waiting for `init`, and what was meant. */
const mends = [
  ["{ isInfected. viruses }", "{ isInfected, viruses }"],
  ["viruses, numGoodFiles) {", "viruses, numGoodFiles) => {"],
  ["async some_function() {", "async function some_function() {"],
  ["    console.error(err);\n};", "    console.error(err);\n});"],
  ["const clamscan = new NodeClam()", "const clamscan = await new NodeClam()"],
] as const;

/** What each example says once it is through, as far as it says anything. */
const infected = "picture/for_example.jpg is infected with A.Virus.";
const spoken: readonly (readonly string[])[] = [
  ...[[], [], []],
  ["ClamAV Version: ClamAV 1.4.6/27800/2026-11-27T09:00:00.000Z", "some/file.zip is infected with A.Virus!"],
  [],
  ["ClamAV Version: ClamAV 1.4.6/27800/2026-11-27T09:00:00.000Z"],
  ["ClamAV Version: ClamAV 1.4.6/27800/2026-11-27T09:00:00.000Z"],
  [infected],
  [infected, "undefined"],
  [],
  [
    "some/path/to/scan was infected. The offending files (some/path/to/scan/bad.txt) have been quarantined.",
    "Viruses Found: A.Virus",
  ],
  ...[[], []],
  [
    "path/to/file/1.jpg is ok.",
    "Scan Status:  1/3",
    "path/to/file/2.mov is infected with A.Virus.",
    "Scan Status:  2/3",
    "path/to/file/3.rb is ok.",
    "Scan Status:  3/3",
    '{"msg":"2 files were OK. 1 were infected!","badFiles":["path/to/file/2.mov"],"goodFiles":["path/to/file/1.jpg","path/to/file/3.rb"],"viruses":["A.Virus"]}',
  ],
  ...[[], [], []],
  ["Stream is not infected! Yay!"],
  ["Stream is not infected! Yay!"],
  ...[[], []],
  ["ClamAV is still working!"],
  ["ClamAV is still working!"],
  [],
];

describe("clamscan's README", () => {
  let clamd: ScriptedClamd;
  let root: string;
  let examples: readonly string[];
  before(async () => {
    clamd = await startScriptedClamd();
    root = await mkdtemp(join(tmpdir(), "clamscan-readme-"));
    const readme = join(dirname(createRequire(import.meta.url).resolve("clamscan/package.json")), "README.md");
    examples = [...(await readFile(readme, "utf8")).matchAll(/```javascript\n(.+?)```/gs)].map(([, code = ""]) => code);
    for (const [path, text] of [
      ["some/file.zip", "a virus"],
      ["foo/bar/good.txt", "fine"],
      ["a/picture/for_example.jpg", "a virus"],
      ["some/path/to/scan/bad.txt", "a virus"],
      ["path/to/file/1.jpg", "fine"],
      ["path/to/file/2.mov", "a virus"],
      ["path/to/file/3.rb", "fine"],
      ["path/to/fileList.txt", join(root, "path/to/file/1.jpg")],
    ] as const) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text);
    }
  });
  after(async () => {
    await clamd[Symbol.asyncDispose]();
    await rm(root, { recursive: true });
  });

  test("has as many examples as are run here", () => {
    assert.equal(examples.length, spoken.length);
    for (const [wrong] of mends)
      assert.ok(
        examples.some((code) => code.includes(wrong)),
        wrong,
      );
  });

  for (const [index, expected] of spoken.entries()) {
    test(`example ${index + 1} runs`, async () => {
      const said: string[] = [];
      const running = runExample(examples[index] ?? "", (line) => {
        said.push(line.replaceAll(`${root}/a/`, "").replaceAll(`${root}/`, ""));
      });
      // Its options ask for what a socket cannot do: that is told, where clamscan ignores it.
      if (index === 2) await assert.rejects(running, /removeInfected/);
      else await running;
      while (said.length < expected.length) await new Promise(setImmediate);
      assert.deepEqual(said, expected);
    });
  }

  /** Resolves when the example and the scanner that it makes are through; what it leaves to callbacks may come later. */
  async function runExample(code: string, say: (line: string) => void): Promise<void> {
    let mended = code;
    for (const [wrong, right] of mends) mended = mended.replaceAll(wrong, right);
    const { hostname, port } = new URL(clamd.url);
    mended = mended
      .replaceAll(/'\/(some|foo|a|path)\//g, `'${root}/$1/`)
      .replaceAll("socket: '/var/run/clamd.scan/clamd.sock'", "socket: false")
      .replaceAll("port: 3310", `port: ${port}`);
    const options = { clamdscan: { host: hostname, port: Number(port) } };
    const clamscan = await new NodeClam().init(options);
    const output = join(root, "downloaded");
    const globals = {
      require: (name: string) =>
        ({ clamscan: NodeClam, stream, Axios: { get: () => stream.Readable.from([Buffer.from("fine")]) } })[name],
      console: { log: (...words: unknown[]) => say(words.map(wordOf).join(" ")), error: (word: unknown) => say(wordOf(word)) },
      process: { env: {} },
      stream: stream.Readable.from([Buffer.from("foooooobarrrrr")]),
      path: `${root}/some/path/to/scan`,
      files: [join(root, "path/to/file/1.jpg"), join(root, "path/to/file/2.mov")],
      some_url: "http://127.0.0.1:1/",
      some_local_file: output,
      ...{ NodeClam, clamscan, options, fs },
    };
    const AsyncFunction = (async () => {}).constructor as new (...args: string[]) => (...args: unknown[]) => Promise<unknown>;
    const behind = `
      if (typeof ClamScan !== "undefined") await ClamScan;
      if (typeof output !== "undefined") { await new Promise((resolve) => output.on("close", resolve)); }`;
    process.env.CLAMGATE_URL = clamd.url;
    try {
      await new AsyncFunction(...Object.keys(globals), `{${mended}\n${behind}\n}`)(...Object.values(globals));
    } finally {
      delete process.env.CLAMGATE_URL;
    }
    if (mended.includes("some_local_file")) assert.equal(await readFile(output, "utf8"), "fine");
  }
});

function wordOf(word: unknown): string {
  return typeof word === "object" ? JSON.stringify(word) : String(word);
}
