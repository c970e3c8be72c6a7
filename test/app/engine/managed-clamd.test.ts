import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import type { Socket } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { createManagedClamd, type ManagedClamd } from "../../../src/app/engine/managed-clamd.ts";
import { dialClamd } from "../../../src/clamd/connection.ts";
import { createPool } from "../../../src/clamd/pool.ts";
import { epochCanary } from "../../../src/clamd/proof.ts";
import type { GatewayEvent } from "../../../src/core/events.ts";
import { openChildRecords } from "../../../src/process/child-records.ts";
import { findProgram } from "../../../src/process/find-program.ts";
import { canaryBytes, epochOf } from "../../../src/signatures/canary.ts";
import { openEpochs } from "../../../src/signatures/epochs.ts";
import type { LoadResult } from "../../../src/signatures/set-loader.ts";
import { readSignatureSet } from "../../../src/signatures/signature-set.ts";
import { largeSignatures } from "../../fault/large-signatures.ts";
import { testLimits } from "../../live/clamd.ts";
import { eventually, processesWith } from "../../process/stage.ts";
import { scratchDirectory } from "../../scratch-directory.ts";
import { textSignature, writeFiles } from "../../signatures/scratch.ts";

const one = { "own.ndb": textSignature("One", "aaaaaaaa") };
const two = { "own.ndb": textSignature("Two", "bbbbbbbb") };
/** Takes clamd long enough to be killed meanwhile. */
const large = { "large.ndb": largeSignatures(100_000) };

interface Stage extends AsyncDisposable {
  readonly clamd: ManagedClamd;
  readonly events: readonly GatewayEvent[];
  /** Of the clamd that was started last. */
  pid(): number;
  /** Has it load these files and no others. */
  load(files: Readonly<Record<string, string>>): Promise<LoadResult>;
  /** Whether RELOAD has been sent. */
  isAsked(): boolean;
  /** Called with each line of clamd's. */
  onLine: (line: string) => void;
}

/** Its disposal fails when a process of it is left. */
async function openStage(): Promise<Stage> {
  const { path, [Symbol.asyncDispose]: remove } = await scratchDirectory();
  const clock = () => performance.now();
  const events: GatewayEvent[] = [];
  const sockets: Socket[] = [];
  const pool = createPool({ queueMax: 10, queueMaxPerClient: 10, queueTimeoutMs: 1_000, clock });
  const epochs = await openEpochs({ directory: join(path, "epochs") });
  const emit = (event: GatewayEvent) => {
    events.push(event);
    if (event.kind === "child-line") stage.onLine(event.line);
  };
  const clamd = createManagedClamd({
    program: (await findProgram("clamd", process.env.PATH)) ?? assert.fail("clamd is not installed; npm test installs it"),
    runRoot: path,
    databaseDirectory: epochs.currentPath,
    limits: testLimits,
    backend: {
      dial(address) {
        const socket = dialClamd(address);
        sockets.push(socket);
        return socket;
      },
      canary: epochCanary(canaryBytes, epochOf),
      limits: "",
      probes: [],
      isStrict: false,
      slots: () => 2,
      hasSpareSlot: true,
      sharesSpool: true,
      maxScanTimeMs: null,
      scanTimeoutMs: 10_000,
      clock,
      emit,
    },
    pool,
    records: await openChildRecords(join(path, "children")),
    emit,
  });
  const stage: Stage = {
    clamd,
    events,
    pid: () => events.findLast((event) => event.kind === "child-started")?.pid ?? assert.fail("there is no clamd"),
    async load(files) {
      const source = await mkdtemp(join(path, "set-"));
      await writeFiles(source, files);
      const epoch = await epochs.prepare(await readSignatureSet(source));
      await epochs.activate(epoch);
      return clamd.load(epoch.id);
    },
    isAsked: () => sockets.some(({ bytesWritten }) => bytesWritten === "zRELOAD\0".length),
    onLine: () => {},
    async [Symbol.asyncDispose]() {
      await clamd.stop();
      pool.close();
      const left = await processesWith(path);
      await remove();
      assert.deepEqual(left, [], "processes are left");
    },
  };
  return stage;
}

function fileOf(result: LoadResult): string | undefined {
  return result.ok ? undefined : result.file;
}

function blameOf(result: LoadResult): string {
  return result.ok ? "nothing" : result.blame;
}

