/** F11, F21, F22, F23: too little memory for clamd, too few descriptors, a clock that jumps, a process that stands still. */

import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { findProgram } from "../../src/process/find-program.ts";
import { startGatewayProcess } from "../e2e/gateway-process.ts";
import { marker } from "../live/clamd.ts";
import { eventually } from "../process/stage.ts";
import { residueOf } from "./harness/residue.ts";
import { formOf } from "./harness/rest-client.ts";
import { openFaultStage } from "./harness/stage.ts";
import { largeSignatures } from "./large-signatures.ts";
import { testDatabase } from "./test-database.ts";

describe("a clamd with too little memory", () => {
  test("at its start is tried again until it has enough; until then the gateway is not ready (F11)", async (context) => {
    const directory = await mkdtemp(join(tmpdir(), "clamgate-limited-"));
    try {
      const clamd = await findProgram("clamd", process.env.PATH);
      const limit = join(directory, "limit");
      await writeFile(limit, "");
      const limited = `#!/bin/sh\ntest -e ${limit} && ulimit -v 50000\nexec ${clamd} "$@"\n`;
      await writeFile(join(directory, "clamd"), limited, { mode: 0o755 });
      await using database = await testDatabase();
      const env = { PATH: `${directory}:${process.env.PATH}`, DATABASE_DIRECTORY: database.path, QUEUE_TIMEOUT: "300ms" };
      await using gateway = await startGatewayProcess({ args: ["serve"], env });
      const scan = async () => (await fetch(`${gateway.url}/scanHandlerBody`, { method: "POST", body: marker })).status;
      const ends = () => gateway.lines.filter((line) => line.includes('"child exited"')).length;
      await eventually("clamd has failed", () => ends() > 0);
      assert.equal((await fetch(`${gateway.url}/livez`)).status, 200);
      assert.equal((await fetch(`${gateway.url}/readyz`)).status, 503);
      assert.equal(await scan(), 503);
      await eventually("it has failed again", () => ends() > 1);
      assert.equal((await residueOf(gateway)).zombies, 0);
      await rm(limit);
      await gateway.ready();
      assert.equal(await scan(), 406);
      context.diagnostic(`${ends()} starts had failed`);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  test("while it loads new signatures keeps those it has, or is started again with a set that loads (F11)", async (context) => {
    const directory = await mkdtemp(join(tmpdir(), "clamgate-limited-"));
    try {
      const clamd = await findProgram("clamd", process.env.PATH);
      await writeFile(join(directory, "clamd"), `#!/bin/sh\nulimit -v 400000\nexec ${clamd} "$@"\n`, { mode: 0o755 });
      await using stage = await openFaultStage({ env: { PATH: `${directory}:${process.env.PATH}`, MAX_THREADS: "2" } });
      const { gateway, rest, subjects } = stage;
      const loaded = () => gateway.metric('clamgate_reloads_total{outcome="loaded"}');
      const before = await loaded();
      // Refused, or to be tried again.
      const failure = () => gateway.lines.find((line) => /signatures rejected|could not be loaded/.test(line));
      // More than fits beside the set that is loaded.
      await writeFile(join(stage.databaseDirectory, "large.ndb"), largeSignatures(2_000_000));
      gateway.signal("SIGHUP");
      while (failure() === undefined && (await loaded()) === before) await rest.raw(subjects.infected(500));
      assert.equal(await loaded(), before, "memory ran short");
      await gateway.ready();
      assert.equal((await rest.raw(subjects.infected(500))).answer?.status, 406);
      const restarts = await gateway.metric('clamgate_child_restarts_total{child="clamd"}');
      const { statuses } = stage.account.totals();
      context.diagnostic(`${failure()}; ${restarts} restarts; meanwhile ${JSON.stringify(statuses)}`);
      // Not for what stands in it.
      const wasLost = gateway.lines.some((line) => line.includes('"child exited"'));
      assert.ok(wasLost || gateway.lines.some((line) => /memory/i.test(line)), failure() ?? "");
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});

/** Byte by byte until it is told to end; then all that is left. */
async function* paced(bytes: Buffer, end: AbortSignal): AsyncGenerator<Buffer> {
  let at = 0;
  for (; at < bytes.length - 1 && !end.aborted; at += 1) {
    yield bytes.subarray(at, at + 1);
    await delay(20, undefined, { signal: end }).catch(() => {}); // the client's pace
  }
  yield bytes.subarray(at);
}

describe("too few descriptors", () => {
  test("stop neither the gateway nor what it has begun: it takes connections again when some are free (F21)", async (context) => {
    await using stage = await openFaultStage({ launcher: ["prlimit", "--nofile=256:256"], livezMaxMs: null });
    const { gateway, rest, subjects } = stage;
    const descriptors = async () => (await readdir(`/proc/${gateway.pid}/fd`)).length;
    const begin = (end: AbortSignal, subject = subjects.infected(3_000)) =>
      rest.send([subject], { path: "/scanHandlerBody", body: paced(subject.bytes, end) });
    assert.equal((await rest.raw(subjects.infected(500))).answer?.status, 406);
    const [during, after] = [new AbortController(), new AbortController()];
    const begun = [begin(during.signal), begin(after.signal)];
    await eventually("both have begun", async () => (await gateway.metric("clamgate_spool_bodies")) === 2);
    const sockets: Socket[] = [];
    for (let index = 0; index < 400; index += 1) {
      const socket = connect(gateway.port, "127.0.0.1");
      socket.on("error", () => {}); // refused or cut: no fault here
      socket.write("POST /scanHandlerBody HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n");
      sockets.push(socket);
    }
    const open = () => sockets.filter(({ destroyed }) => !destroyed).length;
    await eventually("it has none left", async () => (await descriptors()) >= 254);
    await eventually("it takes no more connections", () => open() < 300);
    during.abort();
    await eventually("not even its clamd is in reach", () => gateway.lines.some((line) => line.includes('"backend down"')));
    context.diagnostic(`${open()} of 400 connections were open with 256 descriptors`);
    for (const socket of sockets) socket.destroy();
    after.abort();
    for (const { answer } of await Promise.all(begun)) assert.equal(answer?.status, 406);
    await eventually("it serves again", async () => (await rest.raw(subjects.infected(500))).answer?.status === 406);
    assert.equal(await gateway.metric('clamgate_child_restarts_total{child="clamd"}'), 0);
  });
});

/** Preloaded into the gateway: SIGUSR2 moves its clock by a day, forwards and then backwards. */
const clockShim = `
const real = Date.now; let shift = 0;
Date.now = () => real() + shift;
globalThis.Date = new Proxy(Date, { construct: (D, a) => a.length ? new D(...a) : new D(real() + shift) });
process.on("SIGUSR2", () => { shift = shift > 0 ? -86_400_000 : 86_400_000; console.log("the clock has jumped"); });
`;

describe("a clock that jumps by a day", () => {
  test("forwards and backwards changes no verdict and ends no wait (F22)", async () => {
    const directory = await mkdtemp(join(tmpdir(), "clamgate-clock-"));
    try {
      const shim = join(directory, "clock.mjs");
      await writeFile(shim, clockShim);
      await using stage = await openFaultStage({ env: { NODE_OPTIONS: `--import=${shim}` } });
      const { gateway, rest, subjects } = stage;
      const popular = subjects.infected(500);
      const jumps = () => gateway.lines.filter((line) => line === "the clock has jumped").length;
      for (let jump = 1; jump <= 4; jump += 1) {
        const jumped = Promise.withResolvers<void>();
        const running = Array.from({ length: 40 }, (_, index) => {
          const form = [index % 2 === 0 ? subjects.infected(50_000) : subjects.clean(50_000), popular];
          const { headers, body } = formOf(form);
          const halves = async function* () {
            yield body.subarray(0, 20_000);
            await jumped.promise;
            yield body.subarray(20_000);
          };
          return rest.send(form, { path: "/v2/scan", headers, body: halves() });
        });
        await eventually("all are on the way", async () => (await gateway.metric("clamgate_spool_bodies")) === running.length);
        gateway.signal("SIGUSR2");
        await eventually("the clock has jumped", () => jumps() === jump);
        jumped.resolve();
        for (const { answer } of await Promise.all(running)) assert.equal(answer?.status, 406);
        assert.equal((await fetch(`${gateway.url}/readyz`)).status, 200);
      }
      assert.equal(stage.account.totals().errors, 0);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});

describe("a gateway that stands still for a moment", () => {
  test("cuts no client that kept its pace, and loses no verdict (F23)", async (context) => {
    await using stage = await openFaultStage({
      env: { CLIENT_IDLE_TIMEOUT: "400ms", CLIENT_MIN_RATE: "100" },
      livezMaxMs: 4_000,
    });
    const { gateway, rest, subjects } = stage;
    const one = subjects.infected(3_000);
    const two = subjects.clean(3_000);
    const paced = async function* (bytes: Buffer) {
      for (let at = 0; at < bytes.length; at += 150) {
        yield bytes.subarray(at, at + 150);
        await delay(100); // the client's pace
      }
    };
    const send = (subject: typeof one) => rest.send([subject], { path: "/scanHandlerBody", body: paced(subject.bytes) });
    const running = [send(one), send(two)];
    for (let stop = 0; stop < 2; stop += 1) {
      await delay(200); // in mid-upload
      process.kill(gateway.pid, "SIGSTOP");
      await delay(700); // longer than a client may be silent
      process.kill(gateway.pid, "SIGCONT");
    }
    const statuses = (await Promise.all(running)).map(({ answer }) => answer?.status);
    context.diagnostic(`answers: ${statuses.join()}`);
    assert.deepEqual(statuses, [406, 200]);
  });
});
