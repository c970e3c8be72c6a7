import assert from "node:assert/strict";
import { linkSync, mkdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { listening } from "../listening.ts";
import { scratchDirectory } from "../scratch-directory.ts";
import { type JsonDocument, runCommand } from "./command-line.ts";

const report = {
  allowed: true,
  allowedBy: "clean",
  verdict: { kind: "clean" },
  name: "f",
  type: null,
  size: 4,
  sha256: "a".repeat(64),
  engine: { engine: "1.4.6", database: 1, databaseTime: null, tag: "t", testOnly: false },
  cached: true,
  elapsedMs: 1,
};
const state = { engine: report.engine, signatureAgeSeconds: null, slots: null, queued: 0, warnings: [] };

/** Costs as little as an HTTP server can, so that the command is what is measured: one request for each body of four bytes. */
async function startScriptedGateway() {
  const answer = (value: unknown) => {
    const body = JSON.stringify(value);
    return `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  };
  const [scanned, status] = [answer(report), answer(state)];
  const server = createServer((socket) => {
    let text = "";
    socket.setNoDelay(true);
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      for (;;) {
        const end = text.indexOf("\r\n\r\n");
        if (end < 0) return;
        const isScan = text.startsWith("POST");
        if (isScan && text.length < end + 8) return;
        text = text.slice(end + (isScan ? 8 : 4));
        socket.write(isScan ? scanned : status);
      }
    });
  });
  const port = await listening(server);
  return { url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: async () => void server.close() };
}

describe("100,000 files (C4)", () => {
  test("are scanned in a heap that could not hold their results", { timeout: 400_000 }, async () => {
    await using gateway = await startScriptedGateway();
    await using root = await scratchDirectory();
    // Links, each directory's to a file of its own: a file may have no more than 65,000 of them.
    for (let directory = 0; directory < 100; directory += 1) {
      const path = root.at(`d${directory}`);
      mkdirSync(path);
      await writeFile(join(path, "f0"), "fine");
      for (let file = 1; file < 1_000; file += 1) linkSync(join(path, "f0"), join(path, `f${file}`));
    }
    // Kept, 100,000 results would take more than the heap that it has here.
    const NODE_OPTIONS = "--max-old-space-size=96";
    const args = ["scan", "--to", gateway.url, "--format", "json", "-i", "-j", "16", root.path];
    const { code, stdout, stderr } = await runCommand(args, { env: { NODE_OPTIONS } });
    assert.equal(code, 0, stderr);
    const { summary } = JSON.parse(stdout) as JsonDocument;
    assert.deepEqual([summary.files, summary.clean, summary.errors], [100_000, 100_000, 0]);
  });
});
