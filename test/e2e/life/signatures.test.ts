import assert from "node:assert/strict";
import { chmod, mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { scratchDirectory } from "../../scratch-directory.ts";
import { upload } from "../client.ts";
import { type GatewayProcess, startGatewayProcess } from "../gateway-process.ts";
import { eicar, type Sample } from "../samples.ts";

const known: Sample = { name: "known.bin", bytes: Buffer.from("CLAMGATE-INFECTED-MARKER-0001 in a body of its own") };
const marker = Buffer.from("CLAMGATE-INFECTED-MARKER-0001").toString("hex");

test("what freshclam is told can be read by its user alone, whatever an earlier release left", async () => {
  await using state = await scratchDirectory();
  const path = state.at("freshclam.conf");
  await writeFile(path, "# open to all\n");
  await chmod(path, 0o644);
  const secret = "not for others";
  const env = { PROXY_SERVER: "http://127.0.0.1", PROXY_PORT: "1", PROXY_USERNAME: "someone", PROXY_PASSWORD: secret };
  await using gateway = await startGatewayProcess({ state: state.path, env });
  assert.match(await readFile(path, "utf8"), /^HTTPProxyPassword not for others$/m);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.doesNotMatch(gateway.lines.join("\n"), /not for others/);
});

describe("signatures of the operator's own", () => {
  let gateway: GatewayProcess;
  let directory: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "clamgate-signatures-"));
    await writeFile(join(directory, "site.ndb"), `Site.Marker:0:*:${marker}\n`);
    gateway = await startGatewayProcess({ args: ["serve"], env: { DATABASE_DIRECTORY: directory } });
    await gateway.ready();
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  async function readiness(): Promise<unknown[]> {
    const { status, checks } = JSON.parse(await (await fetch(`${gateway.url}/readyz`)).text());
    return [status, checks.find(({ name }: { name: string }) => name === "signatures").detail];
  }

  test("that do not load never replace those that do, not even when clamd dies after", async () => {
    assert.equal((await upload(gateway.url, known)).status, 406);
    const bad = join(directory, ".bad");
    await writeFile(bad, "this is no signature\n");
    await rename(bad, join(directory, "bad.ndb"));
    gateway.signal("SIGHUP");
    await gateway.line("signature file kept out");
    assert.deepEqual(await readiness(), [
      "degraded",
      "loaded: 1 file of your own; kept out: bad.ndb (Problem parsing database at line 1)",
    ]);
    assert.equal(await gateway.metric("clamgate_signatures_kept_out"), 1);
    await writeFile(join(directory, "later.ndb"), `Site.Later:0:*:${Buffer.from("A LATER MARKER").toString("hex")}\n`);
    gateway.signal("SIGHUP");
    while ((await gateway.metric('clamgate_reloads_total{outcome="loaded"}')) < 2) await delay(100);
    assert.match((await upload(gateway.url, { name: "later.bin", bytes: Buffer.from("A LATER MARKER") })).body, /Site\.Later/);
    assert.equal((await readiness())[0], "degraded");
    assert.equal((await upload(gateway.url, { ...known, bytes: Buffer.concat([known.bytes, known.bytes]) })).status, 406);

    const pid = Number(JSON.parse(gateway.lines.findLast((line) => line.includes('"child started"')) ?? "{}").pid);
    process.kill(pid, "SIGKILL");
    await gateway.line("child exited");
    await gateway.ready();
    const answer = await upload(gateway.url, { ...known, bytes: Buffer.concat([known.bytes, Buffer.of(1)]) });
    assert.equal(answer.status, 406);
    assert.match(answer.body, /Site\.Marker/);

    await rm(join(directory, "bad.ndb"));
    await rm(join(directory, "site.ndb"));
    await rm(join(directory, "later.ndb"));
    await writeFile(join(directory, "site.hdb"), "44d88612fea8a8f36de82e1278abb02f:68:Site.Eicar\n");
    gateway.signal("SIGHUP");
    while ((await gateway.metric('clamgate_reloads_total{outcome="loaded"}')) < 3) await delay(100);
    assert.deepEqual(await readiness(), ["degraded", "loaded: 1 file of your own"]);
    assert.equal((await upload(gateway.url, known)).status, 200, "its signature is gone");
    assert.match((await upload(gateway.url, eicar)).body, /Site\.Eicar/);
  });
});
