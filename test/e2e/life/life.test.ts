import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { access, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { upload } from "../client.ts";
import { type GatewayProcess, startGatewayProcess } from "../gateway-process.ts";
import { eicar, unknownBytes } from "../samples.ts";

const main = new URL("../../../src/main.ts", import.meta.url).pathname;

describe("the gateway's life", () => {
  test("ends with exit code 0 at SIGTERM, and lets what is under way finish", async () => {
    const gateway = await startGatewayProcess();
    await gateway.ready();
    const clamd = lastClamd(gateway);
    const slow = await openUpload(gateway);
    gateway.signal("SIGTERM");
    await gateway.line("SIGTERM: stopping");
    await assert.rejects(fetch(gateway.url), "no new connections");
    slow.finish();
    assert.match(await slow.answer, /^HTTP\/1\.1 200 OK/);
    assert.equal(await gateway.ended, 0);
    assert.equal(isAlive(clamd), false);
    assert.deepEqual(
      (await readdir(gateway.state)).filter((name) => name.startsWith("run-")),
      [],
    );
    await gateway[Symbol.asyncDispose]();
  });

  test("cuts what is still under way when the grace is over", async () => {
    const gateway = await startGatewayProcess({ env: { SHUTDOWN_GRACE: "300ms" } });
    await gateway.ready();
    const slow = await openUpload(gateway);
    gateway.signal("SIGTERM");
    assert.equal(await gateway.ended, 0);
    assert.doesNotMatch(await slow.answer, / 200 /);
    await gateway[Symbol.asyncDispose]();
  });

  test("ends at once at a second signal", async () => {
    const gateway = await startGatewayProcess();
    await gateway.ready();
    const clamd = lastClamd(gateway);
    const slow = await openUpload(gateway);
    gateway.signal("SIGTERM");
    await gateway.line("SIGTERM: stopping");
    await new Promise((resolve) => setTimeout(resolve, 1100)); // nearer ones are taken for one
    gateway.signal("SIGTERM");
    assert.equal(await gateway.ended, 1);
    while (isAlive(clamd)) await new Promise(setImmediate);
    await slow.answer;
    await gateway[Symbol.asyncDispose]();
  });

  test("refuses a STATE_DIRECTORY that another gateway uses", async () => {
    const gateway = await startGatewayProcess();
    const second = spawnSync(process.execPath, [main, "serve"], {
      env: { ...process.env, HOST: "127.0.0.1", PORT: "0", STATE_DIRECTORY: gateway.state, SIGNATURE_CHECKS: "0" },
      encoding: "utf8",
    });
    assert.equal(second.status, 1);
    assert.match(second.stderr, new RegExp(`${gateway.pid}`));
    await gateway[Symbol.asyncDispose]();
  });

  test("reports all wrong settings at once, starts nothing and exits with 1", async () => {
    const state = join(tmpdir(), `clamgate-never-${process.pid}`);
    const { status, stderr, stdout } = spawnSync(process.execPath, [main, "serve"], {
      env: { ...process.env, STATE_DIRECTORY: state, PORT: "http", MAX_FILE_SIZE: "25X", VERDICT_CACHE: "etcd:" },
      encoding: "utf8",
    });
    assert.equal(status, 1);
    assert.equal(stdout, "");
    for (const fault of [/PORT: "http"/, /MAX_FILE_SIZE: "25X"/, /VERDICT_CACHE: "etcd:"/]) assert.match(stderr, fault);
    await assert.rejects(access(state));
  });

  test("without the flag never takes the built-in test signatures: not ready, and scans are refused with 503", async () => {
    const gateway = await startGatewayProcess({ args: ["serve"] });
    try {
      await gateway.line("signatures: none yet");
      const ready = await fetch(`${gateway.url}/readyz`);
      assert.equal(ready.status, 503);
      assert.equal((await fetch(`${gateway.url}/livez`)).status, 200);
      const answer = await upload(gateway.url, unknownBytes(10));
      assert.equal(answer.status, 503);
      assert.equal(answer.headers["retry-after"], "5");
    } finally {
      await gateway[Symbol.asyncDispose]();
    }
  });

  test("works on a read-only DATABASE_DIRECTORY", async () => {
    const directory = await mkdtemp(join(tmpdir(), "clamgate-signatures-"));
    await mkdir(join(directory, "empty"));
    await writeFile(join(directory, "site.hdb"), "44d88612fea8a8f36de82e1278abb02f:68:Site.Eicar\n");
    spawnSync("chmod", ["-R", "a-w", directory]);
    const gateway = await startGatewayProcess({ args: ["serve"], env: { DATABASE_DIRECTORY: directory } });
    try {
      await gateway.ready();
      const answer = await upload(gateway.url, eicar);
      assert.equal(answer.status, 406);
      assert.match(answer.body, /Site\.Eicar/);
      assert.equal(answer.headers["x-clamgate-signatures"], undefined);
      assert.deepEqual((await readdir(directory)).sort(), ["empty", "site.hdb"]);
    } finally {
      await gateway[Symbol.asyncDispose]();
      spawnSync("chmod", ["-R", "u+w", directory]);
      await rm(directory, { recursive: true, force: true });
    }
  });
});

interface OpenUpload {
  /** Everything the gateway sent until the connection ended. */
  readonly answer: Promise<string>;
  finish(): void;
}

/** A form that the gateway has begun to read, and that waits for its end. */
async function openUpload(gateway: GatewayProcess, sentBytes = 10): Promise<OpenUpload> {
  const end = "\r\n--x--\r\n";
  const head = '--x\r\nContent-Disposition: form-data; name="f"; filename="slow"\r\n\r\n';
  const length = head.length + sentBytes + end.length;
  const socket = connect(gateway.port, "127.0.0.1");
  const answer = new Promise<string>((resolve) => {
    let text = "";
    socket.setEncoding("latin1").on("data", (more) => {
      text += more;
    });
    socket.on("error", () => {}).on("close", () => resolve(text)); // a cut is an answer too
  });
  const request = `POST /v2/scan HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: ${length}\r\n\r\n`;
  socket.write(request + head + "a".repeat(sentBytes));
  // Until then the connection is an idle one, which ends with the gateway.
  while ((await gateway.metric("clamgate_spool_bodies")) === 0) await new Promise(setImmediate);
  return { answer, finish: () => socket.write(end) };
}

function lastClamd(gateway: GatewayProcess): number {
  const started = gateway.lines.findLast((line) => line.includes('"child started"'));
  return Number(JSON.parse(started ?? "{}").pid);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
