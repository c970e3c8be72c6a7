import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { describe, test } from "node:test";
import { BlockedError, createScanner, requireAllowed, ScanError, type ScannerOptions } from "../../client/src/index.ts";
import { scratchDirectory } from "../scratch-directory.ts";
import { type ClamdScript, startScriptedClamd } from "./scripted-clamd.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

async function scanWith(script: ClamdScript, body = bytes("harmless"), options: ScannerOptions = {}) {
  await using clamd = await startScriptedClamd(script);
  await using scanner = createScanner(clamd.url, { timeoutMs: 5_000, retries: 0, ...options });
  return await scanner.scan(body);
}

const failsWith = (code: ScanError["code"]) => (error: unknown) => {
  assert.ok(error instanceof ScanError, String(error));
  assert.equal(error.code, code, error.message);
  return true;
};

async function collect(
  stream: NodeJS.ReadableStream,
  through: ReturnType<ReturnType<typeof createScanner>["through"]>,
): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const sink = new Writable({
    write(chunk, _encoding, done) {
      pieces.push(chunk);
      done();
    },
  });
  await pipeline(stream, through, sink).catch((error) => {
    throw Object.assign(error, { passed: Buffer.concat(pieces) });
  });
  return Buffer.concat(pieces);
}

describe("a scanner on a clamd", () => {
  test("reports what is clean, infected and empty, with the body's own digest", async () => {
    await using clamd = await startScriptedClamd();
    await using scanner = createScanner(clamd.url);
    for (const text of ["harmless", "", "a virus"]) {
      const report = await scanner.scan(bytes(text), { name: "a.txt" });
      assert.equal(report.allowed, text !== "a virus");
      assert.equal(report.size, text.length);
      assert.equal(report.sha256, createHash("sha256").update(text).digest("hex"));
      assert.equal(report.name, "a.txt");
      assert.equal(report.engine.database, 27_800);
    }
    const report = await scanner.scan(bytes("a virus"));
    assert.deepEqual(report.verdict, { kind: "infected", signatures: ["A.Virus"] });
    assert.throws(() => requireAllowed(report), BlockedError);
  });

  test("takes bytes, blobs, streams and iterables for the same body", async () => {
    await using clamd = await startScriptedClamd();
    await using scanner = createScanner(clamd.url);
    const text = "the same bytes";
    const bodies = [
      bytes(text),
      new Blob([text]),
      new Blob([text]).stream(),
      Readable.from([Buffer.from("the same "), Buffer.from("bytes")]),
    ];
    const digests = new Set<string>();
    for (const body of bodies) digests.add((await scanner.scan(body)).sha256);
    assert.equal(digests.size, 1);
  });

  test("calls nothing clean that is cut anywhere, doubled, or goes on", async () => {
    const whole = "stream: OK\0";
    for (let length = 0; length < whole.length; length += 1) {
      await assert.rejects(scanWith({ reply: () => whole.slice(0, length) }), ScanError, `cut at ${length}`);
    }
    for (const lie of [
      "stream: OK\0stream: OK\0",
      "stream: A FOUND\0stream: OK\0",
      "stream: OK\n",
      "OK\0",
      "stream: OK \0",
      " stream: OK\0",
    ]) {
      await assert.rejects(scanWith({ reply: () => lie }), failsWith("protocol"), JSON.stringify(lie));
    }
  });

  test("calls nothing clean that was answered before it was sent", async () => {
    await assert.rejects(scanWith({ early: "stream: OK\0" }, randomBytes(8 * 1024 * 1024)), failsWith("protocol"));
  });

  test("tells a size limit, a time-out and clamd's own errors apart", async () => {
    const limit = "INSTREAM size limit exceeded. ERROR\0";
    await assert.rejects(scanWith({ early: limit }, randomBytes(8 * 1024 * 1024)), failsWith("too-large"));
    await assert.rejects(scanWith({ reply: () => limit }), failsWith("too-large"));
    await assert.rejects(scanWith({ reply: () => "COMMAND READ TIMED OUT\n" }), failsWith("timeout"));
    await assert.rejects(scanWith({ reply: () => "stream: Can't allocate memory ERROR\0" }), failsWith("unavailable"));
    await assert.rejects(scanWith({ reply: () => "" }), failsWith("connection"));
  });

  test("ends at timeoutMs where clamd is silent, and leaves no socket", async () => {
    await using clamd = await startScriptedClamd({ reply: () => null });
    await using scanner = createScanner(clamd.url, { timeoutMs: 300, retries: 0 });
    const took: number[] = [];
    for (let time = 0; time < 5; time += 1) {
      const startedAt = performance.now();
      await assert.rejects(scanner.scan(bytes("x")), failsWith("timeout"));
      took.push(performance.now() - startedAt);
    }
    // The median: a busy machine may hold up one of them.
    const median = took.toSorted((a, b) => a - b)[2] ?? Number.NaN;
    assert.ok(Math.abs(median - 300) <= 100, `${took} ms`);
    while (clamd.open() > 0) await new Promise(setImmediate);
  });

  test("ends when its signal is aborted: before, and meanwhile", async () => {
    await using clamd = await startScriptedClamd({ reply: () => null });
    await using scanner = createScanner(clamd.url);
    await assert.rejects(scanner.scan(bytes("x"), { signal: AbortSignal.abort() }), failsWith("aborted"));
    assert.equal(clamd.count(), 0);
    const aborter = new AbortController();
    const scanned = scanner.scan(bytes("x"), { signal: aborter.signal });
    setTimeout(() => aborter.abort(), 50);
    await assert.rejects(scanned, failsWith("aborted"));
    while (clamd.open() > 0) await new Promise(setImmediate);
  });

  test("refuses a body above maxBytes, told or not", async () => {
    await assert.rejects(scanWith({}, bytes("12345"), { maxBytes: 4 }), failsWith("too-large"));
    await using clamd = await startScriptedClamd();
    await using scanner = createScanner(clamd.url, { maxBytes: 4 });
    await assert.rejects(scanner.scan(Readable.from([Buffer.from("123"), Buffer.from("45")])), failsWith("too-large"));
    assert.equal((await scanner.scan(bytes("1234"))).allowed, true);
  });

  test("tries again what may pass, and a stream only once it is held", async () => {
    let asked = 0;
    const failsOnce: ClamdScript = { reply: () => (++asked === 1 ? "" : "stream: OK\0") };
    assert.equal((await scanWith(failsOnce, bytes("x"), { retries: 1 })).allowed, true);
    assert.equal(asked, 2);
    await using away = await startScriptedClamd();
    const { url } = away;
    await away[Symbol.asyncDispose]();
    await assert.rejects(createScanner(url, { retries: 1 }).scan(bytes("x")), failsWith("connection"));
  });

  test("keeps 200 bodies apart that are scanned at once", async () => {
    await using clamd = await startScriptedClamd();
    await using scanner = createScanner(clamd.url);
    const bodies = Array.from({ length: 200 }, (_, index) => `${index} ${index % 7 === 0 ? "virus" : "fine"}`);
    const reports = await Promise.all(bodies.map((body) => scanner.scan(bytes(body))));
    for (const [index, report] of reports.entries()) {
      assert.equal(
        report.sha256,
        createHash("sha256")
          .update(bodies[index] ?? "")
          .digest("hex"),
      );
      assert.equal(report.allowed, index % 7 !== 0);
    }
  });

  test("lets what is unscannable pass by the caller's own policy alone", async () => {
    const locked: ClamdScript = { reply: () => "stream: Heuristics.Encrypted.Zip FOUND\0" };
    assert.equal((await scanWith(locked)).allowed, false);
    const allowed = await scanWith(locked, bytes("x"), { onUnscannable: ["encrypted"] });
    assert.deepEqual([allowed.allowed, allowed.allowedBy], [true, "policy"]);
    assert.equal((await scanWith(locked, bytes("x"), { onUnscannable: ["limit-time"] })).allowed, false);
  });

  test("has no memory to look into, and warns of what clamd does not tell", async () => {
    await using clamd = await startScriptedClamd();
    await using scanner = createScanner(clamd.url);
    await assert.rejects(scanner.lookup("a".repeat(64)), failsWith("unsupported"));
    await assert.rejects(scanner.lookup("abc"), failsWith("input"));
    const { engine, warnings } = await scanner.status();
    assert.equal(engine?.engine, "1.4.6");
    assert.match(warnings.join(), /AlertExceedsMax/);
  });

  test("refuses addresses and options that are none", () => {
    for (const target of ["ftp://x", "localhost", ""]) assert.throws(() => createScanner(target), failsWith("input"), target);
    for (const options of [{ timeoutMs: 0 }, { concurrency: Number.NaN }, { retries: -1 }]) {
      assert.throws(() => createScanner("tcp://127.0.0.1:1", options), failsWith("input"));
    }
  });
});

