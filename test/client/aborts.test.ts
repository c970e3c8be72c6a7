/** Scans and uploads that are broken off before, during and after (L6): no socket, no open file and no stored file stays behind. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readlink, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import express from "express";
import Fastify from "fastify";
import multer from "multer";
import { blockUploads, scannedStorage } from "../../client/src/express.ts";
import { clamgate } from "../../client/src/fastify.ts";
import { createScanner, ScanError, type Scanner } from "../../client/src/index.ts";
import { startScriptedClamd } from "./scripted-clamd.ts";

/** Larger than what is read or held in memory. */
const large = Buffer.alloc(3_000_000, "x");
const isAborted = (error: unknown) => error instanceof ScanError && error.code === "aborted";

/** Files of this process that are open, by what they have in their paths; Linux tells them. */
async function openFiles(part: string): Promise<readonly string[]> {
  if (!existsSync("/proc/self/fd")) return [];
  const paths = await Promise.all(
    (await readdir("/proc/self/fd")).map((name) => readlink(`/proc/self/fd/${name}`).catch(() => "")),
  );
  return paths.filter((path) => path.includes(part));
}

/** A hang is the failure: the test's time is over. */
async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe("an aborted scan", () => {
  let directory: string;
  let path: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "aborts-"));
    path = join(directory, "large");
    await writeFile(path, large);
  });
  after(() => rm(directory, { recursive: true }));

  const scans: Readonly<Record<string, (scanner: Scanner, signal: AbortSignal) => Promise<unknown>>> = {
    scanFile: (scanner, signal) => scanner.scanFile(path, { signal }),
    "scan of a stream": (scanner, signal) => scanner.scan(new Blob([large]).stream(), { signal }),
    async scanMany(scanner, signal) {
      for await (const result of scanner.scanMany([path, path, path], { signal })) {
        if ("error" in result) throw new ScanError(result.error.code, result.error.message);
      }
    },
  };
  for (const [name, scan] of Object.entries(scans)) {
    test(`leaves nothing open: ${name}`, async () => {
      await using silent = await startScriptedClamd({ reply: () => null });
      await using waiting = createScanner(silent.url);
      await assert.rejects(scan(waiting, AbortSignal.abort()), isAborted);
      assert.equal(silent.open(), 0);

      const during = new AbortController();
      const scanned = scan(waiting, during.signal);
      scanned.catch(() => {}); // it is awaited below
      await until(() => silent.open() > 0);
      during.abort();
      await assert.rejects(scanned, isAborted);
      await until(() => silent.open() === 0);

      await using clamd = await startScriptedClamd();
      await using scanner = createScanner(clamd.url);
      const later = new AbortController();
      await scan(scanner, later.signal);
      later.abort();
      await until(() => clamd.open() === 0);

      await until(async () => [...(await openFiles(directory)), ...(await openFiles(`${tmpdir()}/clamgate-`))].length === 0);
      assert.deepEqual(await readdir(directory), ["large"]);
    });
  }
});

describe("an upload that is broken off", () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "aborts-"));
  });
  after(() => rm(directory, { recursive: true }));

  const servers: Readonly<Record<string, (scanner: Scanner, handle: () => void) => Promise<Server>>> = {
    async "Express with multer's disk storage"(scanner, handle) {
      const app = express().post("/up", multer({ dest: directory }).array("f"), blockUploads(scanner), (_request, response) => {
        handle();
        response.end();
      });
      return createServer(app.use(quiet));
    },
    async "Express with scannedStorage"(scanner, handle) {
      const storage = scannedStorage(scanner, multer.diskStorage({ destination: directory }));
      const app = express().post("/up", multer({ storage }).array("f"), (_request, response) => {
        handle();
        response.end();
      });
      return createServer(app.use(quiet));
    },
    async Fastify(scanner, handle) {
      const app = Fastify();
      await app.register(clamgate, { scanner, multipart: { limits: { fileSize: 10_000_000 } } });
      app.post("/up", async (request) => {
        for await (const { file } of request.scannedFiles()) {
          handle();
          file.resume();
        }
        return "";
      });
      await app.ready();
      return app.server;
    },
  };
  for (const [name, open] of Object.entries(servers)) {
    test(`leaves no file, and reaches no handler: ${name}`, async () => {
      await using silent = await startScriptedClamd({ reply: () => null });
      // The scan of an upload goes on without its client, until its time is over.
      await using scanner = createScanner(silent.url, { timeoutMs: 1_000, retries: 0 });
      let handled = 0;
      const server = await open(scanner, () => {
        handled += 1;
      });
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      const whole = form();
      try {
        for (const [sent, isScanned] of [
          [whole.subarray(0, 60), false],
          [whole.subarray(0, 2_000_000), false],
          [whole, true],
        ] as const) {
          const scansBefore = silent.count();
          const requests = once(server, "request");
          const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
          socket.on("error", () => {}); // the server may be the first to go
          socket.write(
            `POST /up HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: ${whole.length}\r\n\r\n`,
          );
          socket.write(sent);
          const [request] = await requests;
          if (isScanned) await until(() => silent.count() > scansBefore && silent.open() > 0);
          socket.destroy();
          await until(() => request.socket.destroyed);
          await until(() => silent.open() === 0);
        }
        await until(async () => (await readdir(directory)).length === 0);
        await until(async () => [...(await openFiles(directory)), ...(await openFiles(`${tmpdir()}/clamgate-`))].length === 0);
        assert.equal(handled, 0);
      } finally {
        server.closeAllConnections();
        server.close();
      }
    });
  }
});

function form(): Buffer {
  const head =
    '--b\r\nContent-Disposition: form-data; name="f"; filename="a.bin"\r\nContent-Type: application/octet-stream\r\n\r\n';
  return Buffer.concat([Buffer.from(head), large, Buffer.from("\r\n--b--\r\n")]);
}

/** Express writes an error that nobody takes to the console. */
function quiet(
  error: { readonly status?: number },
  _request: express.Request,
  response: express.Response,
  _next: express.NextFunction,
): void {
  response.status(error.status ?? 500).end();
}
