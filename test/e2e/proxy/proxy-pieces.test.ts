import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ok } from "../../fake/origin.ts";
import { ask } from "../../front/proxy/raw-client.ts";
import { freePort } from "../../live/free-port.ts";
import { startNginx } from "../../live/nginx.ts";
import { startRedis, untilTrue } from "../../live/redis.ts";
import { type ScratchDirectory, scratchDirectory } from "../../scratch-directory.ts";
import { eicar, unknownBytes } from "../samples.ts";
import { type DownloadStage, openDownloads, startDownloadGateway } from "./proxy-stage.ts";

const mebibyte = 1024 * 1024;
const half = 34;
/** Each clean; the first half of one and the second of the other are not. */
const copies = [
  Buffer.concat([eicar.bytes.subarray(0, half), Buffer.alloc(half, "j")]),
  Buffer.concat([Buffer.alloc(half, "k"), eicar.bytes.subarray(half, 2 * half)]),
] as const;

type Client = (url: string, file: string, header: string) => readonly [command: string, ...args: string[]];

/** How each goes on with what it has. */
const resuming: Readonly<Record<string, Client>> = {
  curl: (url, file, header) => ["curl", "-q", "-sS", "-f", "-C", "-", "-H", header, "-o", file, url],
  wget: (url, file, header) => ["wget", "--no-config", "-q", "-c", "--tries=2", `--header=${header}`, "-O", file, url],
  aria2: (url, file, header) => ["aria2c", "--no-conf", "-q", "-c", `--header=${header}`, "-d", "/", "-o", file, url],
};

describe("clients that put a file together", { timeout: 120_000 }, () => {
  let stage: DownloadStage;
  let scratch: ScratchDirectory;
  before(async () => {
    scratch = await scratchDirectory();
    stage = await openDownloads();
  });
  after(async () => {
    await stage[Symbol.asyncDispose]();
    await scratch[Symbol.asyncDispose]();
  });

  const header = () => `Download-From: ${stage.base}`;
  const fileOf = (path: string) => join(scratch.path, path.slice(1));

  for (const [name, client] of Object.entries(resuming)) {
    test(`${name} resumes a file that is the same`, async () => {
      const path = `/same-${name}`;
      const { bytes } = unknownBytes(3 * mebibyte);
      stage.files.set(path, () => ok(bytes, 'ETag: "v1"', "Last-Modified: Tue, 01 Jul 2025 00:00:00 GMT"));
      await writeFile(fileOf(path), bytes.subarray(0, mebibyte));
      assert.equal(await run(client(stage.gateway.proxyUrl + path, fileOf(path), header())), 0);
      assert.ok((await readFile(fileOf(path))).equals(bytes));
    });

    test(`${name} gets no rest of another copy`, async () => {
      const path = `/changing-${name}`;
      let [body] = copies as readonly Buffer[];
      stage.files.set(path, () => ok(body ?? "", 'ETag: "same"'));
      const first = await stage.get(path, [`Range: bytes=0-${half - 1}`]);
      assert.equal(first.status, 206);
      await writeFile(fileOf(path), first.body);
      body = copies[1];
      await run(client(stage.gateway.proxyUrl + path, fileOf(path), header()));
      const file = await readFile(fileOf(path));
      assert.ok(file.equals(first.body) || file.equals(copies[1]), file.toString("latin1"));
    });
  }

  test("aria2 fetches a file in four pieces", async () => {
    const { bytes } = unknownBytes(8 * mebibyte);
    stage.files.set("/pieces", () => ok(bytes, 'ETag: "v1"'));
    const four = ["-x4", "-s4", "-k1M", "--min-split-size=1M", `--header=${header()}`];
    const where = ["-d", scratch.path, "-o", "pieces"];
    assert.equal(await run(["aria2c", "--no-conf", "-q", ...four, ...where, `${stage.gateway.proxyUrl}/pieces`]), 0);
    assert.ok((await readFile(fileOf("/pieces"))).equals(bytes));
    assert.ok(stage.origin.requests.filter(({ path }) => path === "/pieces").length > 1, "in pieces");
  });

  test("aria2 puts no pieces of different copies together", async () => {
    const both = [unknownBytes(8 * mebibyte).bytes, unknownBytes(8 * mebibyte).bytes] as const;
    let asked = 0;
    stage.files.set("/mixed", () => {
      asked += 1;
      return ok(both[asked === 1 ? 0 : 1], 'ETag: "same"');
    });
    const four = ["-x4", "-s4", "-k1M", "--min-split-size=1M", "--max-tries=2", `--header=${header()}`];
    const where = ["-d", scratch.path, "-o", "mixed"];
    await run(["aria2c", "--no-conf", "-q", "--file-allocation=none", ...four, ...where, `${stage.gateway.proxyUrl}/mixed`]);
    const file = await readFile(fileOf("/mixed"));
    const isOf = (copy: Buffer) =>
      Array.from({ length: 8 }, (_, at) => at * mebibyte).map((at) =>
        file.subarray(at, at + 1000).equals(copy.subarray(at, at + 1000)),
      );
    const [ofFirst, ofSecond] = both.map(isOf);
    assert.ok(!(ofFirst?.some(Boolean) && ofSecond?.some(Boolean)), JSON.stringify({ ofFirst, ofSecond }));
  });

  test("pip's lazy wheels and apt's rest of a package come in parts", async () => {
    const { bytes } = unknownBytes(100_000);
    const modified = "Tue, 01 Jul 2025 00:00:00 GMT";
    stage.files.set("/wheel", () => ok(bytes, `Last-Modified: ${modified}`));
    for (const range of ["-22", "90000-99999", "0-9999"])
      assert.equal((await stage.get("/wheel", [`Range: bytes=${range}`, "Cache-Control: no-cache"])).status, 206);
    const rest = await stage.get("/wheel", ["Range: bytes=5000-", `If-Range: ${modified}`]);
    assert.ok(rest.status === 206 && rest.body.equals(bytes.subarray(5000)));
  });

  test("what was given is known after a restart", async () => {
    const path = "/restart";
    const gateway = await openDownloads({ VERDICT_CACHE: `sqlite:${join(scratch.path, "verdicts")}` });
    gateway.files.set(path, () => ok(copies[0], 'ETag: "same"'));
    assert.equal((await gateway.get(path, ["Range: bytes=0-33"])).status, 206);
    await using opened = new AsyncDisposableStack();
    opened.use(gateway);
    gateway.gateway.signal("SIGKILL");
    await gateway.gateway.ended;
    gateway.files.set(path, () => ok(copies[1], 'ETag: "same"'));
    const env = { VERDICT_CACHE: `sqlite:${join(scratch.path, "verdicts")}` };
    const next = opened.use(await startDownloadGateway(gateway.origin.port, opened, env));
    const answer = await ask(next.proxyPort, gateway.text(path, ["Range: bytes=34-"]));
    assert.ok(answer.status === 200 && answer.body.equals(copies[1]));
  });
});

