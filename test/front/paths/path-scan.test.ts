import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, rm } from "node:fs/promises";
import { describe, test } from "node:test";
import { createTurns } from "../../../src/core/queues/turns.ts";
import { type PathScanOptions, scanPath } from "../../../src/front/paths/path-scan.ts";
import { createScanRoots } from "../../../src/front/paths/scan-roots.ts";
import { type ScratchDirectory, scratchDirectory } from "../../scratch-directory.ts";
import { createFakeScan, type FakeScanOptions, realVersion } from "../rest/fake-scan.ts";

interface Asked extends Partial<Pick<PathScanOptions, "maxAtOnce" | "walkLimits" | "engineVersion">> {
  readonly scan?: Partial<FakeScanOptions>;
}

async function findings(scratch: ScratchDirectory, path: string, { scan, ...asked }: Asked = {}): Promise<string[]> {
  const fake = createFakeScan({ maxBytes: 100, ...scan });
  const options: PathScanOptions = {
    scan: fake.scan,
    engineVersion: () => realVersion,
    roots: createScanRoots([scratch.path]),
    walkLimits: { maxDepth: 15, maxEntries: 100 },
    walkTurns: createTurns({ maxAtOnce: 1, maxWaitMs: 1_000, refusal: "Too many" }),
    maxAtOnce: 1,
    via: "rest",
    requestId: "r",
    client: "c",
    signal: new AbortController().signal,
    ...asked,
  };
  const found: string[] = [];
  for await (const finding of scanPath(Buffer.from(path, "latin1"), options)) {
    const name = finding.path.toString("latin1").replace(scratch.path, "");
    const more = finding.kind === "failed" ? finding.error.code : finding.kind === "scanned" ? finding.report.verdict.kind : "";
    found.push(`${name} ${finding.kind} ${more}`.trim());
  }
  assert.equal(fake.held(), 0);
  return found;
}

describe("scanPath", () => {
  test("has one finding for a file, under the name that it was asked for", async () => {
    await using scratch = await scratchDirectory({ a: "virus:X", "d/b": "" });
    assert.deepEqual(await findings(scratch, `${scratch.path}/d/../a`), ["/d/../a scanned infected"]);
  });

  test("names what is in a directory by the path it was asked for, without its last slashes", async () => {
    await using scratch = await scratchDirectory({ "d/a": "", "d/e/b": "virus:X" });
    const seen = ["/d/a scanned clean", "/d/e/b scanned infected"];
    for (const path of ["d", "d/", "d///"]) assert.deepEqual(await findings(scratch, `${scratch.path}/${path}`), seen, path);
    assert.deepEqual(await findings(scratch, `${scratch.path}/d/./e`), ["/d/./e/b scanned infected"]);
  });

  test("leaves the bytes of a name as they are", async () => {
    await using scratch = await scratchDirectory({ "d/a\nb": "" });
    execFileSync("sh", ["-c", `: > "${scratch.path}/d/$(printf '\\377')"`]);
    assert.deepEqual(await findings(scratch, scratch.at("d")), ["/d/a\nb scanned clean", "/d/\xff scanned clean"]);
  });

  test("tells what is not there, what is outside, what is no file, and where it stopped", async () => {
    await using scratch = await scratchDirectory({ "d/a": "", "d/b": "", "d/c": "" });
    execFileSync("mkfifo", [scratch.at("fifo")]);
    assert.deepEqual(await findings(scratch, scratch.at("none")), ["/none failed not-found"]);
    assert.deepEqual(await findings(scratch, "/etc/passwd"), ["/etc/passwd failed forbidden"]);
    assert.deepEqual(await findings(scratch, scratch.at("fifo")), ["/fifo other"]);
    const walkLimits = { maxDepth: 15, maxEntries: 2 };
    const some = ["/d/a scanned clean", "/d/b scanned clean", "/d limit"];
    assert.deepEqual(await findings(scratch, scratch.at("d"), { walkLimits }), some);
  });

  test("has no finding for an empty directory, but where nothing could be found", async () => {
    await using scratch = await scratchDirectory({});
    await mkdir(scratch.at("d"));
    assert.deepEqual(await findings(scratch, scratch.at("d")), []);
    assert.deepEqual(await findings(scratch, scratch.at("d"), { engineVersion: () => null }), ["/d failed engine-unavailable"]);
  });

  test("goes on behind a file that vanishes", async () => {
    await using scratch = await scratchDirectory({ "d/a": "", "d/b": "", "d/c": "" });
    const answer = async () => {
      await rm(scratch.at("d/b"), { force: true });
      return { kind: "clean" } as const;
    };
    const seen = ["/d/a scanned clean", "/d/b failed not-found", "/d/c scanned clean"];
    assert.deepEqual(await findings(scratch, scratch.at("d"), { scan: { answer } }), seen);
  });

  test("scans as many files at once as it may", async () => {
    const names = ["a", "b", "c", "d", "e", "f"];
    await using scratch = await scratchDirectory(Object.fromEntries(names.map((name) => [`in/${name}`, name])));
    let atOnce = 0;
    let most = 0;
    const answer = async () => {
      atOnce += 1;
      most = Math.max(most, atOnce);
      // Until as many as may are there: with fewer this test would hang.
      while (most < 3) await new Promise(setImmediate);
      atOnce -= 1;
      return { kind: "clean" } as const;
    };
    const seen = await findings(scratch, scratch.at("in"), { maxAtOnce: 3, scan: { answer } });
    assert.deepEqual(
      seen.toSorted(),
      names.map((name) => `/in/${name} scanned clean`),
    );
    assert.equal(most, 3);
  });
});
