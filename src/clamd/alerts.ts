/** Which lines a clamd's conf lacks, as its answers to the probes show: asked at the connection, after each reload, and now and then. */

import { crc32, deflateRawSync, gzipSync } from "node:zlib";
import type { ClamdReply } from "../codec/clamd/reply.ts";
import type { Clock } from "../core/clock.ts";
import type { Verdict } from "../core/verdict.ts";
import { eicarCanary, type ProveBody } from "./proof.ts";

export interface AlertProbe {
  /** The line of clamd.conf (clamd.conf(5)) without which the body is answered OK. */
  readonly line: string;
  readonly bytes: Uint8Array;
  /** Whether the reply to the bytes shows that the line is there. */
  isShownBy(reply: ClamdReply): boolean;
}

/**
 * MaxFiles and MaxScanSize take a clamd seconds or hundreds of megabytes to reach; they are told by the same AlertExceedsMax as
 * MaxRecursion, which no clamd lets be more than 100.
 */
const mostRecursion = 100;

export function alertProbes(): readonly AlertProbe[] {
  return [
    probe("ScanArchive yes", zipOf(eicarCanary().bytes, "deflated"), ({ kind }) => kind === "infected"),
    probe("AlertEncryptedArchive yes", zipOf(Buffer.from("clamgate"), "encrypted"), isFor("encrypted")),
    probe("AlertEncryptedDoc yes", encryptedPdf(), isFor("encrypted")),
    probe("AlertExceedsMax yes", gzippedAgainAndAgain(mostRecursion + 1), isFor("limit-recursion")),
  ];
}

function probe(line: string, bytes: Uint8Array, isShownBy: (verdict: Verdict) => boolean): AlertProbe {
  return { line, bytes, isShownBy: (reply) => reply.kind === "verdict" && isShownBy(reply.verdict) };
}

function isFor(reason: "encrypted" | "limit-recursion"): (verdict: Verdict) => boolean {
  return (verdict) => verdict.kind === "unscannable" && verdict.reason === reason;
}

/** One entry (APPNOTE.TXT 4.3). An encrypted one holds the 12 bytes that traditional encryption puts first, and nobody has its key. */
function zipOf(content: Uint8Array, how: "deflated" | "encrypted"): Buffer {
  const name = Buffer.from("a");
  const data = how === "deflated" ? deflateRawSync(content) : Buffer.concat([Buffer.alloc(12, 0x5a), content]);
  // Version 2.0, flags, method, DOS time and date, CRC, sizes, name and extra length: the same in both headers.
  const common = Buffer.alloc(26);
  common.writeUInt16LE(20, 0);
  common.writeUInt16LE(how === "encrypted" ? 1 : 0, 2);
  common.writeUInt16LE(how === "deflated" ? 8 : 0, 4);
  common.writeUInt32LE(0x5a210000, 6);
  common.writeUInt32LE(crc32(content), 10);
  common.writeUInt32LE(data.length, 14);
  common.writeUInt32LE(content.length, 18);
  common.writeUInt16LE(name.length, 22);
  const local = Buffer.concat([Buffer.from("PK\x03\x04"), common, name, data]);
  const central = Buffer.concat([Buffer.from("PK\x01\x02\x14\x00"), common, Buffer.alloc(14), name]);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(1, 4);
  end.writeUInt16LE(1, 6);
  end.writeUInt32LE(central.length, 8);
  end.writeUInt32LE(local.length, 12);
  return Buffer.concat([local, central, Buffer.from("PK\x05\x06"), end]);
}

/** A document without a page, which is encrypted by a key that nobody has (ISO 32000-1 §7.6). */
function encryptedPdf(): Buffer {
  const key = "0".repeat(64);
  const objects = [
    "1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n",
    "2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n",
    `3 0 obj<</Filter/Standard/V 2/R 3/Length 128/O<${key}>/U<${key}>/P -4>>endobj\n`,
  ];
  let text = "%PDF-1.4\n";
  let entries = "0000000000 65535 f \n";
  for (const object of objects) {
    entries += `${String(text.length).padStart(10, "0")} 00000 n \n`;
    text += object;
  }
  const id = "<00112233445566778899aabbccddeeff>";
  const trailer = `trailer\n<</Size 4/Root 1 0 R/Encrypt 3 0 R/ID[${id}${id}]>>\nstartxref\n${text.length}\n%%EOF\n`;
  return Buffer.from(`${text}xref\n0 4\n${entries}${trailer}`, "latin1");
}

function gzippedAgainAndAgain(times: number): Buffer {
  let bytes: Buffer = Buffer.from("clamgate");
  for (let time = 0; time < times; time += 1) bytes = gzipSync(bytes);
  return bytes;
}

export interface Alerts {
  /** What was last shown to be missing; null before the first time, and after `forget`. */
  lacking(): readonly string[] | null;
  /**
   * Asks anew where the tag is another one than last time, or some time has passed. Rejects as `exchange`, or with an Error where an answer
   * tells nothing; what was known is known on.
   * @param tag of the version that has just been proved.
   */
  ask(tag: string, signal: AbortSignal): Promise<readonly string[]>;
  /** Another clamd, or another conf, may answer from now on. */
  forget(): void;
}

export interface AlertsOptions {
  /** How it is asked. */
  readonly proveBody: ProveBody;
  readonly probes: readonly AlertProbe[];
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/** A clamd that was started anew between two proofs, so quickly that none has failed, may have another conf. One that lacks something is likely to get it. */
const renewMs = 60_000;
const renewLackingMs = 5_000;

export function watchAlerts({ proveBody, probes, timeoutMs, clock }: AlertsOptions): Alerts {
  let known: { readonly tag: string; readonly at: number; readonly lacking: readonly string[] } | null = null;

  /** One at a time: a clamd has few threads, and they are for scans. */
  async function findLacking(signal: AbortSignal): Promise<readonly string[]> {
    const lacking: string[] = [];
    for (const { line, bytes, isShownBy } of probes) {
      const reply = await proveBody(bytes, { timeoutMs, signal });
      if (reply.kind !== "verdict") throw new Error(`no verdict of the body that shows ${line}`);
      if (!isShownBy(reply)) lacking.push(line);
    }
    return lacking;
  }

  return {
    lacking: () => known?.lacking ?? null,
    async ask(tag, signal) {
      const at = clock();
      const isNew = known !== null && at - known.at < (known.lacking.length === 0 ? renewMs : renewLackingMs);
      if (known?.tag === tag && isNew) return known.lacking;
      const lacking = await findLacking(signal);
      known = { tag, at, lacking };
      return lacking;
    },
    forget() {
      known = null;
    },
  };
}
