/** The ways in for a body: posted to the REST front, or fetched from an origin by the download proxy. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Response } from "undici";
import { type OriginAct, ok } from "../../fake/origin.ts";
import type { Client } from "./client.ts";

export interface ScanResult {
  /** Anything else is a verdict that it is not, or that it cannot be told. */
  readonly isClean: boolean;
  readonly status: number;
  /** What was found, in the words of the answer; empty where nothing was. */
  readonly found: string;
  /** For the message of an assertion. */
  readonly label: string;
}

export interface Circumstances {
  /** Headers that whoever sends the bytes puts before them. */
  readonly lines?: Readonly<Record<string, string>>;
  /** Of the object, where the front knows names; default: a new one. */
  readonly name?: string;
  readonly signal?: AbortSignal;
}

export interface Front {
  readonly name: string;
  /** Rejects where the answer is no verdict, or about other bytes; for a body above the limit 413 is one. */
  judge(bytes: Buffer, circumstances?: Circumstances): Promise<ScanResult>;
}

export interface Origin {
  /** Download-From */
  readonly base: string;
  /** Sets what the origin does for a path; of older ones it keeps a few. */
  serve(path: string, act: OriginAct): void;
}

export function restFront({ fetch }: Client, url: string): Front {
  return {
    name: "the REST front",
    async judge(bytes, { lines = {}, signal = null } = {}) {
      const init = { method: "POST", body: new Uint8Array(bytes), headers: lines, signal };
      const answer = await fetch(`${url}/scanHandlerBody`, init);
      const text = await answer.text();
      return scanResult(bytes, answer, 406, text);
    },
  };
}

export function downloadFront({ fetch }: Client, proxyUrl: string, { base, serve }: Origin): Front {
  let count = 0;
  return {
    name: "the download proxy",
    async judge(bytes, { lines = {}, name, signal = null } = {}) {
      count += 1;
      const path = `/${name ?? `body-${count}`}`;
      serve(path, ok(bytes, ...Object.entries(lines).map(([header, value]) => `${header}: ${value}`)));
      const headers = { "download-from": base, "accept-encoding": "identity", "cache-scan": "true" };
      const answer = await fetch(`${proxyUrl}${path}`, { headers, signal });
      const body = Buffer.from(await answer.arrayBuffer());
      if (answer.status === 200) assert.ok(body.equals(bytes), "other bytes than the origin's");
      return scanResult(bytes, answer, 409, body.toString("latin1"));
    },
  };
}

function scanResult(bytes: Buffer, { status, headers }: Response, blocked: number, text: string): ScanResult {
  const label = `${status} ${JSON.stringify(text.slice(0, 200))}`;
  assert.ok([200, blocked, 413].includes(status), label);
  const digest = headers.get("x-clamgate-sha256");
  const isClean = status === 200;
  // Of what is not delivered the download proxy tells no digest.
  if (digest !== null || isClean || status === 406)
    assert.equal(digest, createHash("sha256").update(bytes).digest("hex"), "the digest of other bytes");
  const found = headers.get("x-clamgate-signature") ?? "";
  assert.equal(found === "", isClean || status === 413, `${label}, found "${found}"`);
  return { isClean, status, found, label: `${label}, found "${found}"` };
}
