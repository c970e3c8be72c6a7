/** F11, F21, F22, F23: too little memory for clamd, too few descriptors, a clock that jumps, a process that stands still. */

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { findProgram } from "../../src/program.ts";
import { startGatewayProcess } from "../e2e/gateway-process.ts";
import { marker } from "../live/clamd.ts";
import { eventually } from "../supervise/stage.ts";
import { residueOf } from "./residue.ts";
import { openFaultStage } from "./stage.ts";
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
      const tried = () => gateway.metric("clamgate_reloads_total");
      const before = await tried();
      // More than fits beside the set that is loaded.
      await writeFile(join(stage.databaseDirectory, "large.ndb"), largeSignatures(300_000));
      while ((await tried()) === before) await rest.raw(subjects.infected(500));
      await gateway.ready();
      assert.equal((await rest.raw(subjects.infected(500))).answer?.status, 406);
      const refused = await gateway.metric('clamgate_reloads_total{outcome="rejected"}');
      context.diagnostic(`${refused} sets refused; meanwhile ${JSON.stringify(stage.account.totals().statuses)}`);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});

function largeSignatures(count: number): string {
  const lines: string[] = [];
  let state = 1;
  for (let index = 0; index < count; index += 1) {
    let hex = "";
    for (let word = 0; word < 6; word += 1) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      hex += state.toString(16).padStart(8, "0");
    }
    lines.push(`Clamgate.Large.${index}:0:*:${hex}\n`);
  }
  return lines.join("");
}

describe("too few descriptors", () => {
  test("stop neither the gateway nor what it has begun: it takes connections again when some are free (F21)", async (context) => {
    await using stage = await openFaultStage({ launcher: ["prlimit", "--nofile=256:256"], livezMaxMs: null });
    const { gateway, rest, subjects } = stage;
    assert.equal((await rest.raw(subjects.infected(500))).answer?.status, 406);
    const sockets: Socket[] = [];
    for (let index = 0; index < 400; index += 1) {
      const socket = connect(gateway.port, "127.0.0.1");
      socket.on("error", () => {}); // refused or cut: no fault here
      socket.write("POST /scanHandlerBody HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n");
      sockets.push(socket);
    }
    await delay(1_000); // with none left
    assert.doesNotThrow(() => process.kill(gateway.pid, 0));
    const open = sockets.filter(({ destroyed }) => !destroyed).length;
    for (const socket of sockets) socket.destroy();
    await eventually("it serves again", async () => (await rest.raw(subjects.infected(500))).answer?.status === 406);
    context.diagnostic(`${open} of 400 connections were open with 256 descriptors`);
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
      for (let jump = 0; jump < 4; jump += 1) {
        const running = Array.from({ length: 40 }, (_, index) =>
          rest.upload([index % 2 === 0 ? subjects.infected(50_000) : subjects.clean(50_000), popular]),
        );
        gateway.signal("SIGUSR2");
        for (const { answer } of await Promise.all(running)) assert.equal(answer?.status, 406);
        assert.equal((await fetch(`${gateway.url}/readyz`)).status, 200);
      }
      assert.equal(gateway.lines.filter((line) => line === "the clock has jumped").length, 4);
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
