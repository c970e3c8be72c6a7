import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { ClamgateError } from "../../../src/core/errors.ts";
import type { UrlVerdictKey } from "../../../src/core/verdict-cache.ts";
import { head, keep, ok } from "../../fake/origin.ts";
import { openProxy, virusMark } from "./proxy-stage.ts";

const on = ["Cache-Scan: true"];

describe("the verdict of an address", () => {
  test("is remembered only where Cache-Scan is true, in whatever case (P5)", async () => {
    await using proxy = await openProxy(({ path }) => ok(path));
    const entriesAfter = async (path: string, lines: readonly string[]) => {
      const answer = await proxy.get(path, lines);
      assert.equal(answer.status, 200);
      return [proxy.urls.entries.size, answer.header("x-clamgate-cache")];
    };
    assert.deepEqual(await entriesAfter("/1", []), [0, "off"]);
    for (const value of ["false", "False", "1", "yes", "", "true, true"])
      assert.deepEqual(await entriesAfter("/2", [`Cache-Scan: ${value}`]), [0, "off"]);
    assert.deepEqual(await entriesAfter("/3", ["Cache-Scan: true", "Cache-Scan: true"]), [0, "off"]);
    assert.deepEqual(await entriesAfter("/4", ["Cache-Scan: true"]), [1, "miss"]);
    assert.deepEqual(await entriesAfter("/5", ["Cache-Scan:  TRUE  "]), [2, "miss"]);
    const notices = proxy.events.filter((event) => event.kind === "notice");
    assert.equal(notices.length, 1, "what is neither is told once");
  });

  test("is kept with the digest for a day, under the version that made it (P60)", async () => {
    await using proxy = await openProxy(() => ok("hello"));
    await proxy.get("/x", on);
    const [[name, entry] = []] = [...proxy.urls.entries];
    assert.match(name ?? "", new RegExp(`^[0-9a-f]{64}:${proxy.engine.version()?.tag}$`));
    assert.deepEqual(entry, {
      verdict: { kind: "clean" },
      sha256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
      size: 5,
    });
    assert.deepEqual(proxy.urls.ttls, [86_400]);
  });

  test("is no younger than the verdict of the bytes, where signatures can change unseen", async () => {
    for (const remembersAgain of [true, false]) {
      await using proxy = await openProxy(() => ok("hello"), { remembersAgain });
      await proxy.get("/first", on);
      assert.equal(proxy.urls.entries.size, 1);
      await proxy.get("/second", on);
      assert.equal(proxy.engine.scans.length, 1, "the bytes are known");
      assert.equal(proxy.urls.entries.size, remembersAgain ? 2 : 1);
    }
  });

  test("is no younger than the verdict of any layer in it", async () => {
    const inner = Buffer.from("hello");
    const coded = [ok(inner), ok(gzipSync(inner), "Content-Encoding: gzip")];
    await using proxy = await openProxy(({ path }) => coded[path === "/inner" ? 0 : 1] ?? ok(""), { remembersAgain: false });
    await proxy.get("/inner", on);
    await proxy.get("/coded", on);
    assert.deepEqual([proxy.engine.scans.length, proxy.urls.entries.size], [2, 1]);
  });

  test("when infected, answers 409 without asking the origin, GET and HEAD and whatever the client has (P6, P43, P44)", async () => {
    await using proxy = await openProxy(() => ok(virusMark));
    assert.equal((await proxy.get("/x", on)).header("x-clamgate-cache"), "miss");
    const again = await proxy.get("/x", on);
    assert.deepEqual([again.status, again.body.length, again.header("x-clamgate-cache")], [409, 44, "hit"]);
    assert.equal(again.header("x-clamgate-signature"), "Test.Mark");
    assert.equal((await proxy.get("/x", on, { method: "HEAD" })).status, 409);
    assert.equal((await proxy.get("/x", [...on, 'If-None-Match: "a"', "Range: bytes=0-0"])).status, 409);
    assert.equal(proxy.origin.requests.length, 1);
    assert.equal((await proxy.get("/x")).status, 409);
    assert.equal(proxy.origin.requests.length, 2, "without Cache-Scan nothing is remembered of it");
  });

  test("when clean, saves the engine's work but never the look at the bytes (P62)", async () => {
    let body = "clean";
    await using proxy = await openProxy(() => ok(body));
    await proxy.get("/x", on);
    const again = await proxy.get("/x", on);
    assert.deepEqual([again.status, again.header("x-clamgate-cache")], [200, "hit"]);
    assert.deepEqual([proxy.origin.requests.length, proxy.engine.scans.length], [2, 1]);
    body = virusMark;
    assert.equal((await proxy.get("/x", on)).status, 409);
    assert.equal((await proxy.get("/x", on)).header("x-clamgate-cache"), "hit");
    assert.equal(proxy.origin.requests.length, 3);
  });

  test("ends with the signatures that made it: a false positive heals (P61, P67)", async () => {
    await using proxy = await openProxy(() => ok("hello"));
    proxy.engine.answerAll(() => ({ kind: "infected", signatures: ["False.Positive"] }));
    assert.equal((await proxy.get("/x", on)).status, 409);
    proxy.engine.setVersion({ tag: "b".repeat(16) });
    proxy.engine.answerAll(() => ({ kind: "clean" }));
    assert.equal((await proxy.get("/x", on)).status, 200);
  });

  test("is not remembered when the signatures changed while it was made", async () => {
    await using proxy = await openProxy(() => ok("hello"));
    proxy.engine.answerAll(null);
    const answering = proxy.get("/x", on);
    const scan = await proxy.engine.scanBegun(1);
    const before = proxy.engine.version();
    assert.ok(before !== null);
    proxy.engine.setVersion({ tag: "b".repeat(16) });
    scan.finish({ kind: "clean" }, { version: before });
    assert.equal((await answering).status, 200);
    assert.equal(proxy.urls.entries.size, 0);
  });

  test("is its own for each query and for whatever is sent on, and the same for what is not (P60, B5)", async () => {
    await using proxy = await openProxy(() => ok("hello"));
    const variants: (readonly [string, readonly string[]])[] = [
      ["/x", []],
      ["/x?a", []],
      ["/x?b", []],
      ["/x", ["Authorization: Basic a"]],
      ["/x", ["Authorization: Basic b"]],
      ["/x", ["Accept: text/x"]],
      ["/x", ["User-Agent: pip"]],
      ["/x", ["Via: 1.1 clamgate-other"]],
      ["/x", ["Cache-Control: no-cache"]],
      ["/x", ["Pragma: no-cache"]],
      ["/x", ['If-None-Match: "a"']],
    ];
    for (const [index, [path, lines]] of variants.entries()) {
      await proxy.get(path, [...on, ...lines]);
      assert.equal(proxy.urls.entries.size, index + 1);
    }
    for (const line of ["Via: 1.1 nginx", "Cookie: a", "X-Other: 1", "Range: bytes=0-0"]) await proxy.get("/x", [...on, line]);
    assert.equal(proxy.urls.entries.size, variants.length);
    assert.doesNotMatch([...proxy.urls.entries.keys()].join(), /Basic/);
  });

  for (const name of ["User-Agent", "Accept", "Authorization", "Cache-Control", "Pragma", "If-None-Match", "If-Modified-Since"]) {
    test(`cannot be spoiled by a client whose ${name} the origin puts into its answer`, async () => {
      await using proxy = await openProxy((request) => ok(request.header(name.toLowerCase()) ?? "nothing"));
      assert.equal((await proxy.get("/x", [...on, `${name}: ${virusMark}`])).status, 409);
      assert.equal((await proxy.get("/x", on)).status, 200);
      assert.equal((await proxy.get("/x", [...on, `${name}: honest`])).status, 200);
    });
  }

  test("cannot be spoiled by way of a gateway in Via", async () => {
    await using proxy = await openProxy((request) => ok(request.header("via") ?? ""));
    assert.equal((await proxy.get("/x", [...on, `Via: ${virusMark} clamgate-other`])).status, 409);
    assert.equal((await proxy.get("/x", on)).status, 200);
  });

  test("is that of the bare address, too, for those who have a copy", async () => {
    await using proxy = await openProxy((request) => ok(request.header("if-none-match") === undefined ? virusMark : "clean"));
    const conditional = [...on, 'If-None-Match: "a"'];
    assert.equal((await proxy.get("/x", conditional)).status, 200);
    assert.equal((await proxy.get("/x", on)).status, 409);
    assert.equal((await proxy.get("/x", conditional)).status, 409);
    assert.equal(proxy.origin.requests.length, 2);
  });

  test("is its own for each rewriting, and the same for routes that rewrite alike", async () => {
    const route = (path: string, to: string) => ({
      match: { host: null, path },
      base: "",
      isCacheOn: true,
      rewrite: [{ from: "PLACEHOLDER", to }],
    });
    const routes = [route("/bad/", virusMark), route("/good/", "hello"), route("/alike/", virusMark)];
    await using proxy = await openProxy(() => ok("PLACEHOLDER", "Content-Type: text/html"), { routes });
    const get = async (path: string, lines: readonly string[] = []) => {
      const { status, header } = await proxy.get(path, lines);
      return [status, header("x-clamgate-cache"), proxy.urls.entries.size];
    };
    assert.deepEqual(await get("/bad/x"), [409, "miss", 1]);
    assert.deepEqual(await get("/good/x"), [200, "miss", 2]);
    assert.deepEqual(await get("/x", [...on, `Download-From: ${proxy.base}`]), [200, "miss", 3]);
    assert.deepEqual(await get("/alike/x"), [409, "hit", 3]);
    assert.deepEqual(await get("/good/x"), [200, "hit", 3]);
  });

  test("is not remembered of anything but 200, nor of what could not be judged (P65)", async () => {
    await using proxy = await openProxy(({ path }) =>
      path === "/encrypted" ? ok("ENCRYPTED") : keep(head(Number(path.slice(1)), "Content-Length: 4"), path),
    );
    for (const path of ["/201", "/203", "/300", "/404", "/500", "/encrypted"]) await proxy.get(path, on);
    proxy.engine.answerAll(null);
    const failing = proxy.get("/200", on);
    (await proxy.engine.scanBegun(proxy.engine.scans.length + 1)).fail(new ClamgateError("engine-error", "Engine error"));
    assert.equal((await failing).status, 503);
    assert.equal(proxy.urls.entries.size, 0);
  });

  test("are found where gateways share a store, and what it does not have costs no download (P64)", async () => {
    await using proxy = await openProxy(() => ok("hello"));
    const { urls } = proxy;
    const stored = urls.peek;
    Object.assign(urls, { peek: () => null, get: async (key: UrlVerdictKey) => stored(key) });
    for (const cache of ["miss", "hit"]) {
      const answer = await proxy.get("/x", on);
      assert.deepEqual([answer.status, answer.header("x-clamgate-cache")], [200, cache]);
    }
  });
});
