import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { chmod, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { connect as connectHttp2, type IncomingHttpHeaders } from "node:http2";
import { describe, test } from "node:test";
import type { Verdict } from "../../../src/core/verdict.ts";
import { type ScratchDirectory, scratchDirectory } from "../../scratch-directory.ts";
import {
  exchange,
  maxBytes,
  type RawAnswer,
  type RestServer,
  type RestServerOptions,
  request,
  startRest,
} from "./rest-server.ts";

const text = "text/plain; charset=utf-8";
const virus = "virus:Win.Test.EICAR_HDB-1";
const noFile = "Regex had no matches, this likely means the file path supplied to the api does not point to a file on disk.";

async function startWith(scratch: ScratchDirectory, options: RestServerOptions = {}): Promise<RestServer> {
  return await startRest({ ...options, front: { scanPathRoots: [scratch.at("in")], ...options.front } });
}

async function get(server: RestServer, endpoint: string, path: string): Promise<RawAnswer> {
  return await exchange(server.port, request(`GET ${endpoint}?path=${encodeURIComponent(path)}`));
}

describe("GET /scanFile and GET /scanPath", () => {
  for (const endpoint of ["/scanFile", "/scanPath"]) {
    test(`${endpoint} wants a path (rest.md 39, 46)`, async () => {
      await using scratch = await scratchDirectory({ "in/a": "" });
      await using server = await startWith(scratch);
      for (const query of ["", "?", "?path", "?path=", "?Path=/a", "?path=&path=/a"]) {
        const answer = await exchange(server.port, request(`GET ${endpoint}${query}`));
        assert.deepEqual([answer.status, answer.body], [400, "URL param 'path' is missing"], query);
        assert.equal(answer.headers.get("content-type"), text);
      }
    });

    test(`${endpoint} takes the first path of many keys (rest.md 39)`, async () => {
      await using scratch = await scratchDirectory({ "in/a b&c": virus, "in/other": "" });
      await using server = await startWith(scratch);
      const keys = Array.from({ length: 1200 }, (_, index) => `k${index}=v`).join("&");
      const path = encodeURIComponent(scratch.at("in/a b&c"));
      const query = `${keys}&path=${path}&path=${encodeURIComponent(scratch.at("in/other"))}`;
      assert.equal((await exchange(server.port, request(`GET ${endpoint}?${query}`))).status, 406);
    });

    test(`${endpoint} reads bytes: a file's name need not be UTF-8`, async () => {
      await using scratch = await scratchDirectory({ "in/a": "" });
      const name = Buffer.concat([Buffer.from(scratch.at("in/caf")), Buffer.from([0xe9, 0xff])]);
      await writeFile(name, virus);
      await writeFile(scratch.at("in/größe 1+1"), virus);
      await using server = await startWith(scratch);
      const directory = encodeURIComponent(scratch.at("in"));
      for (const path of ["caf%E9%ff", "gr%C3%B6%C3%9Fe%201%2B1", "gr%c3%b6%c3%9fe+1%2B1"]) {
        const answer = await exchange(server.port, request(`GET ${endpoint}?x=%zz&p%61th=${directory}/${path}`));
        assert.equal(answer.status, 406, path);
      }
      // What is no escape is text, and a name that is not there.
      assert.equal((await exchange(server.port, request(`GET ${endpoint}?path=${directory}/100%25%zz%`))).status, 412);
    });

    test(`${endpoint} takes UTF-8 as it is over HTTP/2, and curl sends it so`, async () => {
      await using scratch = await scratchDirectory({ "in/größe": virus });
      await using server = await startWith(scratch);
      const session = connectHttp2(server.url);
      // Node writes the header's characters as bytes.
      const raw = Buffer.from(`${endpoint}?path=${scratch.at("in/größe")}`).toString("latin1");
      const [headers] = (await once(session.request({ ":path": raw }).resume(), "response")) as [IncomingHttpHeaders];
      assert.equal(headers[":status"], 406);
      session.destroy();
    });

    test(`${endpoint} is closed until SCAN_PATH_ROOTS opens it`, async () => {
      await using scratch = await scratchDirectory({ "in/a": "" });
      await using server = await startRest();
      const answer = await get(server, endpoint, scratch.at("in/a"));
      assert.equal(answer.status, 403);
      assert.match(answer.body, /"Status":"ERROR","Description":"[^"]*SCAN_PATH_ROOTS/);
    });

    test(`${endpoint} keeps to its roots and to text without control characters (rest.md 45)`, async () => {
      await using scratch = await scratchDirectory({ "in/a": "", "out/secret": virus });
      await symlink(scratch.at("out/secret"), scratch.at("in/link"));
      await symlink(scratch.at("out"), scratch.at("in/directory"));
      await using server = await startWith(scratch);
      const outside = [scratch.at("out/secret"), `${scratch.path}/in/../out/secret`, scratch.at("in/link"), "/etc/passwd", "/"];
      for (const path of [...outside, scratch.at("in/directory"), scratch.at("in/directory/secret")]) {
        assert.equal((await get(server, endpoint, path)).status, 403, path);
      }
      for (const path of ["in/a", "a", `${scratch.at("in/a")}\n`, `${scratch.at("in/a")}\r`, `${scratch.at("in/a")}\0`]) {
        assert.equal((await get(server, endpoint, path)).status, 400, path);
      }
      assert.deepEqual(server.fake.begun, []);
    });

    test(`${endpoint} does not hang on FIFOs and devices`, { timeout: 10_000 }, async () => {
      await using scratch = await scratchDirectory({ "in/a": "" });
      execFileSync("mkfifo", [scratch.at("in/fifo")]);
      await using server = await startWith(scratch, { front: { scanPathRoots: [scratch.at("in"), "/dev"] } });
      for (const path of [scratch.at("in/fifo"), "/dev/zero", "/dev/random"]) {
        assert.equal((await get(server, endpoint, path)).status, 412, path);
      }
    });

    test(`${endpoint} is 413 for a file that is too large`, async () => {
      await using scratch = await scratchDirectory({ "in/a": "" });
      await truncate(scratch.at("in/a"), maxBytes + 1);
      await using server = await startWith(scratch);
      const answer = await get(server, endpoint, scratch.at("in/a"));
      assert.deepEqual([answer.status, answer.reason], [413, "Request Entity Too Large"]);
      await truncate(scratch.at("in/a"), maxBytes);
      assert.equal((await get(server, endpoint, scratch.at("in/a"))).status, 200);
    });

    test(`${endpoint} is 503 where no verdict was made (decided in place of rest.md 43, 44, 48)`, async () => {
      await using scratch = await scratchDirectory({ "in/a": "error:engine-unavailable" });
      await using server = await startWith(scratch);
      const answer = await get(server, endpoint, scratch.at("in/a"));
      assert.deepEqual([answer.status, answer.headers.get("retry-after")], [503, "7"]);
      assert.match(answer.body, /"Status":"ERROR","Description":"Scripted engine-unavailable"/);
    });

    test(`${endpoint} calls no directory clean without an engine, not even one with nothing to scan`, async () => {
      await using scratch = await scratchDirectory({ "in/a": "" });
      await rm(scratch.at("in/a"));
      await using server = await startWith(scratch, { front: { engineVersion: () => null } });
      assert.equal((await get(server, endpoint, scratch.at("in"))).status, 503);
    });

    test(`${endpoint} performs its scan for HEAD too (rest.md 3)`, async () => {
      await using scratch = await scratchDirectory({ "in/v": virus });
      await using server = await startWith(scratch);
      const answer = await exchange(server.port, request(`HEAD ${endpoint}?path=${scratch.at("in/v")}`));
      assert.deepEqual([answer.status, answer.body, server.fake.calls.length], [406, "", 1]);
    });
  }
});

