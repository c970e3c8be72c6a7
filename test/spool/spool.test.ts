import assert from "node:assert/strict";
import { once } from "node:events";
import { type FileHandle, open, readdir, rm, stat, truncate, unlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { GatewayEvent } from "../../src/core/events.ts";
import type { Spool, SpooledBody } from "../../src/core/spool.ts";
import { openSpool, type SpoolSettings } from "../../src/spool/spool.ts";
import type { FileSystem } from "../../src/spool/spool-file.ts";
import { describeSpool } from "../contract/spool.ts";
import { ReadyChunks } from "../fake/ready-chunks.ts";
import { type ScratchDirectory, scratchDirectory } from "../scratch-directory.ts";
import { collect, cut, ScriptedBody, sampleBytes } from "./scripted-body.ts";

const ample = { memoryBytesPerBody: 1 << 20, memoryBytesTotal: 1 << 24, maxFileBytesTotal: 1 << 26 };

describeSpool("openSpool with memory for every body", () => openHarness({}));
describeSpool("openSpool with files only", () => openHarness({ memoryBytesPerBody: 0 }));
describeSpool("openSpool that spills", () => openHarness({ memoryBytesPerBody: 500, memoryBytesTotal: 2000 }));

async function openHarness(limits: Partial<SpoolSettings>) {
  const scratch = await scratchDirectory();
  const spool = await openSpool({ ...ample, ...limits, directory: scratch.path });
  return {
    spool,
    async [Symbol.asyncDispose]() {
      await spool.close();
      assert.deepEqual(await readdir(scratch.path), []);
      await scratch[Symbol.asyncDispose]();
    },
  };
}

describe("openSpool", () => {
  const { signal } = new AbortController();
  let scratch: ScratchDirectory;
  let spool: Spool | null;

  beforeEach(async () => {
    scratch = await scratchDirectory();
    spool = null;
  });

  afterEach(async () => {
    await spool?.close();
    await scratch[Symbol.asyncDispose]();
  });

  async function opened(settings: Partial<SpoolSettings>): Promise<Spool> {
    spool = await openSpool({ ...ample, directory: scratch.path, ...settings });
    return spool;
  }

  function take(from: Spool, size: number, expectedBytes?: number): Promise<SpooledBody> {
    const declared = expectedBytes === undefined ? {} : { expectedBytes };
    return from.take(new ScriptedBody(cut(sampleBytes(size), 64)), { maxBytes: size, signal, ...declared });
  }

  test("keeps a body of its memory share in memory, and one byte more in a file", async () => {
    const here = await opened({ memoryBytesPerBody: 1000 });
    for (const [size, isInMemory] of [
      [999, true],
      [1000, true],
      [1001, false],
    ] as const) {
      await using held = await take(here, size);
      assert.equal(held.bytes !== null, isInMemory);
      assert.deepEqual(here.usage(), { bodies: 1, memoryBytes: isInMemory ? size : 0, fileBytes: isInMemory ? 0 : size });
    }
  });

  test("keeps every byte of a chunk that comes when others have taken what it would have collected in", async () => {
    const here = await opened({ memoryBytesPerBody: 0 });
    const chunks = [sampleBytes(100_000), sampleBytes(300_000)];
    const others = Array.from({ length: 12 }, () => new ScriptedBody([sampleBytes(200_000)], { kind: "wait" }));
    const taken: Promise<SpooledBody>[] = [];
    async function* source() {
      yield chunks[0] ?? assert.fail();
      for (const other of others) taken.push(here.take(other, { maxBytes: 1_000_000, signal }));
      await Promise.all(others.map((other) => other.waitedFor));
      yield chunks[1] ?? assert.fail();
    }
    await using body = await here.take(source(), { maxBytes: 1_000_000, signal });
    assert.equal(body.size, 400_000);
    assert.ok((await collect(body.read())).equals(Buffer.concat(chunks)));
    for (const other of others) other.release({ error: new Error("enough") });
    await Promise.allSettled(taken);
  });

  test("takes in a body that is there in the turn in which it is asked to, and gives its memory back in that of the disposal", async () => {
    const here = await opened({ memoryBytesPerBody: 1000 });
    const source = new ReadyChunks(cut(sampleBytes(300), 64));
    const taking = here.take(source, { maxBytes: 300, signal });
    assert.deepEqual([source.unread, here.usage().memoryBytes], [0, 300]);
    const body = await taking;
    const disposal = body[Symbol.asyncDispose]();
    assert.deepEqual(here.usage(), { bodies: 0, memoryBytes: 0, fileBytes: 0 });
    await disposal;
  });

  test("fills the memory for all bodies to the byte, then goes to files, and comes back", async () => {
    const here = await opened({ memoryBytesPerBody: 1000, memoryBytesTotal: 1500 });
    const first = await take(here, 1000);
    await using second = await take(here, 500);
    await using third = await take(here, 1);
    assert.deepEqual([first.path, second.path, third.bytes], [null, null, null]);
    assert.deepEqual(here.usage(), { bodies: 3, memoryBytes: 1500, fileBytes: 1 });
    await first[Symbol.asyncDispose]();
    await using fourth = await take(here, 1000);
    assert.equal(fourth.path, null);
  });

  test("writes a body that was declared larger than the share to a file from its first byte", async () => {
    const here = await opened({ memoryBytesPerBody: 1000 });
    await using declared = await take(here, 10, 1001);
    await using atShare = await take(here, 10, 1000);
    assert.deepEqual([declared.bytes, atShare.path], [null, null]);
  });

  test("takes a declared size for no more than a guess", async () => {
    const here = await opened({ memoryBytesPerBody: 1000 });
    for (const expectedBytes of [0, 1, 299, 301, 1000, Number.NaN, -1, Number.POSITIVE_INFINITY]) {
      await using held = await take(here, 300, expectedBytes);
      assert.deepEqual(await collect(held.read()), Buffer.from(sampleBytes(300)));
      assert.equal(here.usage().memoryBytes + here.usage().fileBytes, 300);
    }
  });

  test("names a private file by an absolute path without links", async () => {
    const here = await opened({ memoryBytesPerBody: 0 });
    await using held = await take(here, 200_000);
    assert.equal(held.path?.startsWith(`${scratch.path}/`), true);
    const { mode, size } = await stat(held.path ?? "");
    assert.deepEqual([mode & 0o777, size], [0o600, 200_000]);
  });

  test("fills the file quota to the byte, refuses one more with spool-full, and takes bodies again when there is room", async () => {
    const here = await opened({ memoryBytesPerBody: 0, maxFileBytesTotal: 1000 });
    const first = await take(here, 999);
    const second = await take(here, 1);
    await assert.rejects(take(here, 1), { name: "ClamgateError", code: "spool-full" });
    assert.deepEqual(here.usage(), { bodies: 2, memoryBytes: 0, fileBytes: 1000 });
    await first[Symbol.asyncDispose]();
    await using _third = await take(here, 999);
    await assert.rejects(take(here, 1), { code: "spool-full" });
    await second[Symbol.asyncDispose]();
    assert.equal((await readdir(scratch.path)).length, 1);
  });

  test("refuses a body in mid-way when the quota ends there, and keeps nothing of it", async () => {
    const here = await opened({ memoryBytesPerBody: 1000, maxFileBytesTotal: 150_000 });
    const body = new ScriptedBody(cut(sampleBytes(400_000), 50_000));
    await assert.rejects(here.take(body, { maxBytes: 400_000, signal }), { code: "spool-full" });
    assert.deepEqual(here.usage(), { bodies: 0, memoryBytes: 0, fileBytes: 0 });
    assert.deepEqual(await readdir(scratch.path), []);
    assert.equal(body.unread > 0 && body.returns === 0, true);
  });

  test("holds little memory while 32 large bodies arrive at once, declared or not", async () => {
    const here = await opened({ memoryBytesTotal: 1 << 20, maxFileBytesTotal: Number.POSITIVE_INFINITY });
    const size = 2 << 20;
    for (const declared of [{}, { expectedBytes: size }]) {
      const chunk = sampleBytes(65_000);
      let peak = 0;
      async function* body(): AsyncGenerator<Uint8Array> {
        for (let sent = 0; sent < size; sent += chunk.length) {
          peak = Math.max(peak, here.usage().memoryBytes);
          yield chunk;
        }
      }
      const arriving = Array.from({ length: 32 }, () => here.take(body(), { maxBytes: 2 * size, signal, ...declared }));
      for (const held of await Promise.all(arriving)) await held[Symbol.asyncDispose]();
      assert.equal(peak > 0 && peak <= (1 << 20) + (2 << 20) + 32 * 65_536, true, `${peak} bytes at most`);
    }
  });

  test("leaves a request that it refuses open for its answer", async () => {
    const here = await opened({});
    await using server = createServer(async (request, response) => {
      await assert.rejects(here.take(request, { maxBytes: 1000, signal }), { code: "too-large" });
      request.resume();
      response.writeHead(413).end("too large");
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const client = connect(port, "127.0.0.1");
    client.write("POST / HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: 500000\r\n\r\n");
    client.end(sampleBytes(500_000));
    assert.match((await collect(client)).toString(), /^HTTP\/1\.1 413 .*too large/s);
  });

  test("tells the number of leftover files it removed", async () => {
    await writeFile(join(scratch.path, "body-00000000-0000-0000-0000-000000000000"), "left");
    const events: GatewayEvent[] = [];
    await opened({ emit: (event) => events.push(event) });
    assert.deepEqual(events, [{ kind: "notice", level: "info", message: "removed 1 files left in the spool" }]);
    assert.deepEqual(await readdir(scratch.path), []);
  });

  test("never writes into a file that is there already", async () => {
    const uniqueId = (): string => "11111111-1111-1111-1111-111111111111";
    const here = await opened({ memoryBytesPerBody: 0, uniqueId });
    await using held = await take(here, 100);
    await assert.rejects(take(here, 200), { code: "internal" });
    assert.deepEqual(await collect(held.read()), Buffer.from(sampleBytes(100)));
    assert.equal(here.usage().fileBytes, 100);
  });

  test("answers spool-full when the disk or the user's share of it is full, internal for another fault", async () => {
    for (const [fault, code] of [
      ["ENOSPC", "spool-full"],
      ["EDQUOT", "spool-full"],
      ["EIO", "internal"],
    ] as const) {
      const disk = new FaultyDisk();
      const here = await opened({ memoryBytesPerBody: 0, fileSystem: disk });
      disk.failWritesAfter(2, fault);
      const body = new ScriptedBody(cut(sampleBytes(1_000_000), 50_000));
      await assert.rejects(here.take(body, { maxBytes: 1_000_000, signal }), (thrown: Error) => {
        assert.equal("code" in thrown && thrown.code, code);
        assert.equal(thrown.cause instanceof Error && "code" in thrown.cause && thrown.cause.code, fault);
        return true;
      });
      disk.failOpens(fault);
      await assert.rejects(take(here, 10), { code });
      assert.deepEqual(here.usage(), { bodies: 0, memoryBytes: 0, fileBytes: 0 });
      assert.equal(disk.openHandles, 0);
      assert.deepEqual(await readdir(scratch.path), []);
      await here.close();
    }
  });

  test("goes on after a write that took only a part, and gives up one that takes nothing", async () => {
    const disk = new FaultyDisk();
    const here = await opened({ memoryBytesPerBody: 0, fileSystem: disk });
    disk.limitWritesTo(10_007);
    await using held = await take(here, 300_000);
    assert.deepEqual(await collect(held.read()), Buffer.from(sampleBytes(300_000)));
    disk.limitWritesTo(0);
    await assert.rejects(take(here, 10), { code: "internal" });
  });

  test("closes every file it opened, also those of abandoned readers", async () => {
    const disk = new FaultyDisk();
    const here = await opened({ memoryBytesPerBody: 0, fileSystem: disk });
    const held = await take(here, 200_000);
    const abandoned = held.read()[Symbol.asyncIterator]();
    await abandoned.next();
    await held[Symbol.asyncDispose]();
    assert.equal(disk.openHandles, 0);
    await assert.rejects(abandoned.next(), { code: "internal" });
  });

  test("rejects a read of a file that somebody made shorter, instead of ending early", async () => {
    const here = await opened({ memoryBytesPerBody: 0 });
    await using held = await take(here, 100_000);
    await truncate(held.path ?? "", 70_000);
    await assert.rejects(collect(held.read()), { code: "internal" });
  });

  test("lets a file be read, and its body be disposed, when somebody removed it", async () => {
    const events: GatewayEvent[] = [];
    const here = await opened({ memoryBytesPerBody: 0, emit: (event) => events.push(event) });
    const held = await take(here, 100_000);
    await rm(held.path ?? "");
    assert.deepEqual(await collect(held.read()), Buffer.from(sampleBytes(100_000)));
    await held[Symbol.asyncDispose]();
    assert.deepEqual([here.usage().fileBytes, events], [0, []]);
  });

  test("tells of a file it cannot remove, goes on counting it, and fails nobody", async () => {
    const disk = new FaultyDisk();
    const events: GatewayEvent[] = [];
    const here = await opened({ memoryBytesPerBody: 0, fileSystem: disk, emit: (event) => events.push(event) });
    const held = await take(here, 100);
    disk.failUnlinks("EROFS");
    await held[Symbol.asyncDispose]();
    assert.deepEqual(here.usage(), { bodies: 0, memoryBytes: 0, fileBytes: 100 });
    assert.deepEqual(
      events.map((event) => event.kind === "notice" && event.level),
      ["error"],
    );
    assert.equal(disk.openHandles, 0);
  });
});

/** The real file system, with the faults a test asks for. */
class FaultyDisk implements FileSystem {
  readonly #handles: FileHandle[] = [];
  #openFault: string | null = null;
  #unlinkFault: string | null = null;
  #writeFault = "";
  #writesLeft = Number.POSITIVE_INFINITY;
  #maxWrite = Number.POSITIVE_INFINITY;

  get openHandles(): number {
    return this.#handles.filter((handle) => handle.fd !== -1).length;
  }

  failOpens(code: string): void {
    this.#openFault = code;
  }

  failUnlinks(code: string): void {
    this.#unlinkFault = code;
  }

  failWritesAfter(writes: number, code: string): void {
    this.#writesLeft = writes;
    this.#writeFault = code;
  }

  limitWritesTo(bytes: number): void {
    this.#maxWrite = bytes;
  }

  async open(path: string, flags: string, mode: number): Promise<FileHandle> {
    if (this.#openFault !== null) throw systemError(this.#openFault);
    const handle = await open(path, flags, mode);
    this.#handles.push(handle);
    return new Proxy(handle, { get: (target, name) => this.#property(target, name) });
  }

  async unlink(path: string): Promise<void> {
    if (this.#unlinkFault !== null) throw systemError(this.#unlinkFault);
    await unlink(path);
  }

  #property(handle: FileHandle, name: string | symbol): unknown {
    if (name === "write") {
      return (bytes: Uint8Array, offset: number, length: number, position: number) =>
        this.#write(handle, bytes, offset, length, position);
    }
    const value: unknown = Reflect.get(handle, name);
    return typeof value === "function" ? value.bind(handle) : value;
  }

  async #write(handle: FileHandle, bytes: Uint8Array, offset: number, length: number, position: number) {
    if (this.#writesLeft === 0) throw systemError(this.#writeFault);
    this.#writesLeft -= 1;
    if (this.#maxWrite === 0) return { bytesWritten: 0, buffer: bytes };
    return handle.write(bytes, offset, Math.min(length, this.#maxWrite), position);
  }
}

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: as the test asked`), { code });
}
