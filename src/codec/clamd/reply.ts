/** clamd's answers as values: only one exact, complete reply is a verdict, everything else is a fault. Source: clamd(8), clamd/scanner.c. */

import type { UnscannableReason, Verdict } from "../../core/verdict.ts";

export type ClamdReply =
  | { readonly kind: "verdict"; readonly verdict: Verdict }
  /** clamd could not scan this body: its own error text. */
  | { readonly kind: "error"; readonly text: string }
  /** clamd closed without a word: a crash, its end, no room for a temporary file, or no engine (clamd.md 1.3). */
  | { readonly kind: "nothing" }
  /** Not an answer to a scan: a part of one, several, or something else altogether. */
  | { readonly kind: "garbage"; readonly text: string };

export interface ClamdVersion {
  /** As `1.4.6`. */
  readonly engine: string;
  /** Number of the daily database; 0 when none is loaded. */
  readonly database: number;
  /** The date of the daily database as clamd wrote it (its local time, no zone); empty when none is loaded. */
  readonly databaseDate: string;
}

/** No reply of clamd to one command is longer: its command buffer is PATH_MAX + 8, a virus name far less. */
export const maxReplyBytes = 8192;

/**
 * Reads everything that clamd sent in answer to one command: up to the end of the stream, or in a session after the command's number.
 * @param subject what clamd puts before the colon: `stream`, or the path it was given.
 */
export function parseScanReply(received: Uint8Array, subject: string): ClamdReply {
  const text = decode(received);
  const end = text.indexOf("\0");
  // A reply cut short could be the beginning of another one; two replies contradict each other or are not ours.
  if (end === -1 || end !== text.length - 1) return parseUnterminated(text);
  const reply = text.slice(0, end);
  const prefix = `${subject}: `;
  if (reply.startsWith(prefix)) {
    const rest = reply.slice(prefix.length);
    if (rest === "OK") return { kind: "verdict", verdict: { kind: "clean" } };
    const found = / FOUND$/.exec(rest);
    if (found !== null) return { kind: "verdict", verdict: classify(rest.slice(0, found.index)) };
    if (rest.endsWith(" ERROR")) return { kind: "error", text: rest.slice(0, -" ERROR".length) };
    return { kind: "garbage", text: shorten(reply) };
  }
  if (reply === "INSTREAM size limit exceeded. ERROR") {
    return { kind: "verdict", verdict: { kind: "unscannable", reason: "too-large", heuristic: null } };
  }
  if (reply.endsWith(" ERROR")) return { kind: "error", text: shorten(reply.slice(0, -" ERROR".length)) };
  return { kind: "garbage", text: shorten(reply) };
}

/** The answer in a session without the command's number; null where it has another or none. Numbers rise by one with each command. */
export function withoutNumber(received: Uint8Array, number: number): Uint8Array | null {
  const prefix = `${number}: `;
  for (let index = 0; index < prefix.length; index += 1) if (received[index] !== prefix.charCodeAt(index)) return null;
  return received.subarray(prefix.length);
}

/** Whether clamd has refused the body for its size, and ends the connection for that. */
export function isTooLarge(reply: ClamdReply): boolean {
  return reply.kind === "verdict" && reply.verdict.kind === "unscannable" && reply.verdict.reason === "too-large";
}

/** The answer to `zVERSION`; null when it is not one. */
export function parseVersionReply(received: Uint8Array): ClamdVersion | null {
  const match = /^ClamAV ([^/\s\0]+)(?:\/(\d+)\/([^\0\n]+))?\0$/.exec(decode(received));
  if (match === null) return null;
  const [, engine = "", database = "0", databaseDate = ""] = match;
  const number = Number(database);
  // clamd prints -1 as unsigned when a failed reload has left it without an engine (clamd.md 4.1).
  if (number >= 4_294_967_295) return null;
  return { engine, database: number, databaseDate };
}

const limitReasons: Readonly<Record<string, UnscannableReason>> = {
  MaxFileSize: "limit-size",
  MaxScanSize: "limit-size",
  MaxFiles: "limit-files",
  MaxRecursion: "limit-recursion",
  MaxScanTime: "limit-time",
};

/** The names that clamd gives to what it could not look into are not viruses (clamd.md 7.3). */
function classify(name: string): Verdict {
  const limit = /^Heuristics\.Limits\.Exceeded\.([A-Za-z]+)/.exec(name)?.[1];
  if (limit !== undefined) return { kind: "unscannable", reason: limitReasons[limit] ?? "limit-size", heuristic: name };
  if (name.startsWith("Heuristics.Encrypted.")) return { kind: "unscannable", reason: "encrypted", heuristic: name };
  return { kind: "infected", signatures: [name.trim() === "" ? "(unnamed)" : name] };
}

function decode(received: Uint8Array): string {
  // A byte order mark stays: what follows one is no reply of clamd.
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(received);
}

function parseUnterminated(text: string): ClamdReply {
  if (text === "") return { kind: "nothing" };
  // clamd ends this one with a line feed whatever the command's form was.
  if (text === "COMMAND READ TIMED OUT\n") return { kind: "error", text: "COMMAND READ TIMED OUT" };
  return { kind: "garbage", text: shorten(text) };
}

function shorten(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}
