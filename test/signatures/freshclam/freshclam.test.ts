import assert from "node:assert/strict";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { type FreshclamOptions, type RunChild, runFreshclam } from "../../../src/signatures/freshclam/freshclam.ts";
import { type FreshclamSettings, freshclamConf, freshclamConfMode } from "../../../src/signatures/freshclam/freshclam-conf.ts";
import { removingLeftovers } from "../../../src/signatures/freshclam/freshclam-leftovers.ts";
import { logTo } from "../../../src/signatures/freshclam/freshclam-log.ts";
import type { UpdateResult } from "../../../src/signatures/freshclam/freshclam-outcome.ts";
import { newestAttemptSeconds } from "../../../src/signatures/freshclam/update-log.ts";
import { endless, headerThen, type Mirror, mirror, status } from "../mirror.ts";
import { realChild } from "../real-child.ts";
import { container, scratch, textSignature, writeFiles } from "../scratch.ts";

const builtAt = new Date("2026-11-22T10:00:00Z");
const daily = container(27001, builtAt);
const good = textSignature("Clamgate.Test.Marker-1", "CLAMGATE-INFECTED-MARKER-0001");

const bounds = { fileBytes: 1024 ** 2, memoryBytes: 512 * 1024 ** 2 };

interface Stage {
  readonly directory: string;
  readonly database: string;
  readonly log: string;
  update(options?: Partial<FreshclamOptions>): Promise<UpdateResult>;
}

async function stage(t: TestContext, server: Pick<Mirror, "url">, changes: Partial<FreshclamSettings> = {}): Promise<Stage> {
  const directory = await scratch(t);
  const database = join(directory, "database");
  const log = join(directory, "freshclam.log");
  const configPath = join(directory, "freshclam.conf");
  await mkdir(database);
  const settings: FreshclamSettings = {
    databaseDirectory: database,
    databaseOwner: userInfo().username,
    mirror: server.url,
    customUrls: [],
    proxy: null,
    connectTimeoutSeconds: 2,
    receiveTimeoutSeconds: 1,
    maxAttempts: 1,
    ...changes,
  };
  await writeFile(configPath, freshclamConf(settings), { mode: freshclamConfMode });
  const base = {
    run: logTo(log, realChild),
    configPath,
    usesDns: false,
    hasCustomUrls: settings.customUrls.length > 0,
    bounds,
    timeoutMs: 30_000,
    signal: new AbortController().signal,
    previous: null,
  };
  return { directory, database, log, update: (options) => runFreshclam({ ...base, ...options }) };
}

