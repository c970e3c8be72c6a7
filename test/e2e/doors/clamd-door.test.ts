/** The clamd door of a whole gateway, over a real clamd of its own and over scripted ones. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { access } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { answer, startFakeClamd } from "../../fake/clamd.ts";
import { givenClamd } from "../../fault/harness/given-clamd.ts";
import { type TestDatabase, testDatabase } from "../../fault/test-database.ts";
import { chunk, converse, type DoorAddress, instream, open } from "../../front/clamd/door-client.ts";
import { marker, markerName } from "../../live/clamd.ts";
import { eventually } from "../../process/stage.ts";
import { scratchDirectory } from "../../scratch-directory.ts";
import { type GatewayProcess, startGatewayProcess } from "../gateway-process.ts";

const run = promisify(execFile);

/** The first TCP address that it tells. */
async function doorOf(gateway: GatewayProcess): Promise<DoorAddress & { readonly port: number }> {
  const port = Number(/clamd door on tcp:\/\/127\.0\.0\.1:(\d+)/.exec(await gateway.line("clamd door on "))?.[1]);
  return { host: "127.0.0.1", port };
}

describe("a gateway's clamd door", () => {
  let database: TestDatabase;
  let gateway: GatewayProcess;
  let tcp: DoorAddress & { readonly port: number };
  let path: string;
  before(async () => {
    database = await testDatabase();
    path = `${database.path}/door.sock`;
    const env = { DATABASE_DIRECTORY: database.path, CLAMD_LISTEN: `0,${path}`, VERDICT_CACHE: "memory:" };
    gateway = await startGatewayProcess({ args: ["serve"], env });
    await gateway.ready();
    tcp = await doorOf(gateway);
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await assert.rejects(access(path), "its socket is gone (A50)");
    await database[Symbol.asyncDispose]();
  });

  test("finds what clamd finds, and nothing else", async () => {
    for (const address of [tcp, { path }]) {
      assert.equal((await converse(address, instream(marker))).text, `stream: ${markerName} FOUND\0`);
      assert.equal((await converse(address, instream(`clean ${address === tcp}`))).text, "stream: OK\0");
    }
  });

  test("tells the engine's version as the engine does (A6)", async () => {
    const { stdout } = await run("clamd", ["--version"], { env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` } });
    const { text } = await converse(tcp, "zVERSION\0");
    assert.equal(text.split("/")[0]?.replace("\0", ""), stdout.trim().split("/")[0]);
  });

  test("scans at once while 150 bodies have stalled, of which clamd itself is deaf at 110 (A10)", {
    timeout: 60_000,
  }, async () => {
    for (const address of [tcp, { path }]) {
      const stalled = Array.from({ length: 150 }, () => open(address));
      await Promise.all(stalled.map((one) => one.send(`zINSTREAM\0${chunk("abc".repeat(1_000))}`)));
      await eventually("all are taken in", async () => (await gateway.metric("clamgate_spool_bodies")) === 150);
      const ping = await converse(address, "zPING\0");
      const scan = await converse(address, instream(`${marker} beside 150 ${address === tcp}`));
      assert.deepEqual([ping.text, scan.text], ["PONG\0", `stream: ${markerName} FOUND\0`]);
      assert.ok(ping.ms < 1_000 && scan.ms < 1_000, `PING ${ping.ms} ms, the scan ${scan.ms} ms`);
      for (const { socket } of stalled) socket.destroy();
      await eventually("none is left", async () => (await gateway.metric("clamgate_spool_bodies")) === 0);
    }
  });

  test("counts what is asked of it", async () => {
    const [pings = 0, before = 0] = await gateway.metrics(
      'clamgate_clamd_commands_total{command="PING"}',
      'clamgate_scans_total{verdict="infected",front="clamd"}',
    );
    await converse(tcp, "zPING\0");
    await converse(tcp, instream(`${marker} once more`));
    assert.deepEqual(
      await gateway.metrics(
        'clamgate_clamd_commands_total{command="PING"}',
        'clamgate_scans_total{verdict="infected",front="clamd"}',
      ),
      [pings + 1, before + 1],
    );
    assert.match(gateway.lines.join("\n"), /"via":"clamd","name":"instream\(127\.0\.0\.1@\d+\)"/);
  });
});

describe("a clamd door over a scripted engine", () => {
  test("asks the engine once for bytes whose client comes again (A49)", { timeout: 60_000 }, async () => {
    const released = Promise.withResolvers<void>();
    await using clamd = await startFakeClamd({ scan: () => released.promise.then(() => answer("stream: A.Name FOUND\0")) });
    await using gateway = await startGatewayProcess({
      env: { ...givenClamd({ ports: [clamd.address.port] }), CLAMD_LISTEN: "0" },
    });
    await gateway.ready();
    const door = await doorOf(gateway);
    const first = open(door);
    await first.send(instream("slow"));
    await clamd.received(1);
    first.socket.destroy();
    const second = converse(door, instream("slow"));
    await eventually(
      "it is there",
      async () => (await gateway.metric('clamgate_clamd_commands_total{command="INSTREAM"}')) === 2,
    );
    released.resolve();
    assert.equal((await second).text, "stream: A.Name FOUND\0");
    assert.equal(clamd.bodies.length, 1);
  });

  test("answers what is pending at SIGTERM, and refuses half a body (A50)", { timeout: 60_000 }, async () => {
    const released = Promise.withResolvers<void>();
    await using scratch = await scratchDirectory({});
    await using clamd = await startFakeClamd({ scan: () => released.promise.then(() => answer("stream: A.Name FOUND\0")) });
    const path = scratch.at("door.sock");
    const env = { ...givenClamd({ ports: [clamd.address.port] }), CLAMD_LISTEN: path };
    await using gateway = await startGatewayProcess({ env });
    await gateway.ready();
    const pending = open({ path });
    await pending.send(instream("slow"));
    const half = open({ path });
    await half.send(`nINSTREAM\n${chunk("abc")}`);
    await clamd.received(1);
    await eventually("both are there", async () => (await gateway.metric("clamgate_spool_bodies")) === 2);
    gateway.signal("SIGTERM");
    assert.equal((await half.heard).text, "Gateway is stopping. ERROR\n");
    await eventually("nobody gets in any more", () =>
      access(path).then(
        () => false,
        () => true,
      ),
    );
    released.resolve();
    assert.equal((await pending.heard).text, "stream: A.Name FOUND\0");
    assert.equal(await gateway.ended, 0);
  });

  test("is not opened to other machines without saying to whom (A47)", async () => {
    await assert.rejects(startGatewayProcess({ env: { CLAMD_LISTEN: "0.0.0.0:3310" } }), /CLAMD_ALLOW_FROM must say who/);
  });
});