describe("GET /scanFile", () => {
  test("answers one object with the path as it was given (rest.md 40, 42)", async () => {
    await using scratch = await scratchDirectory({ "in/test.txt": "x", "in/eicar.test": virus });
    await using server = await startWith(scratch);
    const path = scratch.at("in/test.txt");
    const clean = await get(server, "/scanFile", path);
    assert.deepEqual([clean.status, clean.body], [200, `{"Status":"OK","Description":"","FileName":"${path}"}`]);
    assert.equal(clean.headers.get("content-type"), text);
    const dotted = `${scratch.path}/in/./eicar.test`;
    const infected = await get(server, "/scanFile", dotted);
    assert.deepEqual(
      [infected.status, infected.body],
      [406, `{"Status":"FOUND","Description":"Win.Test.EICAR_HDB-1","FileName":"${dotted}"}`],
    );
    assert.equal(infected.headers.get("x-clamgate-signature"), "Win.Test.EICAR_HDB-1");
  });

  test("is 412 with clamav-rest's text where there is no file (rest.md 41)", async () => {
    await using scratch = await scratchDirectory({ "in/a": "x" });
    await using server = await startWith(scratch);
    for (const path of [scratch.at("in/nothing"), scratch.at("in/a/below"), scratch.at(`in/${"n".repeat(1000)}`)]) {
      const answer = await get(server, "/scanFile", path);
      assert.deepEqual(
        [answer.status, answer.body],
        [412, `{"Status":"PARSE ERROR","Description":"${noFile}","FileName":"${path}"}`],
      );
    }
  });

  test("is not fooled by a colon in the path (in place of rest.md 14)", async () => {
    await using scratch = await scratchDirectory({ "in/a:b": virus });
    await using server = await startWith(scratch);
    assert.equal((await get(server, "/scanFile", scratch.at("in/a:b"))).status, 406);
  });

  test("walks a directory to its first finding", async () => {
    await using scratch = await scratchDirectory({ "in/1": "x", "in/2/v": "virus:First", "in/3": "virus:Second" });
    await using server = await startWith(scratch);
    const path = scratch.at("in");
    const answer = await get(server, "/scanFile", path);
    assert.deepEqual([answer.status, answer.body], [406, `{"Status":"FOUND","Description":"First","FileName":"${path}"}`]);
    assert.equal(server.fake.calls.length, 2);
  });

  test("tells the worst of a directory without a finding, and OK of a clean one", async () => {
    await using scratch = await scratchDirectory({ "in/bad/1": "x", "in/bad/2": "error:scan-timeout", "in/good/1": "x" });
    await using server = await startWith(scratch);
    assert.equal((await get(server, "/scanFile", scratch.at("in/bad"))).status, 503);
    const good = await get(server, "/scanFile", scratch.at("in/good"));
    assert.equal(good.body, `{"Status":"OK","Description":"","FileName":"${scratch.at("in/good")}"}`);
  });

  test("stops at a client that has gone, and the next is served", async () => {
    await using scratch = await scratchDirectory({ "in/1": "hang", "in/2": "x" });
    const started = Promise.withResolvers<AbortSignal>();
    await using server = await startWith(scratch, {
      scan: {
        answer: (call) => {
          if (call.bytes.toString() !== "hang") return { kind: "clean" };
          started.resolve(call.signal);
          return new Promise(() => {});
        },
      },
    });
    const leaving = new AbortController();
    const asked = fetch(`${server.url}/scanPath?path=${scratch.at("in")}`, { signal: leaving.signal });
    const signal = await started.promise;
    const gone = new Promise((resolve) => signal.addEventListener("abort", resolve));
    leaving.abort();
    await assert.rejects(asked);
    await gone;
    assert.equal((await get(server, "/scanFile", scratch.at("in/2"))).status, 200);
    assert.deepEqual(server.fake.begun, [scratch.at("in/1"), scratch.at("in/2")]);
  });
});

