import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { before, describe, test } from "node:test";
import NodeClam, { type ClamscanOptions } from "../../client/src/clamscan.ts";
import { suiteDirectory } from "../scratch-directory.ts";
import { type ClamdScript, startScriptedClamd } from "./scripted-clamd.ts";

async function started(script: ClamdScript, options: ClamscanOptions = {}) {
  const clamd = await startScriptedClamd(script);
  const { hostname, port } = new URL(clamd.url);
  const clamscan = await new NodeClam().init({ ...options, clamdscan: { host: hostname, port: Number(port), timeout: 2_000 } });
  return { clamscan, [Symbol.asyncDispose]: () => clamd[Symbol.asyncDispose]() };
}

describe("clamscan's calls", () => {
  const root = suiteDirectory();
  const path = (name: string) => root.at(name);
  before(async () => {
    await writeFile(path("good.txt"), "fine");
    await writeFile(path("bad.txt"), "a virus");
  });

  test("tell version, files, directories and streams as its README has them", async () => {
    await using stage = await started({});
    const { clamscan } = stage;
    assert.match(await clamscan.getVersion(), /^ClamAV 1\.4\.6\/27800\//);
    assert.deepEqual(await clamscan.isInfected(path("good.txt")), { file: path("good.txt"), isInfected: false, viruses: [] });
    assert.deepEqual(await clamscan.scanFile(path("bad.txt")), { file: path("bad.txt"), isInfected: true, viruses: ["A.Virus"] });
    const directory = await clamscan.scanDir(root.path);
    assert.deepEqual(
      [directory.isInfected, directory.badFiles, directory.goodFiles, directory.numGoodFiles],
      [true, [path("bad.txt")], [path("good.txt")], 1],
    );
    const { isInfected, file } = await clamscan.scanStream(Readable.from([Buffer.from("a virus")]));
    assert.deepEqual([isInfected, file], [true, null]);
    (await clamscan.ping()).end();
  });

  test("list an infected file as bad, with a file callback as without", async () => {
    await using stage = await started({});
    const files = [path("good.txt"), path("bad.txt"), path("missing.txt")];
    const told: unknown[] = [];
    const [goodFiles, badFiles, viruses, errors] = await new Promise<readonly unknown[]>((resolve, reject) => {
      stage.clamscan.scanFiles(
        files,
        (error, ...lists) => (error === null ? resolve(lists) : reject(error)),
        (error, file, isInfected) => told.push([error?.name ?? null, file, isInfected]),
      );
    });
    assert.deepEqual([goodFiles, badFiles, viruses], [[path("good.txt")], [path("bad.txt")], ["A.Virus"]]);
    assert.deepEqual(Object.keys(errors as object), [path("missing.txt")]);
    assert.deepEqual(told, [
      [null, path("good.txt"), false],
      [null, path("bad.txt"), true],
      ["ScanError", path("missing.txt"), null],
    ]);
  });

  test("reject where clamscan resolves null, unless that is asked for", async () => {
    const silent: ClamdScript = { reply: () => "" };
    await using stage = await started(silent);
    await assert.rejects(stage.clamscan.isInfected(path("good.txt")), { name: "ScanError" });
    await using lax = await started(silent, { nullOnError: true });
    assert.equal((await lax.clamscan.isInfected(path("good.txt"))).isInfected, null);
  });

  test("call FOUND followed by OK neither clean nor found", async () => {
    await using stage = await started({ reply: () => "stream: A FOUND\0stream: OK\0" });
    await assert.rejects(stage.clamscan.isInfected(path("good.txt")), { name: "ScanError", code: "protocol" });
  });

  test("refuse by name what a socket cannot honour, and what was not initialised", async () => {
    for (const option of ["removeInfected", "quarantineInfected", "scanLog"]) {
      await assert.rejects(new NodeClam().init({ [option]: "x" } as ClamscanOptions), new RegExp(option));
    }
    await assert.rejects(new NodeClam().isInfected(path("good.txt")), /init\(\)/);
  });

  test("pass a stream through and tell when its scan is complete", async () => {
    await using stage = await started({});
    const through = stage.clamscan.passthrough();
    const completed = new Promise((resolve) => void through.once("scan-complete", resolve));
    const pieces: Buffer[] = [];
    const sink = new Writable({
      write(chunk, _encoding, done) {
        pieces.push(chunk);
        done();
      },
    });
    await pipeline(Readable.from([Buffer.from("all is fine")]), through, sink);
    assert.deepEqual(await completed, { file: null, isInfected: false, viruses: [] });
    assert.equal(Buffer.concat(pieces).toString(), "all is fine");
  });
});