describe("through()", () => {
  for (const release of ["verdict", "tail"] as const) {
    test(`lets a clean stream pass by ${release}, of no, few and many bytes`, async () => {
      await using clamd = await startScriptedClamd();
      await using scanner = createScanner(clamd.url);
      for (const size of [0, 1, 10, 3 * 1024 * 1024]) {
        const body = Buffer.alloc(size, "a");
        const through = scanner.through({ release });
        const passed = await collect(
          Readable.from(size === 0 ? [] : [body.subarray(0, size >> 1), body.subarray(size >> 1)]),
          through,
        );
        assert.ok(passed.equals(body), `${size} bytes`);
        assert.equal((await through.report).size, size);
      }
    });

    test(`destroys an infected stream by ${release} before it is whole`, async () => {
      await using clamd = await startScriptedClamd();
      await using scanner = createScanner(clamd.url);
      const body = Buffer.concat([Buffer.alloc(200_000, "a"), Buffer.from("virus"), Buffer.alloc(200_000, "b")]);
      await assert.rejects(
        collect(Readable.from([body]), scanner.through({ release })),
        (error: BlockedError & { passed: Buffer }) => {
          assert.ok(error instanceof BlockedError);
          assert.ok(release === "verdict" ? error.passed.length === 0 : error.passed.length < body.length);
          return true;
        },
      );
    });

    test(`destroys a stream by ${release} that has no verdict`, async () => {
      await using clamd = await startScriptedClamd({ reply: () => "" });
      await using scanner = createScanner(clamd.url, { retries: 0 });
      await assert.rejects(collect(Readable.from([Buffer.from("x")]), scanner.through({ release })), failsWith("connection"));
    });

    test(`ends the scan by ${release} when the source breaks off, and leaves no file`, async () => {
      await using clamd = await startScriptedClamd();
      await using scanner = createScanner(clamd.url);
      const broken = Readable.from(
        (async function* () {
          yield Buffer.alloc(2 * 1024 * 1024);
          throw new Error("the source broke");
        })(),
      );
      await assert.rejects(collect(broken, scanner.through({ release })), /the source broke/);
      const left = (await readdir(tmpdir())).filter((name) => /^clamgate-[0-9a-f]{8}-[0-9a-f]{4}-/.test(name));
      assert.deepEqual(left, []);
    });
  }
});

