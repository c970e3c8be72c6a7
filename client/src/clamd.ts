/** Asks a clamd itself: INSTREAM, one connection for each body. Node, Bun and Deno alone have the sockets for it. */

import { createHash } from "node:crypto";
import { isIP, type Socket } from "node:net";
import { connect as connectTls, type SecureContextOptions } from "node:tls";
import { ClamdSocket } from "../../src/clamd/clamd-socket.ts";
import { maxReplyBytes, parseScanReply, parseVersionReply } from "../../src/codec/clamd/reply.ts";
import { ScanError } from "./errors.ts";
import { type HeldBody, hold } from "./hold.ts";
import type { EngineInfo, Report, Status } from "./report.ts";
import { counted, type Source, tooLarge } from "./source.ts";
import type { Target, TargetScan } from "./target.ts";

export interface ClamdOptions {
  /** Of `tls:`. */
  readonly tls?: SecureContextOptions;
}

const alertsWarning =
  "clamd cannot be asked for its alerts: without AlertExceedsMax, AlertEncryptedArchive and AlertEncryptedDoc it says OK to what it skips";
/** The close follows the reply at once; behind a refusal in mid-body it may never come. */
const closeGraceMs = 1_000;

/** @param url `tcp://host:port`, `tls://host:port` or `unix:///path`. */
export function clamdTarget(url: URL, options: ClamdOptions): Target {
  const dial = () => open(url, options);

  async function scan(source: Source, scan: TargetScan): Promise<Report> {
    if (source.size !== null && source.size > scan.maxBytes) throw tooLarge(scan.maxBytes);
    // A producer that is slow would hold one of clamd's threads for as long as it takes.
    const held: HeldBody | null = source.isRepeatable
      ? null
      : await hold(counted(source.read(), scan.maxBytes, scan.moved), scan.signal);
    try {
      return await exchange(held ?? source, scan);
    } finally {
      await held?.dispose();
    }
  }

  async function exchange(source: Pick<Source, "read">, { name, maxBytes, signal, moved }: TargetScan): Promise<Report> {
    const startedAt = Date.now();
    const digest = createHash("sha256");
    let size = 0;
    async function* frames(): AsyncGenerator<Uint8Array> {
      yield Buffer.from("zINSTREAM\0");
      for await (const chunk of counted(source.read(), maxBytes, moved)) {
        digest.update(chunk);
        size += chunk.length;
        yield lengthOf(chunk.length);
        yield chunk;
      }
      yield lengthOf(0);
    }
    const { received, isSent } = await converse(dial(), frames(), signal);
    const reply = parseScanReply(received, "stream");
    switch (reply.kind) {
      case "verdict": {
        if (reply.verdict.kind === "unscannable" && reply.verdict.reason === "too-large") {
          throw new ScanError("too-large", "the body is larger than clamd's StreamMaxLength");
        }
        if (!isSent) throw new ScanError("protocol", "clamd answered before it had the whole body");
        const { verdict } = reply;
        const allowed = verdict.kind === "clean";
        return {
          allowed,
          allowedBy: allowed ? "clean" : null,
          verdict,
          name,
          type: null,
          size,
          sha256: digest.digest("hex"),
          engine: await version(signal),
          cached: false,
          elapsedMs: Date.now() - startedAt,
        };
      }
      case "error":
        if (reply.text === "COMMAND READ TIMED OUT") throw new ScanError("timeout", "clamd waited too long for the body");
        throw new ScanError("unavailable", `clamd could not scan the body: ${reply.text}`);
      case "nothing":
        throw new ScanError("connection", "clamd closed the connection without a reply");
      case "garbage":
        throw new ScanError("protocol", `clamd's reply is none: ${reply.text}`);
    }
  }

  /** Asked once a minute: it names the signatures, and decides nothing. */
  let known: { readonly engine: EngineInfo; readonly until: number } | null = null;
  async function version(signal: AbortSignal): Promise<EngineInfo> {
    if (known !== null && known.until > Date.now()) return known.engine;
    const { received } = await converse(dial(), one(Buffer.from("zVERSION\0")), signal);
    const told = parseVersionReply(received);
    if (told === null) throw new ScanError("unavailable", "clamd tells no version: it has no signatures");
    const { engine, database, databaseDate } = told;
    // clamd writes its local time, without a zone: good enough to name a day.
    const time = Date.parse(`${databaseDate} UTC`);
    const databaseTime = Number.isNaN(time) ? null : new Date(time).toISOString();
    known = { engine: { engine, database, databaseTime, tag: "", testOnly: false }, until: Date.now() + 60_000 };
    return known.engine;
  }

  return {
    scan,
    lookup: async () => {
      throw new ScanError("unsupported", "clamd remembers no verdicts: lookup needs a gateway");
    },
    async status(signal): Promise<Status> {
      const engine = await version(signal);
      const time = engine.databaseTime === null ? null : Date.parse(engine.databaseTime);
      const signatureAgeSeconds = time === null ? null : Math.max(0, Math.round((Date.now() - time) / 1000));
      const untold = { slots: null, queued: null, cache: null, maxBytes: null };
      return { engine, signatureAgeSeconds, ...untold, warnings: [alertsWarning] };
    },
  };
}

