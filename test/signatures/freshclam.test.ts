import assert from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { type FreshclamOptions, type RunChild, runFreshclam } from "../../src/signatures/freshclam.ts";
import { type FreshclamSettings, freshclamConf, freshclamConfMode } from "../../src/signatures/freshclam-conf.ts";
import type { UpdateResult } from "../../src/signatures/freshclam-outcome.ts";
import { newestAttemptSeconds } from "../../src/signatures/update-log.ts";
import { headerThen, type Mirror, mirror, status } from "./mirror.ts";
import { realChild } from "./real-child.ts";
import { container, scratch, textSignature, writeFiles } from "./scratch.ts";

const builtAt = new Date("2026-11-22T10:00:00Z");
const daily = container(27001, builtAt);
const good = textSignature("Clamgate.Test.Marker-1", "CLAMGATE-INFECTED-MARKER-0001");

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
    updateLogFile: log,
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
    run: realChild,
    configPath,
    usesDns: false,
    hasCustomUrls: settings.customUrls.length > 0,
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
    const result = await update({ usesDns: true, run });
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
    assert.match(result.detail, /cannot be run: .*ENOENT/);
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