describe("files and directories", () => {
  test("are read whatever their names are; links and special files are passed over", async () => {
    await using root = await scratchDirectory();
    const odd = ["with blank", "quo'te\"", "new\nline", "-dash", "ümlaut"];
    for (const name of odd) await writeFile(root.at(name), name === "-dash" ? "a virus" : "fine");
    await writeFile(Buffer.concat([Buffer.from(`${root.path}/`), Buffer.from([0xe9, 0xff])]), "fine");
    await mkdir(root.at("deep", ".git"), { recursive: true });
    await writeFile(root.at("deep", "inner"), "fine");
    await writeFile(root.at("deep", ".git", "left"), "a virus");
    await symlink(root.path, root.at("loop"));
    await using clamd = await startScriptedClamd();
    await using scanner = createScanner(clamd.url);
    const found = new Map<string, boolean>();
    for await (const result of scanner.scanDirectory(root.path, { exclude: [".git"] })) {
      assert.ok("report" in result, JSON.stringify(result));
      found.set(result.path.slice(root.path.length + 1), result.report.allowed);
    }
    assert.equal(found.size, odd.length + 2);
    assert.equal(found.get("-dash"), false);
    assert.equal(found.get("new\nline"), true);
    assert.equal(found.has("deep/.git/left"), false);
  });

  test("of a list come in its order, each with its report or its error", async () => {
    await using root = await scratchDirectory();
    await writeFile(root.at("a"), "fine");
    await writeFile(root.at("b"), "a virus");
    await using clamd = await startScriptedClamd();
    await using scanner = createScanner(clamd.url, { concurrency: 2 });
    const told: (boolean | string)[] = [];
    const paths = ["a", "missing", "b", "."].map((name) => root.at(name));
    for await (const result of scanner.scanMany(paths)) told.push("report" in result ? result.report.allowed : result.error.code);
    assert.deepEqual(told, [true, "not-found", false, "input"]);
    await assert.rejects(scanner.scanFile(root.at("missing")), failsWith("not-found"));
  });
});