describe("GET /scanPath", () => {
  test("answers an array without file names, one entry for a clean tree (rest.md 46, 47)", async () => {
    await using scratch = await scratchDirectory({ "in/a": "x", "in/d/b": "y", "in/d/e/f": "z" });
    await using server = await startWith(scratch);
    for (const path of ["in", "in/d", "in/a"]) {
      const answer = await get(server, "/scanPath", scratch.at(path));
      assert.deepEqual([answer.status, answer.body], [200, '[{"Status":"OK","Description":""}]']);
      assert.equal(answer.headers.get("content-type"), text);
    }
  });

  test("answers an empty directory as clean (rest.md 46)", async () => {
    await using scratch = await scratchDirectory({ "in/a": "x" });
    execFileSync("mkdir", [scratch.at("in/empty")]);
    await using server = await startWith(scratch);
    assert.equal((await get(server, "/scanPath", scratch.at("in/empty"))).body, '[{"Status":"OK","Description":""}]');
  });

  test("has an entry for each signature of each file, in a fixed order (rest.md 46)", async () => {
    await using scratch = await scratchDirectory({ "in/b": "virus:B1,B2", "in/a/x": "virus:A", "in/c": "clean" });
    await using server = await startWith(scratch);
    const answer = await get(server, "/scanPath", scratch.at("in"));
    assert.equal(answer.status, 406);
    const entry = (name: string) => `{"Status":"FOUND","Description":"${name}"}`;
    assert.equal(answer.body, `[${entry("A")},${entry("B1")},${entry("B2")}]`);
  });

  test("is 412 where there is nothing (rest.md 46)", async () => {
    await using scratch = await scratchDirectory({ "in/a": "x" });
    await using server = await startWith(scratch);
    const answer = await get(server, "/scanPath", scratch.at("in/nothing"));
    assert.deepEqual([answer.status, answer.body], [412, '[{"Status":"PARSE ERROR","Description":"Regex had no matches"}]']);
  });

  test("never calls a tree clean of which it has not seen all", async () => {
    await using scratch = await scratchDirectory({ "in/1/2/deep": "x", "in/a": "x", "in/b": "x" });
    await using shallow = await startWith(scratch, { front: { walkLimits: { maxDepth: 1, maxEntries: 100 } } });
    assert.equal((await get(shallow, "/scanPath", scratch.at("in"))).status, 400);
    await using few = await startWith(scratch, { front: { walkLimits: { maxDepth: 15, maxEntries: 4 } } });
    const answer = await get(few, "/scanPath", scratch.at("in"));
    assert.equal(answer.body, '[{"Status":"ERROR","Description":"The directory has too many files or levels"}]');
    assert.equal((await get(few, "/scanFile", scratch.at("in"))).status, 400);
  });

  test("walks a few directories at once; others wait, files do not, and who waits too long is told 503", async () => {
    await using scratch = await scratchDirectory({ "in/1": "hang", "other/file": "x" });
    const started = Promise.withResolvers<void>();
    const held = Promise.withResolvers<Verdict>();
    await using server = await startWith(scratch, {
      front: { scanPathRoots: [scratch.path], walkTurns: { maxAtOnce: 1, maxWaitMs: 50, refusal: "Too many" } },
      scan: {
        answer: (call) => {
          if (call.bytes.toString() !== "hang") return { kind: "clean" };
          started.resolve();
          return held.promise;
        },
      },
    });
    const first = get(server, "/scanPath", scratch.at("in"));
    await started.promise;
    const refused = await get(server, "/scanFile", scratch.at("other"));
    assert.deepEqual([refused.status, refused.headers.get("retry-after")], [503, "7"]);
    assert.equal((await get(server, "/scanFile", scratch.at("other/file"))).status, 200);
    held.resolve({ kind: "clean" });
    assert.equal((await first).status, 200);
    assert.equal((await get(server, "/scanPath", scratch.at("other"))).status, 200);
  });

  test("scans a name that is not UTF-8", async () => {
    await using scratch = await scratchDirectory({ "in/a": "x" });
    await writeFile(Buffer.concat([Buffer.from(`${scratch.at("in")}/`), Buffer.from([0xff])]), virus);
    await using server = await startWith(scratch);
    assert.equal((await get(server, "/scanPath", scratch.at("in"))).status, 406);
  });

  test("passes over links in a tree, also those that lead out or in circles", async () => {
    await using scratch = await scratchDirectory({ "in/d/a": "x", "out/v": virus });
    await symlink(scratch.at("out"), scratch.at("in/out"));
    await symlink(scratch.at("out/v"), scratch.at("in/v"));
    await symlink(scratch.at("in"), scratch.at("in/d/circle"));
    await using server = await startWith(scratch);
    assert.equal((await get(server, "/scanPath", scratch.at("in"))).status, 200);
    assert.equal(server.fake.calls.length, 1);
  });

  test("is 412 for a tree with a file that vanishes while it is walked", async () => {
    await using scratch = await scratchDirectory({ "in/1": "x", "in/2": "x" });
    await using server = await startWith(scratch, {
      scan: {
        answer: async () => {
          execFileSync("rm", ["-f", scratch.at("in/2")]);
          return { kind: "clean" };
        },
      },
    });
    const answer = await get(server, "/scanPath", scratch.at("in"));
    assert.deepEqual([answer.status, answer.body], [412, '[{"Status":"PARSE ERROR","Description":"Regex had no matches"}]']);
  });

  test("is 412 for what the gateway may not read", async () => {
    await using scratch = await scratchDirectory({ "in/a": "x" });
    await chmod(scratch.at("in/a"), 0o000);
    await using server = await startWith(scratch);
    // Root reads everything; everybody else gets the answer of a file that is not there.
    const expected = process.getuid?.() === 0 ? 200 : 412;
    assert.equal((await get(server, "/scanPath", scratch.at("in/a"))).status, expected);
  });
});