describe("runFreshclam", () => {
  test("finds everything up to date, asking the mirror alone and no DNS", async (t) => {
    const server = await mirror(t, status(304));
    const { database, log, update } = await stage(t, server);
    await writeFiles(database, { "daily.cvd": daily, "main.cvd": daily, "bytecode.cvd": daily });
    // usesDns: the configuration alone must keep freshclam from asking.
    const lines: string[] = [];
    const run: RunChild = async (options) => {
      const result = await realChild(options);
      lines.push(...options.args, ...result.lines);
      return result;
    };
    const before = Math.floor(Date.now() / 1000);
    const result = await update({ usesDns: true, run: logTo(log, run) });
    assert.deepEqual(result, { outcome: "up-to-date", detail: "nothing new", coolDownUntil: null });
    assert.deepEqual(server.requests, ["GET /daily.cld", "GET /main.cld", "GET /bytecode.cld"]);
    assert.ok(!lines.includes("--no-dns"));
    assert.ok(lines.some((line) => line.includes("DNS Update Info disabled")));
    assert.ok((await newestAttemptSeconds(log)) >= before, "the log tells of the attempt");
  });

  test("tells a block and its cool-down, and knows it again at the next run", async (t) => {
    const server = await mirror(t, headerThen(daily, status(403)));
    const { update } = await stage(t, server);
    const first = await update();
    assert.equal(first.outcome, "blocked");
    const left = (first.coolDownUntil?.getTime() ?? 0) - Date.now();
    assert.ok(Math.abs(left - 24 * 3_600_000) < 60_000, `${left} ms`);
    const asked = server.requests.length;
    assert.deepEqual(await update({ previous: first }), {
      ...first,
      detail: first.detail.replace(/^.*?,/, "not asked again yet,"),
    });
    assert.equal(server.requests.length, asked, "nobody is asked during a cool-down");
  });

  test("tells a rate limit and takes its time from Retry-After", async (t) => {
    const server = await mirror(t, headerThen(daily, status(429, { "retry-after": "600" })));
    const { update } = await stage(t, server);
    const first = await update();
    assert.equal(first.outcome, "rate-limited");
    const left = (first.coolDownUntil?.getTime() ?? 0) - Date.now();
    assert.ok(Math.abs(left - 600_000) < 60_000, `${left} ms`);
    assert.equal((await update({ previous: first })).outcome, "rate-limited");
  });

  // A refusal of the very first question is told apart only by the next run (freshclam 1.4.6 overwrites its own error).
  test("learns of a refused header at the next run", async (t) => {
    const server = await mirror(t, status(429, { "retry-after": "600" }));
    const { update } = await stage(t, server);
    const first = await update();
    assert.equal(first.outcome, "failed");
    assert.equal((await update({ previous: first })).outcome, "rate-limited");
  });

  const failing: readonly (readonly [string, Parameters<typeof mirror>[1], RegExp])[] = [
    ["has no databases", status(404), /^exit 11: download failed: .*file not found/],
    ["fails", status(500), /^exit 11: download failed: .*Unexpected response \(500\)/],
    ["answers with rubbish", (_request, response) => response.end("x".repeat(2000)), /Malformed CVD header/],
    ["sends a damaged database", headerThen(daily, (_request, response) => response.end(daily)), /^exit 7: bad database: /],
    ["cuts the connection", (request) => request.socket.destroy(), /^exit 11: download failed: .*Download failed/],
    ["never answers", () => {}, /Timeout was reached/],
  ];
  for (const [name, answer, detail] of failing) {
    test(`fails when the mirror ${name}, and changes nothing`, async (t) => {
      const { database, update } = await stage(t, await mirror(t, answer));
      await writeFiles(database, { "own.ndb": good });
      const result = await update();
      assert.equal(result.outcome, "failed");
      assert.match(result.detail, detail);
      assert.deepEqual((await readdir(database)).sort(), ["freshclam.dat", "own.ndb"]);
    });
  }

  test("fails when nobody listens", async (t) => {
    const { update } = await stage(t, { url: "http://127.0.0.1:1" });
    const result = await update();
    assert.equal(result.outcome, "failed");
    assert.match(result.detail, /Download failed \(7\)/);
  });

  test("is stopped when it takes too long", async (t) => {
    const { update } = await stage(t, await mirror(t, () => {}), { receiveTimeoutSeconds: 60 });
    const result = await update({ timeoutMs: 300 });
    assert.equal(result.outcome, "failed");
    assert.match(result.detail, /^stopped after/);
  });

  test("fails at a header and at a database that do not end, and leaves nothing of them", async (t) => {
    const missing = status(404);
    const server = await mirror(t, (request, response) =>
      (request.url === "/endless.ndb" ? endless(64 * 1024) : missing)(request, response),
    );
    const header = await stage(t, await mirror(t, endless(64 * 1024)));
    const custom = await stage(t, server, { customUrls: [`${server.url}/endless.ndb`] });
    for (const [{ database, update }, detail] of [
      [header, /^exit 11: .*Failed to allocate memory/],
      [custom, /; custom databases failed: .*Failed writing received data/],
    ] as const) {
      const result = await update({ bounds: { ...bounds, memoryBytes: 192 * 1024 ** 2 } });
      assert.equal(result.outcome, "failed");
      assert.match(result.detail, detail);
      assert.deepEqual(await readdir(database), ["freshclam.dat"]);
    }
  });

  test("takes a download as large as is allowed, and no larger", async (t) => {
    for (const [size, isTaken] of [
      [bounds.fileBytes - 1, true],
      [bounds.fileBytes, true],
      [bounds.fileBytes + 1, false],
    ] as const) {
      const remarks = "#".repeat(size - good.length).replace(/#{64}/g, `${"#".repeat(63)}\n`);
      const missing = status(404);
      const server = await mirror(t, (request, response) =>
        request.url === "/large.ndb" ? response.end(`${good}${remarks}`) : missing(request, response),
      );
      const { database, update } = await stage(t, server, { customUrls: [`${server.url}/large.ndb`] });
      assert.match((await update()).detail, isTaken ? /custom databases updated/ : /custom databases failed/, String(size));
      assert.equal((await readdir(database)).includes("large.ndb"), isTaken, String(size));
    }
  });

  test("is stopped in the midst of a download that trickles, and leaves nothing of it", async (t) => {
    const server = await mirror(t, endless(1));
    const { database, update } = await stage(t, server, { customUrls: [`${server.url}/endless.ndb`] });
    await mkdir(join(database, "tmp.0123456789"));
    const halves: string[] = [];
    const result = await removingLeftovers(database, async () => {
      const stopped = await update({ timeoutMs: 3_000 });
      halves.push(...(await readdir(database)));
      return stopped;
    });
    assert.match(result.detail, /stopped after 3 s/);
    assert.equal(halves.length > 1, true, "it had begun");
    assert.deepEqual(
      (await readdir(database)).filter((name) => name !== "freshclam.dat"),
      ["tmp.0123456789"],
      "that of another freshclam stays",
    );
  });

  test("writes no password to the log, which its user alone can read", async (t) => {
    const server = await mirror(t, status(404));
    const url = new URL(server.url);
    url.username = "someone";
    url.password = "p%40ss/w:ord";
    const customUrls = [`${url.href}own.ndb?token=p@ss`];
    const { log, update } = await stage(t, { url: url.href.replace(/\/$/, "") }, { customUrls });
    await writeFile(log, "of an earlier release\n", { mode: 0o644 });
    await update();
    const text = await readFile(log, "latin1");
    assert.match(text, /^of an earlier release\n.*ClamAV update process started/);
    assert.match(text, new RegExp(`http://127\\.0\\.0\\.1:${url.port}/daily\\.cvd`));
    assert.match(text, new RegExp(`http://127\\.0\\.0\\.1:${url.port}/own\\.ndb`));
    assert.doesNotMatch(text, /p%40ss|p@ss|someone|w:ord|token/);
    assert.equal((await stat(log)).mode & 0o777, 0o600);
  });

  test("begins a new log when the old one is large, and keeps that one", async (t) => {
    const { log, update } = await stage(t, await mirror(t, status(404)));
    await writeFile(log, "x".repeat(1024 ** 2 + 1), { mode: 0o600 });
    await update();
    assert.equal((await stat(`${log}.1`)).size, 1024 ** 2 + 1);
    assert.equal((await newestAttemptSeconds(log)) > 0, true);
    assert.equal((await stat(log)).mode & 0o777, 0o600);
  });

  test("updates though its log cannot be written", async (t) => {
    const { log, database, update } = await stage(t, await mirror(t, status(304)));
    await mkdir(log);
    await writeFiles(database, { "daily.cvd": daily, "main.cvd": daily, "bytecode.cvd": daily });
    assert.equal((await update()).outcome, "up-to-date");
  });

  test("ends with the signal's reason when it is called off", async (t) => {
    const ending = new AbortController();
    const reason = new Error("stopping");
    const server = await mirror(t, () => ending.abort(reason));
    const { update } = await stage(t, server, { receiveTimeoutSeconds: 60 });
    await assert.rejects(update({ signal: ending.signal }), (error) => error === reason);
  });

  test("fails when there is no freshclam", async (t) => {
    const { directory, update } = await stage(t, { url: "http://127.0.0.1:1" });
    const result = await update({ command: join(directory, "no-freshclam") });
    assert.equal(result.outcome, "failed");
    assert.match(result.detail, /^exit 127: cannot be run: .*no-freshclam: not found/);
  });

  test("fetches custom databases from files and by http though no official one can be had", async (t) => {
    const server = await mirror(t, (request, response) => {
      if (request.url === "/by-http.ndb") response.end(good);
      else status(404)(request, response);
    });
    const source = await scratch(t);
    await writeFiles(source, { "by-file.ndb": good });
    const customUrls = [`file://${source}/by-file.ndb`, `${server.url}/by-http.ndb`];
    const { database, update } = await stage(t, server, { customUrls });
    const result = await update();
    assert.equal(result.outcome, "failed", "the official ones still count");
    assert.match(result.detail, /; custom databases updated: by-file\.ndb custom database, by-http\.ndb custom database$/);
    for (const name of ["by-file.ndb", "by-http.ndb"]) assert.equal(await readFile(join(database, name), "latin1"), good);
  });

  test("does not let a custom database in that does not load", async (t) => {
    const server = await mirror(t, status(304));
    const source = await scratch(t);
    await writeFiles(source, { "own.ndb": "no signature\n" });
    const { database, update } = await stage(t, server, { customUrls: [`file://${source}/own.ndb`] });
    await writeFiles(database, { "daily.cvd": daily, "main.cvd": daily, "bytecode.cvd": daily, "own.ndb": good });
    const result = await update();
    assert.equal(result.outcome, "failed");
    assert.match(result.detail, /^exit 8: the new database does not load: /);
    assert.equal(await readFile(join(database, "own.ndb"), "latin1"), good);
  });

  test("goes through the proxy with its credentials", async (t) => {
    const proxy = await mirror(t, status(404));
    const credentials = { username: "clam", password: "p@ss: word" };
    const { update } = await stage(
      t,
      { url: "http://127.0.0.1:1" },
      { proxy: { server: "127.0.0.1", port: proxy.port, credentials } },
    );
    assert.equal((await update()).outcome, "failed");
    const authorization = `Basic ${Buffer.from("clam:p@ss: word").toString("base64")}`;
    assert.equal(proxy.requests[0], `CONNECT 127.0.0.1:1 ${authorization}`);
  });
});
