import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type FakeOrigin, ok, redirect, startFakeOrigin } from "../../fake/origin.ts";
import { ask, requestText } from "../../front/proxy/raw-client.ts";
import { type LiveRedis, startRedis } from "../../live/redis.ts";
import type { GatewayProcess } from "../gateway-process.ts";
import { type DownloadStage, type NginxFront, openDownloads, startNginxFront } from "./proxy-stage.ts";

/** Everything named here is of this machine: 127.0.0.0/8, ::1, or a spelling of them. */
describe("downloads from where they may not come from", () => {
  let stage: DownloadStage;
  let redis: LiveRedis;
  let trap: FakeOrigin;
  let trap6: FakeOrigin;

  before(async () => {
    redis = await startRedis();
    trap = await startFakeOrigin(() => ok("a secret"));
    trap6 = await startFakeOrigin(() => ok("a secret"), { host: "::1" });
    // Every origin and the one listed address: what is refused here is refused for its address or its name.
    stage = await openDownloads({ DOWNLOAD_ORIGINS: "any", VERDICT_CACHE: `redis://127.0.0.1:${redis.port}` });
    stage.files.set("/file", () => ok("a file"));
  });
  after(async () => {
    await stage[Symbol.asyncDispose]();
    await trap[Symbol.asyncDispose]();
    await trap6[Symbol.asyncDispose]();
    await redis[Symbol.asyncDispose]();
  });

  const from = (origin: string, path = "/file") => ask(stage.gateway.proxyPort, requestText(path, [`Download-From: ${origin}/`]));

  test("are refused alike, whatever the spelling, and nobody is called", async () => {
    const denied = await stage.gateway.metric("clamgate_downloads_denied_total");
    const hosts = [
      ...["127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "017700000001"],
      ...["127.0.0.2", "127.255.255.254", "0", "0.0.0.0", "%31%32%37.0.0.1"],
      ...["[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[::]", "[64:ff9b::127.0.0.1]"],
      ...["localhost", "LOCALHOST", "localhost.", "a.localhost"],
    ];
    const answers = new Set<string>();
    let asked = 0;
    for (const host of hosts) {
      for (const port of [trap.port, trap6.port]) {
        const { status, body } = await from(`http://${host}:${port}`);
        answers.add(`${status} ${body}`);
        asked += 1;
      }
    }
    assert.equal(answers.size, 1, [...answers].join("\n"));
    assert.match([...answers].join(), /^403 \{"detail":"[^"]+"\}$/);
    assert.doesNotMatch([...answers].join(), /127|::1|localhost|address|loopback/);
    assert.deepEqual([trap.accepted(), trap6.accepted()], [0, 0]);
    assert.equal((await stage.gateway.metric("clamgate_downloads_denied_total")) - denied, asked);
  });

  test("are refused as malformed where no URL can mean that, and nobody is called", async () => {
    for (const host of [
      "１２７.0.0.1",
      "127.0.0.1\\",
      "user@127.0.0.1",
      "127.0.0.1#",
      "[::1%25lo]",
      "[fe80::1%lo]",
      "127.0.0.1 ",
    ]) {
      const { status } = await from(`http://${host}:${trap.port}`);
      assert.equal(status, 400, host);
    }
    assert.deepEqual([trap.accepted(), trap6.accepted()], [0, 0]);
  });

  test("are refused where a listed origin redirects there", async () => {
    for (const [status, to] of [
      [301, `http://127.0.0.1:${trap.port}/`],
      [302, `//127.0.0.1:${trap.port}/`],
      [303, `http://127.1:${trap.port}/x`],
      [307, `http://[::1]:${trap6.port}/`],
      [308, `http://localhost:${trap.port}/`],
      [302, `http://127.0.0.1:${stage.gateway.port}/metrics`],
    ] as const) {
      stage.files.set("/away", () => redirect(status, to));
      const answer = await from(stage.base.slice(0, -1), "/away");
      assert.equal(answer.status, 403, to);
      assert.equal(answer.header("location"), undefined);
    }
    assert.deepEqual([trap.accepted(), trap6.accepted()], [0, 0]);
  });

  test("are refused where the path names another origin", async () => {
    for (const path of [`///127.0.0.1:${trap.port}/`, `/http://127.0.0.1:${trap.port}/`, `/http:%2F%2F127.0.0.1:${trap.port}/`]) {
      assert.equal((await from(stage.base.slice(0, -1), path)).status, 400, path);
    }
    assert.equal(
      (await ask(stage.gateway.proxyPort, `GET http://127.0.0.1:${trap.port}/ HTTP/1.1\r\nHost: x\r\n\r\n`)).status,
      400,
    );
    assert.equal((await ask(stage.gateway.proxyPort, `CONNECT 127.0.0.1:${trap.port} HTTP/1.1\r\nHost: x\r\n\r\n`)).status, 405);
    assert.equal(trap.accepted(), 0);
  });

  test("are refused from the gateway itself, its other doors and its Redis", async () => {
    await using own = await openDownloads({
      ICAP_PORT: "0",
      CLAMD_LISTEN: "0",
      DOWNLOAD_ORIGINS: "any",
      DOWNLOAD_ALLOW_PRIVATE: "127.0.0.0/8:*",
      VERDICT_CACHE: `redis://127.0.0.1:${redis.port}`,
    });
    own.files.set("/file", () => ok("a file"));
    assert.equal((await own.get("/file")).status, 200, "whatever else is here may be had");
    const [icap, clamd] = await Promise.all([portIn(own.gateway, "icap://"), portIn(own.gateway, "clamd door on tcp://")]);
    for (const port of [own.gateway.port, own.gateway.proxyPort, icap, clamd, redis.port]) {
      const text = requestText("/metrics", [`Download-From: http://127.0.0.1:${port}/`]);
      assert.equal((await ask(own.gateway.proxyPort, text)).status, 403);
    }
  });

  test("come from a listed private origin, and from where it redirects to itself", async () => {
    stage.files.set("/here", () => redirect(302, "/file"));
    for (const path of ["/file", "/here"]) {
      const answer = await from(stage.base.slice(0, -1), path);
      assert.deepEqual([answer.status, answer.body.toString()], [200, "a file"]);
    }
  });

  test("are not to be had by naming them to nginx", async () => {
    const nginx: NginxFront = await startNginxFront(stage.gateway, stage.base, "False");
    try {
      const lines = [`Download-From: http://127.0.0.1:${trap.port}/`, `download-from: http://127.0.0.1:${trap.port}/`];
      const answer = await ask(nginx.port, requestText("/file", lines));
      assert.deepEqual([answer.status, answer.body.toString()], [200, "a file"]);
      assert.equal(trap.accepted(), 0);
    } finally {
      await nginx[Symbol.asyncDispose]();
    }
  });

  test("are taken from trusted peers only, where those are listed", async () => {
    await using strict = await openDownloads({ DOWNLOAD_TRUSTED_PEERS: "127.0.0.2" });
    strict.files.set("/file", () => ok("a file"));
    assert.equal((await strict.get("/file")).status, 403);
    assert.equal(strict.origin.accepted(), 0);
  });
});

/** Where a door listens, by the line that says so. */
async function portIn(gateway: GatewayProcess, place: string): Promise<number> {
  const [, port] = (await gateway.line(place)).split(place, 2)[1]?.match(/:(\d+)/) ?? [];
  assert.ok(port !== undefined, place);
  return Number(port);
}
