/** The proof that a clamd detects, and with what: the canary found, then VERSION. A PONG proves nothing (clamd.md 4.1). */

import { createHash } from "node:crypto";
import { type ClamdReply, type ClamdVersion, parseScanReply, parseVersionReply } from "../codec/clamd/reply.ts";
import { coverage, type EngineVersion } from "../core/verdict.ts";
import { instreamBytes, type Request, reloadCommand, versionCommand } from "./commands.ts";
import { type ClamdAddress, type Dial, ExchangeError, exchange } from "./connection.ts";
import type { ProveOptions } from "./sessions.ts";

export interface Canary {
  readonly bytes: Uint8Array;
  /**
   * What the reply to the bytes proves: the epoch of the signatures that found them, "" when the name does not tell one,
   * null when it is no proof.
   */
  epochOf(reply: ClamdReply): string | null;
}

/** For a clamd whose signatures are not ours, and whose database directory we may look into. */
export interface ShownEpoch {
  /** Found by a file in the directory; a clamd that has not loaded that file is up all the same. */
  readonly canary: Canary;
  /** What the directory holds; null while that is not known. */
  current(): string | null;
}

/** For a clamd whose signatures are not ours: every database detects EICAR, by one name or another. */
export function eicarCanary(): Canary {
  // In two pieces, so that no scanner takes this file for the test file.
  const bytes = Buffer.from(`X5O!P%@AP[4\\PZX54(P^)7CC)7}$${"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"}`, "latin1");
  return { bytes, epochOf: (reply) => (signatureOf(reply) === null ? null : "") };
}

/** For our own clamd: every set of signatures holds one that finds these bytes and whose name tells the set. */
export function epochCanary(bytes: Uint8Array, epochOfName: (signature: string) => string | null): Canary {
  return {
    bytes,
    epochOf(reply) {
      const signature = signatureOf(reply);
      return signature === null ? null : epochOfName(signature);
    },
  };
}

function signatureOf(reply: ClamdReply): string | null {
  if (reply.kind !== "verdict" || reply.verdict.kind !== "infected") return null;
  return reply.verdict.signatures[0] ?? null;
}

export interface Clamd {
  readonly address: ClamdAddress;
  readonly dial: Dial;
  readonly canary: Canary;
  /** Where the canary does not tell the signatures, and something else does. */
  readonly shownEpoch?: ShownEpoch;
  /** What besides engine and signatures decides a verdict, as one string: the limits, or which given clamds they are, and the policy. */
  readonly limits: string;
}

export interface Proof {
  readonly version: EngineVersion;
  /** The epoch of the signatures that found the canary; empty where the canary does not tell. */
  readonly epoch: string;
}

/** clamd is alive, but no thread of it was free for the canary in time: neither a proof nor a sign of illness. */
export class ClamdBusy extends Error {
  override readonly name = "ClamdBusy";
}

const defaultTimeoutMs = 3_000;

/** What a body is answered by, as `Sessions.prove`. */
export type ProveBody = (bytes: Uint8Array, options: ProveOptions) => Promise<ClamdReply>;

/**
 * Rejects with ClamdBusy, with an Error that says what is missing, or with the signal's reason.
 * @param proveBody where the canary goes; on a connection of its own, unless it is told.
 */