function open(url: URL, { tls = {} }: ClamdOptions): Socket {
  const port = Number(url.port === "" ? 3310 : url.port);
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  switch (url.protocol) {
    case "unix:":
      return new ClamdSocket({ allowHalfOpen: true }).connect({ path: decodeURIComponent(url.pathname) });
    case "tls:":
      // An address is no server name (RFC 6066 §3); the certificate is checked against it all the same.
      return connectTls({ ...tls, host, port, ...(isIP(host) === 0 ? { servername: host } : {}) });
    default:
      return new ClamdSocket({ allowHalfOpen: true, noDelay: true, keepAlive: true }).connect({ host, port });
  }
}

interface Conversation {
  /** Everything up to the end of the stream. */
  readonly received: Uint8Array;
  /** Whether the whole request had left before the first byte of the reply came. */
  readonly isSent: boolean;
}

/** Rejects with a ScanError `connection`, with what `request` throws, or with the signal's reason. Leaves no socket. */
async function converse(socket: Socket, request: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<Conversation> {
  const received: Buffer[] = [];
  let size = 0;
  let isAnswered = false;
  let isSent = false;
  let wake: (() => void) | null = null;
  let grace: ReturnType<typeof setTimeout> | undefined;
  let fail: (error: unknown) => void = () => {};
  const ended = new Promise<void>((resolve, reject) => {
    socket.on("end", resolve);
    fail = (error) => {
      reject(error);
      wake?.();
    };
  });
  ended.catch(() => {}); // it is awaited behind the writing
  const onAbort = () => {
    socket.destroy();
    fail(signal.reason);
  };
  socket.on("data", (chunk: Buffer) => {
    isAnswered = true;
    size += chunk.length;
    received.push(chunk);
    if (size > maxReplyBytes) fail(new ScanError("protocol", "clamd sent more than any reply can be"));
    grace ??= setTimeout(() => fail(new ScanError("protocol", "clamd did not close behind its reply")), closeGraceMs);
    wake?.();
  });
  socket.on("error", (error) =>
    fail(new ScanError("connection", `clamd cannot be reached, or broke off: ${error.message}`, { cause: error })),
  );
  socket.on("close", () => fail(new ScanError("connection", "clamd broke off before the end of its reply")));
  socket.on("drain", () => wake?.());
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    for await (const piece of request) {
      if (isAnswered || socket.destroyed) break;
      if (!socket.write(piece)) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = null;
      }
    }
    isSent = !isAnswered && !socket.destroyed;
    await ended;
    return { received: Buffer.concat(received), isSent };
  } catch (error) {
    // A refusal in mid-body ends in a reset; what had arrived before it is the answer.
    if (received.length > 0 && !isSent && !signal.aborted) return { received: Buffer.concat(received), isSent };
    throw error;
  } finally {
    clearTimeout(grace);
    signal.removeEventListener("abort", onAbort);
    socket.destroy();
  }
}

function lengthOf(bytes: number): Uint8Array {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes);
  return length;
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
