/** The proof that a clamd detects, and with what: the canary found, then VERSION. A PONG proves nothing (clamd.md 4.1). */

import { type ClamdReply, parseScanReply, parseVersionReply } from "../codec/clamd-reply.ts";
import type { EngineVersion } from "../core/verdict.ts";
import type { ClamdAddress } from "./address.ts";
import type { Canary } from "./canary.ts";
import { instreamBytes, type Request, reloadCommand, versionCommand } from "./commands.ts";
import { type Dial, exchange } from "./exchange.ts";
import { engineTag } from "./tag.ts";

export interface Clamd {
  readonly address: ClamdAddress;
  readonly dial: Dial;
  readonly canary: Canary;
  /** What besides engine and signatures decides a verdict, as one string: the limits. */
  readonly limits: string;
}

export interface Proof {
  readonly version: EngineVersion;
  /** The epoch of the signatures that found the canary; empty where the canary does not tell. */
  readonly epoch: string;
}

const timeoutMs = 3_000;

/** Rejects with an Error that says what is missing, or with the signal's reason. */
export async function proveClamd(clamd: Clamd, signal: AbortSignal): Promise<Proof> {
  const reply = parseScanReply(await ask(clamd, instreamBytes(clamd.canary.bytes), signal), "stream");
  const epoch = clamd.canary.epochOf(reply);
  if (epoch === null) throw new Error(`the canary was not detected: ${describe(reply)}`);
  const told = parseVersionReply(await ask(clamd, versionCommand, signal));
  if (told === null) throw new Error("no usable answer to VERSION");
  const databaseTime = told.databaseDate === "" ? null : new Date(told.databaseDate);
  return { epoch, version: { ...told, databaseTime, tag: engineTag({ ...told, epoch, limits: clamd.limits }) } };
}

/** Asks for a reload. The answer says only that it was heard; the canary of the new epoch says that it is done. */
export async function askReload(clamd: Clamd, signal: AbortSignal): Promise<void> {
  const answer = Buffer.from(await ask(clamd, reloadCommand, signal)).toString();
  if (answer !== "RELOADING\0") throw new Error(`RELOAD was answered by ${JSON.stringify(answer.slice(0, 200))}`);
}

function ask({ dial, address }: Clamd, request: Request, signal: AbortSignal): Promise<Uint8Array> {
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  return exchange(request, { dial, address, connectTimeoutMs: timeoutMs, signal: bounded });
}

function describe(reply: ClamdReply): string {
  switch (reply.kind) {
    case "verdict":
      return `the answer was ${reply.verdict.kind}`;
    case "error":
    case "garbage":
      return reply.text;
  }
}
