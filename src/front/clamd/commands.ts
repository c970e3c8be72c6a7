/** What becomes of each command: its answer, or what begins with it (clamd-front.md 3). */

import {
  commandsLine,
  errorLine,
  invalidInSession,
  noDescriptor,
  plainInSession,
  statsLines,
  unknownCommand,
  versionLine,
} from "../../codec/clamd/answer.ts";
import type { ClamdCommand, CommandName } from "../../codec/clamd/request.ts";
import type { PoolStats } from "../../core/engine.ts";
import type { EngineVersion } from "../../core/verdict.ts";
import type { PathLinesOptions } from "./path-lines.ts";

export interface CommandParts {
  readonly engineVersion: () => EngineVersion | null;
  readonly poolStats: () => PoolStats;
  readonly roots: PathLinesOptions["roots"];
}

export type Course =
  | { readonly kind: "reply"; readonly line: string }
  /** Answered, and nothing is taken behind it. */
  | { readonly kind: "refuse"; readonly line: string }
  /** Refused, and the operator is told who asked. */
  | { readonly kind: "unavailable" }
  | { readonly kind: "body" | "paths" | "session" }
  /** It has no answer, and nothing is taken behind it. */
  | { readonly kind: "end" };

const sessionCommands: ReadonlySet<CommandName> = new Set([
  "PING",
  "VERSION",
  "VERSIONCOMMANDS",
  "STATS",
  "INSTREAM",
  "SCAN",
  "FILDES",
]);

export function courseOf({ name, form }: ClamdCommand, isSession: boolean, parts: CommandParts): Course {
  if (isSession && form !== "plain" && name === "END") return { kind: "end" };
  if (isSession && form === "plain") return { kind: "refuse", line: plainInSession };
  if (isSession && !sessionCommands.has(name)) return { kind: "refuse", line: invalidInSession };
  const ofVersion = (line: (version: EngineVersion) => string): Course => {
    const version = parts.engineVersion();
    return { kind: "reply", line: version === null ? errorLine("engine-unavailable") : line(version) };
  };
  switch (name) {
    case "PING":
      return ofVersion(() => "PONG");
    case "VERSION":
      return ofVersion(versionLine);
    case "VERSIONCOMMANDS":
      return ofVersion((version) => commandsLine(version, { hasPaths: parts.roots !== null }));
    case "STATS":
      return { kind: "reply", line: statsLines(parts.poolStats()) };
    case "INSTREAM":
      return { kind: "body" };
    case "SCAN":
    case "CONTSCAN":
    case "MULTISCAN":
    case "ALLMATCHSCAN":
      return { kind: "paths" };
    case "FILDES":
      // Node cannot receive a descriptor; the byte that carries it is dropped with all that follows.
      return { kind: "refuse", line: noDescriptor };
    case "IDSESSION":
      return { kind: "session" };
    case "DETSTATS":
    case "DETSTATSCLEAR":
      return { kind: "end" };
    case "END":
      return { kind: "refuse", line: unknownCommand };
    case "RELOAD":
    case "SELFCHECK":
    case "SHUTDOWN":
    case "QUIT":
      return { kind: "unavailable" };
  }
}
