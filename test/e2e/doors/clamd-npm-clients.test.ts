/** The clients of clamd that npm has, at the clamd door: what each makes of clean, infected, too large, and of an engine that is away. */

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { Readable } from "node:stream";
import { after, before, describe, test } from "node:test";
import { clean, type FakeClamd, found, startFakeClamd } from "../../fake/clamd.ts";
import { givenClamd } from "../../fault/harness/given-clamd.ts";
import { type GatewayProcess, startGatewayProcess } from "../gateway-process.ts";

// None of the three has types.
const load = createRequire(import.meta.url);

interface ClamscanOptions {
  readonly clamdscan: { readonly host: string; readonly port: number; readonly localFallback: false };
  readonly clamscan: { readonly active: false };
}
interface ClamscanResult {
  readonly isInfected: boolean | null;
  readonly viruses: readonly string[];
}
interface Clamscan {
  init(options: ClamscanOptions): Promise<Clamscan>;
  scanStream(stream: Readable): Promise<ClamscanResult>;
}
const NodeClam: new () => Clamscan = load("clamscan");

interface Clamdjs {
  createScanner(host: string, port: number): { scanBuffer(body: Buffer, timeoutMs: number, chunkBytes: number): Promise<string> };
  ping(host: string, port: number, timeoutMs: number): Promise<boolean>;
  isCleanReply(reply: string): boolean;
}
const clamdjs: Clamdjs = load("clamdjs");

type Ended = (error: Error | undefined, object: unknown, malicious?: string) => void;
const clamavJs: { createScanner(port: number, host: string): { scan(stream: Readable, ended: Ended): void } } = load("clamav.js");

const host = "127.0.0.1";
const virus = "Npm.Test.Virus";
const marker = "this is the marker";
const limit = 1024 * 1024;
/** By what a client is told of it. */
const bodies = { clean: Buffer.from("nothing"), infected: Buffer.from(marker), large: Buffer.alloc(3 * limit, "a") } as const;
const sizeError = "INSTREAM size limit exceeded. ERROR";

/** As a file is read: in pieces. */
function streamOf(body: Buffer): Readable {
  const pieces = Array.from({ length: Math.ceil(body.length / 65_536) }, (_, at) =>
    body.subarray(at * 65_536, (at + 1) * 65_536),
  );
  return Readable.from(pieces, { objectMode: false });
}

describe("npm's clients of clamd at the clamd door", () => {
  let clamd: FakeClamd;
  let gateway: GatewayProcess;
  let port: number;
  before(async () => {
    clamd = await startFakeClamd({ scan: (body) => (body.includes(marker) ? found(virus) : clean) });
    const env = {
      ...givenClamd({ ports: [clamd.address.port] }),
      CLAMD_LISTEN: "0",
      MAX_FILE_SIZE: `${limit}`,
      QUEUE_TIMEOUT: "1s",
    };
    gateway = await startGatewayProcess({ env });
    await gateway.ready();
    port = Number(/clamd door on tcp:\/\/127\.0\.0\.1:(\d+)/.exec(await gateway.line("clamd door on "))?.[1]);
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await clamd[Symbol.asyncDispose]();
  });

  const newClamscan = () => new NodeClam().init({ clamdscan: { host, port, localFallback: false }, clamscan: { active: false } });
  const byClamdjs = (body: Buffer) => clamdjs.createScanner(host, port).scanBuffer(body, 10_000, 65_536);
  const byClamavJs = (body: Buffer) =>
    new Promise<string | null>((resolve, reject) => {
      clamavJs.createScanner(port, host).scan(streamOf(body), (error, _, malicious) => {
        if (error) reject(error);
        else resolve(malicious ?? null);
      });
    });

  let clamscan: Clamscan;
  test("clamscan starts, and tells clean, infected and too large apart (A17)", async () => {
    clamscan = await newClamscan();
    assert.equal((await clamscan.scanStream(streamOf(bodies.clean))).isInfected, false);
    const { isInfected, viruses } = await clamscan.scanStream(streamOf(bodies.infected));
    assert.deepEqual([isInfected, viruses], [true, [virus]]);
    await assert.rejects(clamscan.scanStream(streamOf(bodies.large)), /INSTREAM size limit exceeded\./);
  });

  test("clamdjs tells clean, infected and too large apart (A17)", async () => {
    assert.equal(await clamdjs.ping(host, port, 10_000), true);
    const replies = [await byClamdjs(bodies.clean), await byClamdjs(bodies.infected), await byClamdjs(bodies.large)];
    assert.deepEqual(replies, ["stream: OK\0", `stream: ${virus} FOUND\0`, `${sizeError}\0`]);
    assert.deepEqual(replies.map(clamdjs.isCleanReply), [true, false, false]);
  });

  test("clamav.js tells clean, infected and too large apart (A17)", async () => {
    assert.equal(await byClamavJs(bodies.clean), null);
    assert.equal(await byClamavJs(bodies.infected), virus);
    await assert.rejects(byClamavJs(bodies.large), /^Error: INSTREAM size limit exceeded\.$/);
  });

  test("none calls a body clean while the engine is away, and clamscan does not start then", async () => {
    await clamd.kill();
    const body = Buffer.from("not seen before");
    await assert.rejects(clamscan.scanStream(streamOf(body)), /Scan engine [a-z ]+\./);
    assert.equal(clamdjs.isCleanReply(await byClamdjs(body)), false);
    await assert.rejects(byClamavJs(body), /^Error: Scan engine [a-z ]+\.$/);
    await assert.rejects(newClamscan());
    assert.equal(await clamdjs.ping(host, port, 10_000), false);
  });
});