export async function proveClamd(
  clamd: Clamd,
  signal: AbortSignal,
  timeoutMs = defaultTimeoutMs,
  proveBody: ProveBody = (bytes, options) => proveAlone(clamd, bytes, options),
): Promise<Proof> {
  // Both at once: the receiving thread answers VERSION however long the canary waits for a scanning one. That it does so on a connection
  // of its own shows that clamd takes new ones.
  const { shownEpoch } = clamd;
  const over = new AbortController();
  const within = AbortSignal.any([signal, over.signal]);
  const told = ask(clamd, versionCommand, within, timeoutMs).then(parseVersionReply);
  // A clamd without an engine says so to VERSION; it answers a canary by an error, and never closes.
  const noEngine = Promise.withResolvers<never>();
  told.then((version) => version ?? noEngine.reject(new Error("no usable answer to VERSION")), noMatter);
  const canaries = Promise.allSettled([
    proveBody(clamd.canary.bytes, { signal: within, timeoutMs }),
    told,
    shownEpoch === undefined ? null : proveBody(shownEpoch.canary.bytes, { signal: within, timeoutMs }),
  ]);
  const [found, answered, shown] = await Promise.race([canaries, noEngine.promise]).finally(() => over.abort());
  signal.throwIfAborted();
  const version = answered.status === "fulfilled" ? answered.value : null;
  if (found.status === "rejected")
    throw version !== null && isLate(found.reason) ? new ClamdBusy("every thread is busy") : found.reason;
  const proved = clamd.canary.epochOf(found.value);
  if (proved === null) throw new Error(`the canary was not detected: ${describe(found.value)}`);
  if (answered.status === "rejected") throw answered.reason;
  if (version === null) throw new Error("no usable answer to VERSION");
  const shownReply = shown.status === "fulfilled" ? shown.value : null;
  const epoch = (shownReply === null ? null : shownEpoch?.canary.epochOf(shownReply)) ?? proved;
  const { limits } = clamd;
  return { epoch, version: { ...version, databaseTime: timeOf(version), tag: engineTag({ ...version, epoch, limits }) } };
}

/**
 * Asks for a reload. The answer says only that it was heard; the canary of the new epoch says that it is done. A clamd that was
 * stopped or starved answers late, and goes on to load: `timeoutMs` should be as long as a load may take. Rejects as `exchange`.
 */
export async function askReload(clamd: Clamd, signal: AbortSignal, timeoutMs = defaultTimeoutMs): Promise<void> {
  const answer = Buffer.from(await ask(clamd, reloadCommand, signal, timeoutMs, defaultTimeoutMs)).toString();
  if (answer !== "RELOADING\0") throw new Error(`RELOAD was answered by ${JSON.stringify(answer.slice(0, 200))}`);
}

/** Any answer to VERSION shows that the receiving thread of clamd goes round; false where clamd has lost its engine. Rejects as `exchange`. */
export async function askLife(clamd: Clamd, signal: AbortSignal, timeoutMs: number): Promise<boolean> {
  return parseVersionReply(await ask(clamd, versionCommand, signal, timeoutMs)) !== null;
}

async function proveAlone(clamd: Clamd, bytes: Uint8Array, { signal, timeoutMs }: ProveOptions): Promise<ClamdReply> {
  return parseScanReply(await ask(clamd, instreamBytes(bytes), signal, timeoutMs), "stream");
}

/** A connection may be taken as late as an answer may come: one that waits in a full backlog is tried again by the system. */
function ask(
  { dial, address }: Clamd,
  request: Request,
  signal: AbortSignal,
  timeoutMs: number,
  connectTimeoutMs = timeoutMs,
): Promise<Uint8Array> {
  return exchange(request, { dial, address, connectTimeoutMs, timeoutMs, signal });
}

/** It is told with the canary. */
function noMatter(): void {}

function isLate(error: unknown): boolean {
  return error instanceof ExchangeError && error.fault === "late";
}

/** clamd writes its local time without a zone: in another zone than ours this is hours off. */
function timeOf({ databaseDate }: ClamdVersion): Date | null {
  const time = new Date(databaseDate);
  return Number.isNaN(time.getTime()) ? null : time;
}

function describe(reply: ClamdReply): string {
  switch (reply.kind) {
    case "verdict":
      return `the answer was ${reply.verdict.kind}`;
    case "error":
    case "garbage":
      return reply.text;
    case "nothing":
      return "closed without a reply";
  }
}

export interface TagParts {
  readonly engine: string;
  readonly database: number;
  readonly databaseDate: string;
  /** Of our own signature set; empty for a clamd whose set we cannot know. */
  readonly epoch: string;
  readonly limits: string;
}

/** 16 hexadecimal digits. */
export function engineTag({ engine, database, databaseDate, epoch, limits }: TagParts): string {
  // The epoch names every file by its content; the date beside it is clamd's local time and would differ between time zones.
  const signatures = epoch === "" ? [database, databaseDate] : [epoch];
  return shortHash([coverage, engine, signatures, limits]);
}

/** The tag of the same engine where its clamd.conf lacks these lines: it calls clean what another one would tell. */
export function laxTag(tag: string, lacking: readonly string[]): string {
  return lacking.length === 0 ? tag : shortHash([tag, lacking]);
}

function shortHash(parts: readonly unknown[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}
