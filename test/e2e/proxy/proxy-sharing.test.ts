import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { head, ok, startFakeOrigin } from "../../fake/origin.ts";
import { ask, RawClient, requestText } from "../../front/proxy/raw-client.ts";
import { marker } from "../../live/clamd.ts";
import { startRedis } from "../../live/redis.ts";
import { eventually } from "../../process/stage.ts";
import { scratchDirectory } from "../../scratch-directory.ts";
import { unknownBytes } from "../samples.ts";
import { openDownloads, startDownloadGateway } from "./proxy-stage.ts";

const byEngine = 'clamgate_verdict_source_total{source="engine"}';
const collapsed = "clamgate_downloads_collapsed_total";
const clients = 50;

describe("equal requests at the same time", () => {
  for (const [what, cacheScan] of [
    ["an address that is remembered", "True"],
    ["one that is not", "False"],
  ] as const) {
    test(`are one download and one scan of ${what}, and equal answers`, async () => {
      await using stage = await openDownloads();
      const { bytes } = unknownBytes(300_000);
      const released = Promise.withResolvers<Uint8Array>();
      stage.files.set("/ready", () => ok("ready"));
      stage.files.set("/new.bin", () => ({
        kind: "send",
        pieces: [head(200, `Content-Length: ${bytes.length}`, 'ETag: "one"'), released.promise],
        after: "keep",
      }));
      const scans = await stage.gateway.metric(byEngine);
      const connections = Array.from({ length: clients }, () => new RawClient(stage.gateway.proxyPort));
      try {
        // The second request comes with the first: once that has its answer, the gateway has gone on to the second.
        const both = ["Connection: keep-alive", `Cache-Scan: ${cacheScan}`];
        const first = stage.text("/ready", both, { method: "HEAD" });
        const second = stage.text("/new.bin", [`Cache-Scan: ${cacheScan}`]);
        for (const client of connections) client.send(first + second);
        for (const client of connections) assert.equal((await client.answer({ isHead: true })).status, 200);
        const asked = () => stage.origin.requests.filter(({ path }) => path === "/new.bin").length;
        await eventually("the origin has been asked", () => asked() > 0);
        await stage.gateway.metric(byEngine);
        released.resolve(bytes);
        const answers = await Promise.all(connections.map((client) => client.answer()));
        assert.equal(asked(), 1);
        for (const answer of answers) {
          assert.deepEqual([answer.status, answer.isWhole, answer.header("etag")], [200, true, '"one"']);
          assert.ok(answer.body.equals(bytes));
          assert.deepEqual(answer.lines, answers[0]?.lines);
        }
        assert.equal((await stage.gateway.metric(byEngine)) - scans, 1);
        await eventually("each is counted", async () => (await stage.gateway.metric(collapsed)) === clients - 1);
      } finally {
        for (const client of connections) client[Symbol.dispose]();
      }
    });
  }
});

describe("the same address through a route and by Download-From, at the same time", () => {
  test("is two downloads: only the route's is rewritten, and each passes its own gate", async () => {
    await using opened = new AsyncDisposableStack();
    const directory = opened.use(await scratchDirectory());
    const released = Promise.withResolvers<string>();
    const index = "https://files.example/a https://files.example/b";
    const origin = opened.use(
      await startFakeOrigin(() => ({
        kind: "send",
        pieces: [head(200, `Content-Length: ${index.length}`, "Content-Type: text/html"), released.promise],
        after: "keep",
      })),
    );
    const base = `http://127.0.0.1:${origin.port}/`;
    const route = { origin: base, allowPrivate: ["127.0.0.1:*"] };
    const rewrite = [{ from: "https://files.example/", to: "https://gateway.example/" }];
    const routes = join(directory.path, "routes.json");
    await writeFile(
      routes,
      JSON.stringify({
        routes: [
          { path: "/index/", ...route, rewrite },
          { path: "/plain/", ...route },
        ],
      }),
    );
    const gateway = opened.use(
      await startDownloadGateway(origin.port, opened, { DOWNLOAD_ROUTES: routes, DOWNLOAD_ALLOW_PRIVATE: "" }),
    );
    const rewritten = ask(gateway.proxyPort, requestText("/index/a"));
    await eventually("the first has been asked for", () => origin.requests.length === 1);
    const plain = ask(gateway.proxyPort, requestText("/plain/a"));
    const client = opened.use(new RawClient(gateway.proxyPort));
    const from = `Download-From: ${base}`;
    // Once the first of the two has its answer, the gateway has gone on to the other.
    client.send(requestText("/other", [from, "Connection: keep-alive"], { method: "HEAD" }) + requestText("/a", [from]));
    assert.equal((await client.answer({ isHead: true })).status, 403);
    await eventually("the other route has asked", () => origin.requests.length === 2);
    released.resolve(index);
    assert.equal((await rewritten).body.toString(), index.replaceAll("files", "gateway"));
    assert.equal((await plain).body.toString(), index);
    assert.equal((await client.answer()).status, 403);
  });
});

describe("two gateways on one Redis", () => {
  test("see each other's verdicts of addresses", async () => {
    await using opened = new AsyncDisposableStack();
    const redis = opened.use(await startRedis());
    const env = { VERDICT_CACHE: `redis://127.0.0.1:${redis.port}` };
    const stage = opened.use(await openDownloads(env));
    const second = opened.use(await startDownloadGateway(stage.origin.port, opened, env));
    const clean = unknownBytes(200_000).bytes;
    const virus = Buffer.concat([unknownBytes(200_000).bytes, Buffer.from(marker)]);
    stage.files.set("/clean.bin", () => ok(clean));
    stage.files.set("/virus.bin", () => ok(virus));
    const text = (path: string) => stage.text(path, ["Cache-Scan: True"]);

    const answer = await ask(stage.gateway.proxyPort, text("/clean.bin"));
    assert.deepEqual([answer.status, answer.header("x-clamgate-cache")], [200, "miss"]);
    assert.equal((await ask(stage.gateway.proxyPort, text("/virus.bin"))).status, 409);
    await eventually("all is remembered", async () => (await redis.command("DBSIZE")) === 5);
    // A Redis that a busy machine makes slow is passed by: then there is another try.
    const isKnown = async (path: string, status: number, downloads: number) => {
      const scans = await second.metric(byEngine);
      const requests = stage.origin.requests.length;
      const known = await ask(second.proxyPort, text(path));
      assert.equal(known.status, status);
      if (status === 200) assert.ok(known.body.equals(clean));
      const isHit = known.header("x-clamgate-cache") === "hit" && (await second.metric(byEngine)) === scans;
      return isHit && stage.origin.requests.length === requests + downloads;
    };
    await eventually("the clean one is known, its bytes seen again", () => isKnown("/clean.bin", 200, 1));
    await eventually("the virus is known, and its origin not asked", () => isKnown("/virus.bin", 409, 0));
  });
});
