/** `/readyz` says degraded whenever someone should look, why, and what to do; and no longer than that. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "../../process/stage.ts";
import { makeCertificate } from "../certificate.ts";
import { upload } from "../client.ts";
import { type GatewayProcess, startGatewayProcess } from "../gateway-process.ts";
import { unknownBytes } from "../samples.ts";

interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  readonly action?: string;
}

const mebibyte = 1024 * 1024;
/** The certificate's files are looked at every 5 seconds, the signatures every 5. */
const options = { timeout: 90_000 };

async function checkOf({ url }: GatewayProcess, name: string): Promise<Check> {
  const { checks } = (await (await fetch(`${url}/readyz`)).json()) as { readonly checks: readonly Check[] };
  const check = checks.find((one) => one.name === name);
  assert.ok(check !== undefined, name);
  assert.equal(check.ok, check.action === undefined, "what is not well says what to do");
  return check;
}

describe("/readyz", () => {
  let directory = "";
  let database = "";
  let gateway: GatewayProcess;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "clamgate-readyz-"));
    database = await mkdtemp(join(directory, "signatures-"));
    await writeFile(join(database, "site.hdb"), "44d88612fea8a8f36de82e1278abb02f:68:Site.Eicar\n");
    const { cert, key } = await makeCertificate(directory);
    const limits = { MAX_FILE_SIZE: "8M", SPOOL_MAX: "8M", SPOOL_MEMORY: "0" };
    const env = {
      DATABASE_DIRECTORY: database,
      SSL_PORT: "0",
      SSL_CERT: cert,
      SSL_KEY: key,
      DOWNLOAD_PROXY_PORT: "off",
      ...limits,
    };
    gateway = await startGatewayProcess({ args: ["serve"], env });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  const count = (text: string) => gateway.lines.filter((line) => line.includes(text)).length;

  /** At its files, as it does by itself every 5 seconds. */
  async function lookAnew(): Promise<void> {
    const before = count("read anew: ");
    gateway.signal("SIGHUP");
    await eventually("it has looked", () => count("read anew: ") > before);
  }

  test("is 503 and says loading at the start, while a request waits for its verdict", options, async () => {
    const early = upload(gateway.url, unknownBytes(10));
    const answer = await fetch(`${gateway.url}/readyz`);
    const { status } = (await answer.json()) as { readonly status: string };
    assert.deepEqual([answer.status, status], [503, "loading"]);
    assert.equal((await early).status, 200);
    await gateway.ready();
  });

  test("names what is loaded where that is hand-made alone, and so does /version", options, async () => {
    const { ok, detail } = await checkOf(gateway, "signatures");
    assert.deepEqual([ok, detail], [false, "loaded: 1 file of your own"]);
    const version = (await (await fetch(`${gateway.url}/version`)).json()) as { readonly Signature_files: string };
    assert.equal(version.Signature_files, "site.hdb");
  });

  test("tells of a certificate that ends soon, and of a new one that cannot be used, once in the log", options, async () => {
    const soon = await checkOf(gateway, "certificate");
    assert.equal(soon.ok, false);
    assert.match(soon.detail, /^valid until \d{4}-\d\d-\d\d$/);
    const cert = join(directory, "server.crt");
    await writeFile(cert, "no certificate");
    const line = await gateway.line("the TLS certificate could not be renewed");
    assert.ok(line.includes(cert), line);
    const broken = await checkOf(gateway, "certificate");
    assert.match(broken.detail, /^the new one cannot be used \(SSL_CERT, SSL_KEY: SSL_CERT and SSL_KEY cannot be used/);
    assert.ok(!broken.detail.includes(directory), broken.detail);
    await lookAnew();
    await lookAnew();
    assert.equal(count("could not be renewed"), 1);
    await makeCertificate(directory);
    await lookAnew();
    assert.equal(count("the TLS certificate was renewed"), 1);
    assert.match((await checkOf(gateway, "certificate")).detail, /^valid until/);
  });

  test("tells of a spool that is nearly full, and of one that refuses", options, async () => {
    assert.equal((await checkOf(gateway, "spool")).ok, true);
    const held = connect(gateway.port, "127.0.0.1");
    held.write(`POST /scanHandlerBody HTTP/1.1\r\nHost: x\r\nContent-Length: ${8 * mebibyte}\r\n\r\n`);
    held.write(Buffer.alloc(8 * mebibyte - 1000));
    await eventually("it is nearly full", async () => /^nearly full: /.test((await checkOf(gateway, "spool")).detail));
    assert.notEqual((await upload(gateway.url, unknownBytes(3 * mebibyte))).status, 200);
    assert.match((await checkOf(gateway, "spool")).detail, /^bodies are refused for want of room: /);
    held.destroy();
    await once(held, "close");
  });

  test("tells of a clamd that has ended by itself", options, async () => {
    assert.equal((await checkOf(gateway, "engine")).ok, true);
    const pid = Number(JSON.parse(gateway.lines.findLast((line) => line.includes('"child started"')) ?? "{}").pid);
    process.kill(pid, "SIGKILL");
    await gateway.line("child exited");
    await gateway.ready();
    const { detail } = await checkOf(gateway, "engine");
    assert.equal(detail, "1 of 1 backends up, clamd has ended by itself once within the last hour");
  });

  test("tells of a directory that was emptied, until it holds something again", options, async () => {
    for (const name of await readdir(database)) await rm(join(database, name));
    gateway.signal("SIGHUP");
    await gateway.line("there are no signatures in");
    const { detail } = await checkOf(gateway, "signatures");
    assert.match(
      detail,
      /kept out: the newest set \(there are no signatures in DATABASE_DIRECTORY any more; those loaded stay\)$/,
    );
    await writeFile(join(database, "other.hdb"), "44d88612fea8a8f36de82e1278abb02f:68:Other.Eicar\n");
    gateway.signal("SIGHUP");
    await eventually("it is loaded", async () => {
      await delay(200);
      return (await checkOf(gateway, "signatures")).detail === "loaded: 1 file of your own";
    });
  });
});