describe("createManagedClamd", { concurrency: 3 }, () => {
  test("loads a set though it was stopped when it was asked, for longer than any other answer is waited for", async () => {
    await using stage = await openStage();
    assert.deepEqual(await stage.load(one), { ok: true, faults: [] });
    process.kill(stage.pid(), "SIGSTOP");
    const loading = stage.load(two);
    await eventually("it is asked", stage.isAsked);
    await delay(4_000); // the fault
    process.kill(stage.pid(), "SIGCONT");
    assert.deepEqual(await loading, { ok: true, faults: [] });
    assert.equal(stage.events.filter(({ kind }) => kind === "child-started").length, 1);
  });

  test("does not blame a set for its own end, be it before the answer to RELOAD or in the midst of the load", async () => {
    await using stage = await openStage();
    assert.deepEqual(await stage.load(one), { ok: true, faults: [] });
    process.kill(stage.pid(), "SIGSTOP");
    const unanswered = stage.load(two);
    await eventually("it is asked", stage.isAsked);
    process.kill(stage.pid(), "SIGKILL");
    assert.equal(blameOf(await unanswered), "unclear");

    await eventually("it is lost", () => !stage.clamd.canLoad());
    await eventually("it is back", () => stage.clamd.canLoad());
    stage.onLine = (line) => {
      if (line.startsWith("Reading databases from")) process.kill(stage.pid(), "SIGKILL");
    };
    const result = await stage.load(large);
    stage.onLine = () => {};
    assert.equal(blameOf(result), "unclear");
    assert.match(JSON.stringify(result), /SIGKILL/);
    await eventually("it is back again", () => stage.clamd.canLoad());
    assert.deepEqual(await stage.load(one), { ok: true, faults: [] });
  });

  test("blames a set that it names a fault in, and goes on", async () => {
    await using stage = await openStage();
    assert.deepEqual(await stage.load(one), { ok: true, faults: [] });
    for (const [file, content] of [
      ["bad.ndb", "rubbish\n"],
      ["bad: one.hsb", "rubbish\n"],
      ["daily.cvd", "rubbish\n"],
      ["bad.ldb", "Bad;Engine:81-255,Target:0;0;rubbish\n"],
    ] as const) {
      const result = await stage.load({ ...one, [file]: content, "last.ndb": textSignature("Last", "cccccccc") });
      assert.equal(blameOf(result), "set");
      assert.equal(fileOf(result), file);
    }
    assert.equal(stage.clamd.canLoad(), true);
    assert.deepEqual(await stage.load(two), { ok: true, faults: [] });
  });

  test("blames such a set at its start, too", async () => {
    await using stage = await openStage();
    const result = await stage.load({ "bad.ndb": "rubbish\n" });
    assert.equal(blameOf(result), "set");
    assert.equal(fileOf(result), "bad.ndb");
    assert.deepEqual(await stage.load(one), { ok: true, faults: [] });
  });

  test("names a YARA file of which not all compiles, and loads the rest", async () => {
    await using stage = await openStage();
    const yara = 'rule good { strings: $a = "aaaaaaaa" condition: $a }\nrule bad { strings: $a = "b" condition: $c }\n';
    const reason = 'line 2: undefined string "$c" (1 of its rules do not compile, 1 are in use)';
    for (const files of [one, two]) {
      assert.deepEqual(await stage.load({ ...files, "own.yar": yara }), { ok: true, faults: [{ file: "own.yar", reason }] });
    }
    assert.deepEqual(await stage.load(one), { ok: true, faults: [] });
  });

  test("cannot load while it is being restarted", async () => {
    await using stage = await openStage();
    assert.deepEqual(await stage.load(one), { ok: true, faults: [] });
    process.kill(stage.pid(), "SIGKILL");
    await eventually("it is lost", () => !stage.clamd.canLoad());
    assert.equal(blameOf(await stage.clamd.load("0123456789abcdef")), "engine");
    await eventually("it is back", () => stage.clamd.canLoad());
    assert.deepEqual(await stage.load(two), { ok: true, faults: [] });
  });

  test("is never started once it is stopped", async () => {
    await using stage = await openStage();
    await stage.clamd.stop();
    assert.equal(stage.clamd.canLoad(), false);
    assert.equal(blameOf(await stage.load(one)), "engine");
    assert.deepEqual(stage.events, []);
  });

  test("ends a start that is under way when it is stopped", async () => {
    await using stage = await openStage();
    const loading = stage.load(large);
    await eventually("it is being started", () => stage.events.some(({ kind }) => kind === "child-started"));
    await stage.clamd.stop();
    assert.equal(blameOf(await loading), "engine");
    assert.equal(stage.events.filter(({ kind }) => kind === "child-started").length, 1);
  });
});
