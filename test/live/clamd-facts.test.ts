/** What the gateway is built on, asked of the installed clamd itself: each of these is a reason for something in src/clamd. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { instreamBytes, type Request } from "../../src/clamd/commands.ts";
import { dialClamd, exchange } from "../../src/clamd/connection.ts";
import { eventually } from "../process/stage.ts";
import {
  bodySignature,
  eicar,
  eicarName,
  marker,
  markerName,
  mebibyte,
  type RealClamd,
  startRealClamd,
  testSignatures,
} from "./clamd.ts";
import { zip } from "./zip.ts";

describe("the installed clamd", () => {
  let clamd: RealClamd;
  before(async () => {
    clamd = await startRealClamd();
  });
  after(() => clamd[Symbol.asyncDispose]());

  const scanFile = async (name: string) => {
    const path = join(clamd.directory, name);
    return (await ask(clamd, [Buffer.from(`zSCAN ${path}\0`)])).replaceAll(path, name);
  };
  const scan = (bytes: Uint8Array | string) => ask(clamd, instreamBytes(Buffer.from(bytes)));

  test("answers SCAN of a file in one line, also under odd names, and of an empty one", async () => {
    for (const name of ["a: OK", "a b", "line\nfeed", "ümläut"]) {
      await writeFile(join(clamd.directory, name), "clean");
      assert.equal(await scanFile(name), `${name}: OK\0`);
    }
    await writeFile(join(clamd.directory, "infected"), marker);
    assert.equal(await scanFile("infected"), `infected: ${markerName} FOUND\0`);
    await writeFile(join(clamd.directory, "empty"), "");
    assert.equal(await scanFile("empty"), "empty: OK\0");
  });

  test("answers SCAN of what is no regular file with OK, scanned or not: it is not for paths of others", async () => {
    await writeFile(join(clamd.directory, "target"), marker);
    await symlink("target", join(clamd.directory, "link"));
    assert.equal(await scanFile("link"), "link: OK\0");
    execFileSync("mkfifo", [join(clamd.directory, "fifo")]);
    for (const name of ["fifo", "clamd.sock"]) {
      assert.equal(await scanFile(name), `${name}: Not supported file type ERROR\0${name}: OK\0`);
    }
    await mkdir(join(clamd.directory, "directory"));
    assert.equal(await scanFile("directory"), "directory: OK\0");
    assert.equal(await scanFile("missing"), "missing: File path check failure: No such file or directory. ERROR\0");
  });

  test("answers only the last of a session's commands out of turn, so that two versions enclose a verdict", async () => {
    const body = [Buffer.from([0, 0, 0, eicar.length]), eicar, Buffer.alloc(4)];
    const request = [Buffer.from("zIDSESSION\0zVERSION\0zINSTREAM\0"), ...body, Buffer.from("zVERSION\0zEND\0")];
    const [before, after, verdict, ...rest] = (await ask(clamd, request)).split("\0");
    assert.match(before ?? "", /^1: ClamAV [\d.]+$/);
    assert.equal(after, before?.replace("1: ", "3: "));
    assert.deepEqual([verdict, rest], [`2: stream: ${eicarName} FOUND`, [""]]);
  });

  test("scans nothing in files whose first bytes are of a kind it ignores, so they are scanned again behind a line feed", async () => {
    for (const magic of ["ID3", "OggS", "SQLite format 3\0", ".RMF"]) {
      assert.equal(await scan(`${magic}${marker}`), "stream: OK\0", magic);
      assert.equal(await scan(`\n${magic}${marker}`), `stream: ${markerName} FOUND\0`, magic);
    }
    assert.equal(await scan(`IDX${marker}`), `stream: ${markerName} FOUND\0`);
  });

  test("calls an archive that is cut off OK: it cannot be told from a whole one", async () => {
    const archive = zip([{ name: "a.txt", bytes: Buffer.from(`${marker} ${"x".repeat(5000)}`) }]);
    assert.equal(await scan(archive), `stream: ${markerName} FOUND\0`);
    assert.equal(await scan(archive.subarray(0, 60)), "stream: OK\0");
  });

  test("refuses a chunk above its limit by its length alone", async () => {
    const request = [Buffer.from("zINSTREAM\0"), Buffer.from([0xff, 0xff, 0xff, 0xff])];
    assert.equal(await ask(clamd, request), "INSTREAM size limit exceeded. ERROR\0");
  });
});

describe("the installed clamd, configured otherwise", () => {
  test("calls a zip's entry above MaxFileSize OK though it scanned a part of it: so ours is as large as MaxScanSize", async () => {
    const conf = `MaxFileSize ${mebibyte}\n`;
    await using clamd = await startRealClamd({ conf, limits: { maxFileSize: mebibyte, maxScanSize: 16 * mebibyte } });
    const entry = Buffer.concat([Buffer.alloc(2 * mebibyte, "a"), Buffer.from(marker)]);
    assert.equal(await ask(clamd, instreamBytes(zip([{ name: "a", bytes: entry }]))), "stream: OK\0");
  });

  test("tells that its time was over", async () => {
    await using clamd = await startRealClamd({ limits: { maxScanTimeMs: 1 } });
    const body = Buffer.alloc(20 * mebibyte, "abc ");
    // Twice: what has timed out once must not be taken for known and clean.
    for (let times = 0; times < 2; times += 1) {
      assert.equal(await ask(clamd, instreamBytes(body)), "stream: Heuristics.Limits.Exceeded.MaxScanTime FOUND\0");
    }
  });

  test("loses a RELOAD that comes while it reloads", async () => {
    await using clamd = await startRealClamd({ signatures: { ...testSignatures, "many.hdb": manySignatures(150_000) } });
    const loads = () => clamd.output().split("Reading databases from").length - 1;
    const before = loads();
    await clamd.reload();
    await clamd.reload();
    await eventually("it has reloaded", () => clamd.output().includes("Database correctly reloaded"));
    assert.equal(await ask(clamd, instreamBytes(eicar)), `stream: ${eicarName} FOUND\0`);
    assert.equal(loads() - before, 1);
    await clamd.reload({ "new.ndb": bodySignature("New", "something new") });
    const found = async () =>
      (await ask(clamd, instreamBytes(Buffer.from("something new")))) === "stream: New.UNOFFICIAL FOUND\0";
    await eventually("the new signature is in use", found);
  });

  test("keeps its signatures when new ones do not load, and does not say so to anyone who asks", async () => {
    await using clamd = await startRealClamd();
    await clamd.reload({ "bad.ndb": "garbage\n" });
    await eventually("it has failed", () => clamd.output().includes("Database reload failed"));
    assert.equal(await ask(clamd, instreamBytes(eicar)), `stream: ${eicarName} FOUND\0`);
    assert.match(await ask(clamd, [Buffer.from("zVERSION\0")]), /^ClamAV [\d.]+\0$/);
  });

  test("that cannot load two sets at once is left without an engine by a bad one, and still answers PING", async () => {
    const conf = "ConcurrentDatabaseReload no\nIdleTimeout 1\n";
    await using clamd = await startRealClamd({ conf });
    await clamd.reload({ "bad.ndb": "garbage\n" });
    await eventually("it has failed", () => clamd.output().includes("Database reload failed"));
    assert.equal(await ask(clamd, [Buffer.from("zPING\0")]), "PONG\0");
    assert.match(await ask(clamd, [Buffer.from("zVERSION\0")]), /^ClamAV [\d.]+\/4294967295\//);
  });
});

async function ask(clamd: RealClamd, request: Request): Promise<string> {
  const limits = { dial: dialClamd, connectTimeoutMs: 5_000, timeoutMs: 30_000 };
  return Buffer.from(await exchange(request, { ...limits, address: clamd.address })).toString();
}

/** Hashes that nothing has: they cost time to load and nothing else. */
function manySignatures(count: number): string {
  let text = "";
  for (let index = 0; index < count; index += 1) {
    const word = Math.imul(index, 0x9e3779b1) >>> 0;
    text += `${word.toString(16).padStart(8, "0").repeat(4)}:${1000 + index}:T.${index}\n`;
  }
  return text;
}