describe("gateways that share a Redis", { timeout: 120_000 }, () => {
  test("give parts of one copy between them, and none while Redis is away", async () => {
    await using opened = new AsyncDisposableStack();
    const redis = opened.use(await startRedis());
    const env = { VERDICT_CACHE: `redis://127.0.0.1:${redis.port}` };
    const stage = opened.use(await openDownloads(env));
    const other = opened.use(await startDownloadGateway(stage.origin.port, opened, env));
    let [body] = copies as readonly Buffer[];
    stage.files.set("/x", () => ok(body ?? "", 'ETag: "same"'));
    const range = ["Range: bytes=34-"];
    assert.equal((await stage.get("/x", ["Range: bytes=0-33"])).status, 206);
    assert.equal((await ask(other.proxyPort, stage.text("/x", range))).status, 206);
    body = copies[1];
    assert.equal((await ask(other.proxyPort, stage.text("/x", range))).status, 200);
    assert.equal((await stage.get("/x", ['If-Match: "same"'])).status, 412);

    const { bytes } = unknownBytes(1000);
    stage.files.set("/y", () => ok(bytes));
    assert.equal((await stage.get("/y", range)).status, 206);
    await redis.kill();
    const away = await stage.get("/y", range);
    assert.ok(away.status === 200 && away.body.equals(bytes));
    await redis.restart();
    await untilTrue(async () => (await stage.get("/y", range)).status === 206);
  });
});

describe("nginx's slices in front", { timeout: 120_000 }, () => {
  test("are put together while the file is the same, and cut where it is another", async () => {
    await using opened = new AsyncDisposableStack();
    const stage = opened.use(await openDownloads());
    const port = await freePort();
    opened.use(
      await startNginx(
        `server {
  listen 127.0.0.1:${port};
  location / {
    slice 1m;
    proxy_set_header Range $slice_range;
    proxy_set_header Download-From ${stage.base};
    proxy_http_version 1.1;
    proxy_pass ${stage.gateway.proxyUrl};
  }
}`,
        [port],
      ),
    );
    const request = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
    const { bytes } = unknownBytes(3 * mebibyte + 5);
    stage.files.set("/same", () => ok(bytes, 'ETag: "v1"'));
    const same = await ask(port, request("/same"));
    assert.ok(same.status === 200 && same.isWhole && same.body.equals(bytes));

    let asked = 0;
    const others = unknownBytes(3 * mebibyte + 5).bytes;
    stage.files.set("/changing", () => {
      asked += 1;
      return ok(asked === 1 ? bytes : others, 'ETag: "v1"');
    });
    const cut = await ask(port, request("/changing"));
    assert.ok(!cut.isWhole && cut.body.equals(bytes.subarray(0, cut.body.length)), "no byte of the other copy");
    const later = await ask(port, request("/changing"));
    assert.ok(later.status === 200 && later.isWhole && later.body.equals(others), "the whole, not sliced");
  });
});

/** The exit code; null where it was killed. Rejects where the program is not there. */
function run([command, ...args]: readonly [string, ...string[]]): Promise<number | null> {
  const { PATH = "" } = process.env;
  return new Promise((resolve, reject) => {
    execFile(command, args, { env: { PATH, LC_ALL: "C" }, timeout: 60_000 }, (error) => {
      if (error !== null && typeof error.code === "string") reject(error);
      else resolve(error === null ? 0 : typeof error.code === "number" ? error.code : null);
    });
  });
}
