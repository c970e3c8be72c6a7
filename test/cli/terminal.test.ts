import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type RestServer, startRest } from "../front/rest/rest-server.ts";
import { screenOf, startOnTerminal, type TerminalOptions } from "./terminal.ts";

const virus = "virus:A.Virus";
/** Painted anew several times a second: with the number of files first. */
const progress = /\r\d+ files, .+?␛\[K/;
const color = /␛\[[0-9;]*m/;
const wiped = "\r␛[K";

describe("clamgate scan on a terminal (C7)", () => {
  let gateway: RestServer;
  let root: string;
  let path: string;
  before(async () => {
    gateway = await startRest();
    root = await mkdtemp(join(tmpdir(), "clamgate-terminal-"));
    path = join(root, "bad");
    await writeFile(path, virus);
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await rm(root, { recursive: true });
  });

  const both = ["stdout", "stderr"] as const;
  /** It waits for its standard input, which is the first to be scanned. */
  const start = (options: TerminalOptions, ...args: string[]) =>
    startOnTerminal(["scan", "--to", gateway.url, "--jobs", "1", ...args, "-", path], options);

  /** Standard input ends only once progress has been seen. */
  async function run(options: TerminalOptions, ...args: string[]) {
    const started = start(options, ...args);
    await started.until("terminal", progress);
    return await started.finish(virus);
  }

  const results = (screen: readonly string[]) => {
    const [first = "", second = "", summary = "", engine = "", ...more] = screen;
    assert.deepEqual([first, second], ["infected    -: A.Virus", `infected    ${path}: A.Virus`]);
    assert.match(summary, /^2 files \(26 B\) in [\d.]+ s: 0 clean, 2 infected, 0 unscannable, 0 errors$/);
    assert.match(engine, /^ClamAV 1\.4\.3, signatures 27800/);
    assert.deepEqual(more, [""]);
  };

  test("tells how far it is in one line, which is gone before a result is written, and in the end", async () => {
    const { code, terminal } = await run({ streams: both, columns: 500 });
    assert.equal(code, 1);
    assert.match(terminal, /\r0 files, 0 B, 0 not clean, 0 errors, \d+ s␛\[K/);
    const [before = ""] = terminal.split("␛[31minfected");
    assert.ok(before.endsWith(wiped), JSON.stringify(before));
    results(screenOf(terminal));
  });

  test("paints no line that a narrow terminal would break", async () => {
    const { terminal } = await run({ streams: both, columns: 30 });
    const painted = [...terminal.matchAll(/\r([^\r\n]*?)␛\[K/g)].map(([, text = ""]) => text.length);
    assert.equal(Math.max(...painted), 29);
  });

  test("shows no progress on a terminal that knows no lines to wipe, and none with -q", async () => {
    const plain = start({ streams: both, env: { TERM: "dumb" } }, "-v");
    const quiet = start({ streams: both }, "-q");
    await plain.until("terminal", /scans/);
    // By now it would have been there, as it is in one that was begun later.
    await run({ streams: both });
    const { terminal } = await plain.finish(virus);
    assert.doesNotMatch(terminal, progress);
    const told = await quiet.finish(virus);
    assert.deepEqual([told.code, told.terminal], [1, ""]);
  });

  test("shows it to people alone: pipes get results, without colours", async () => {
    const piped = await run({ streams: ["stderr"] });
    assert.doesNotMatch(piped.stdout, /[␛\r]/);
    results(piped.stdout.split("\n"));
    assert.deepEqual(screenOf(piped.terminal), [""]);

    const onlyResults = start({ streams: ["stdout"] }, "-v");
    await onlyResults.until("stderr", /scans/);
    await run({ streams: ["stderr"] });
    const { terminal, stderr } = await onlyResults.finish(virus);
    assert.match(terminal, color);
    assert.doesNotMatch(terminal + stderr, progress);
    assert.doesNotMatch(stderr, /[␛\r]/);
  });

  test("uses no colours under NO_COLOR, unless it is empty, and none in a file", async () => {
    const [without, empty] = [
      await run({ streams: both, env: { NO_COLOR: "1" } }),
      await run({ streams: both, env: { NO_COLOR: "" } }),
    ];
    assert.doesNotMatch(without.terminal, color);
    assert.match(without.terminal, progress);
    assert.match(empty.terminal, color);
    const file = join(root, "report");
    await run({ streams: both }, "-o", file);
    results((await readFile(file, "utf8")).split("\n"));
  });
});
