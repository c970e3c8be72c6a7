/** What a clamd's server answers, as text of one character a byte (clamd-front.md 3, 4). */

import type { PoolStats } from "../../core/engine.ts";
import type { ErrorCode } from "../../core/errors.ts";
import type { EngineVersion } from "../../core/verdict.ts";
import type { CommandForm, CommandName } from "./request.ts";

/** How the answer to one command begins and ends. */
export interface Frame {
  readonly form: CommandForm;
  /** Of the command in its session; null outside. */
  readonly id: number | null;
}

/** @param line is ASCII, or one character a byte. */
export function framed(line: string, { form, id }: Frame): string {
  return `${id === null ? "" : `${id}: `}${line}${form === "z" ? "\0" : "\n"}`;
}

/** clamd's way whatever the command's form was, and its number. */
export const readTimedOut = "COMMAND READ TIMED OUT\n";

export const unknownCommand = "UNKNOWN COMMAND";
export const unavailableCommand = "COMMAND UNAVAILABLE";
export const invalidInSession = "Command invalid inside IDSESSION. ERROR";
/** The two escapes are spelled out, as clamd has them. */
export const plainInSession = "Only nCMDS\\n and zCMDS\\0 are accepted inside IDSESSION. ERROR";
/** No colon: `clamdscan --fdpass -` would call that clean. */
export const noDescriptor = "No file descriptor received. ERROR";

/** In answer to a path alone, where the colon does no harm and clients know the words. */
export const noSuchFile = "File path check failure: No such file or directory";

/**
 * Without a colon: `clamdscan -` and others take for a result what has one and does not end in FOUND. Without `OK`, `FOUND` or `ERROR`, which some look for anywhere.
 */
const errorTexts = {
  "too-large": "INSTREAM size limit exceeded",
  malformed: "The stream ended early",
  undecodable: "Internal error",
  "client-gone": "Internal error",
  "client-slow": "COMMAND READ TIMED OUT",
  forbidden: "Access denied",
  "not-found": "Internal error",
  "source-changed": "The file changed while it was read",
  "engine-unavailable": "Scan engine is not available",
  "backend-lost": "Scan engine failed",
  "engine-killed": "Scan engine failed",
  "engine-error": "Scan engine failed",
  "scan-timeout": "Scan timed out",
  "queue-full": "Scan engine is busy",
  "queue-timeout": "Scan engine is busy",
  "spool-full": "No room left for the body",
  unrecorded: "The request cannot be recorded",
  "upstream-failed": "Internal error",
  "upstream-timeout": "Internal error",
  "request-loop": "Internal error",
  stopping: "Gateway is stopping",
  internal: "Internal error",
} as const satisfies Record<ErrorCode, string>;

/** What a listener makes of a body that has no verdict: a line that says so, no answer at all, or a finding. */
export const onErrorChoices = ["error", "close", "found"] as const;

export type OnError = (typeof onErrorChoices)[number];

export function errorText(code: ErrorCode): string {
  return errorTexts[code];
}

export function errorLine(code: ErrorCode): string {
  return `${errorTexts[code]}. ERROR`;
}

/** The failure as a name of what was found, for clients that take all else for clean: `Heuristics.Clamgate.EngineUnavailable`. */
export function errorName(code: ErrorCode): string {
  return `Heuristics.Clamgate.${code.replace(/(?:^|-)([a-z])/g, (_match, letter: string) => letter.toUpperCase())}`;
}

/** @param subject `stream`, or the path. */
export function okLine(subject: string): string {
  return `${subject}: OK`;
}

export function foundLine(subject: string, name: string): string {
  return `${subject}: ${safeName(name)} FOUND`;
}

export function pathErrorLine(path: string, text: string): string {
  return `${path}: ${text}. ERROR`;
}

/** A reply to INSTREAM stays below the 128 bytes that clamav-milter has room for. */
const maxNameLength = 100;

/** clamav-milter takes the last word, Go's client fails on a colon, Exim cuts at a bracket. */
function safeName(name: string): string {
  return name === "" ? "Unnamed" : name.slice(0, maxNameLength).replace(/[^!-~]|[:()]/g, "_");
}

/** As the engine itself puts it: clients take it apart. */
export function versionLine({ engine, database, databaseDate }: EngineVersion): string {
  return databaseDate === "" ? `ClamAV ${engine}` : `ClamAV ${engine}/${database}/${databaseDate}`;
}

export interface OpenCommands {
  /** Whether files may be scanned by their paths. */
  readonly hasPaths: boolean;
}

/** In clamd's order. */
export function commandsLine(version: EngineVersion, { hasPaths }: OpenCommands): string {
  return `${versionLine(version)}| COMMANDS: ${(hasPaths ? allCommands : streamCommands).join(" ")}`;
}

const streamCommands = ["PING", "VERSIONCOMMANDS", "VERSION", "END", "STATS", "IDSESSION", "INSTREAM"] satisfies CommandName[];
const allCommands = [
  "SCAN",
  "PING",
  "CONTSCAN",
  "VERSIONCOMMANDS",
  "VERSION",
  "END",
  "MULTISCAN",
  "STATS",
  "IDSESSION",
  "INSTREAM",
  "ALLMATCHSCAN",
] satisfies CommandName[];

/** Lines that end with LF, all but the last. 30 is clamd's default IdleTimeout; no tasks, which would show what others scan. */
export function statsLines({ slots, inFlight, queued }: PoolStats): string {
  return [
    "POOLS: 1",
    "",
    "STATE: VALID PRIMARY",
    `THREADS: live ${slots}  idle ${Math.max(0, slots - inFlight)} max ${slots} idle-timeout 30`,
    `QUEUE: ${queued} items`,
    "",
    "MEMSTATS: heap N/A mmap N/A used N/A free N/A releasable N/A pools 1 pools_used 0.000M pools_total 0.000M",
    "END",
  ].join("\n");
}
