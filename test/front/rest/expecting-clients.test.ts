/** curl sends `Expect: 100-continue` by itself for bodies above 1 MiB, and goes on with its connection where it may. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { truncate, writeFile } from "node:fs/promises";
import { before, describe, test } from "node:test";
import { promisify } from "node:util";
import { suiteDirectory } from "../../scratch-directory.ts";
import { startRest } from "./rest-server.ts";

const mebibyte = 1024 * 1024;
const maxBytes = 2 * mebibyte;
const rounds = 5;

interface Step {
  readonly method: string;
  readonly path: string;
  readonly file: "fits" | "tooLarge" | null;
  readonly status: number;
}

const steps: readonly Step[] = [
  { method: "POST", path: "/scanHandlerBody", file: "tooLarge", status: 413 },
  { method: "POST", path: "/scanHandlerBody", file: "fits", status: 200 },
  { method: "POST", path: "/nowhere", file: "tooLarge", status: 404 },
  { method: "PUT", path: "/v2/scan", file: "fits", status: 405 },
  { method: "GET", path: "/", file: null, status: 200 },
  { method: "POST", path: "/scanHandlerBody", file: "fits", status: 200 },
];

describe("curl, which expects 100 Continue", { timeout: 60_000 }, () => {
  const folder = suiteDirectory();
  const path = (file: "fits" | "tooLarge") => folder.at(file);
  before(async () => {
    for (const [file, bytes] of [
      ["fits", maxBytes],
      ["tooLarge", 3 * maxBytes],
    ] as const) {
      await writeFile(path(file), "");
      await truncate(path(file), bytes);
    }
  });

  test("gets every answer of many on connections that it uses again, refusals in between", async () => {
    await using rest = await startRest({ scan: { maxBytes }, front: { maxBytes } });
    const asked = Array.from({ length: rounds }, () => steps).flat();
    const words = asked.flatMap(({ method, path: target, file }, index) => [
      ...(index === 0 ? [] : ["--next"]),
      ...["-sS", "-X", method, "-w", "\\n%{http_code} %{num_connects}\\n"],
      // Far longer than the test may take: a body goes out when it is asked for, or not at all.
      ...["--expect100-timeout", "120"],
      ...(file === null ? [] : ["-H", "Content-Type: application/octet-stream", "--data-binary", `@${path(file)}`]),
      `${rest.url}${target}`,
    ]);
    const { stdout } = await promisify(execFile)("curl", ["-q", ...words]);
    assert.doesNotMatch(stdout, /HTTP\/1\.1/, "an answer stands inside another");
    const answers = [...stdout.matchAll(/^(\d{3}) (\d+)$/gm)].map((found) => found.slice(1).map(Number));
    assert.deepEqual(
      answers.map(([status]) => status),
      asked.map(({ status }) => status),
    );
    const connections = answers.filter(([, opened]) => opened !== 0).length;
    assert.ok(connections < asked.length, `${connections} connections for ${asked.length} requests`);
    assert.equal(rest.fake.calls.length, 2 * rounds);
    for (const { bytes } of rest.fake.calls) assert.equal(bytes.length, maxBytes);
  });
});
