/** clamd.conf for a clamd of our own (clamd.conf(5); the reasons are in the comments). */

import { longestPrefixBytes } from "./overlooked.ts";

export interface ClamdConf {
  readonly socketPath: string;
  readonly databaseDirectory: string;
  readonly temporaryDirectory: string;
  /** Scans at once; there are two more threads: of a small body (`BackendOptions.hasSpareSlot`), and of the canary. */
  readonly slots: number;
  readonly limits: ClamdLimits;
}

/** Bytes, counts and milliseconds as clamd.conf(5) has them. */
export interface ClamdLimits {
  /** Of a body as it is sent; what is unpacked from it may be as large as `maxScanSize`. */
  readonly maxFileSize: number;
  /** No less than `maxFileSize`, and less than the 2 GiB - 3 to which clamd lowers MaxFileSize (clamd.md 6). */
  readonly maxScanSize: number;
  readonly maxScanTimeMs: number;
  readonly maxRecursion: number;
  readonly maxFiles: number;
  readonly maxEmbeddedPe: number;
  readonly maxHtmlNormalize: number;
  readonly maxHtmlNoTags: number;
  readonly maxScriptNormalize: number;
  readonly maxZipTypeRcg: number;
  readonly maxPartitions: number;
  readonly maxIconsPe: number;
  readonly pcreMatchLimit: number;
  readonly pcreRecMatchLimit: number;
}

/** The whole file. Paths with line feeds or quotes are refused with an Error: they would become options of their own. */
export function clamdConf(conf: ClamdConf): string {
  const threads = conf.slots + 2;
  const options: readonly (readonly [string, string | number])[] = [
    ["Foreground", "yes"],
    ["LocalSocket", path(conf.socketPath)],
    ["LocalSocketMode", 600],
    ["FixStaleSocket", "yes"],
    ["DatabaseDirectory", path(conf.databaseDirectory)],
    ["TemporaryDirectory", path(conf.temporaryDirectory)],
    // Without LogFile the lines come on stdout and stderr, which the supervisor reads.
    ["LogTime", "no"],
    ["MaxThreads", threads],
    ["MaxQueue", Math.max(2 * threads + 8, 64)],
    ["MaxConnectionQueueLength", 200],
    ["CommandReadTimeout", 30],
    ["ReadTimeout", 60],
    ["SendBufTimeout", 2000],
    ["IdleTimeout", 30],
    ...limitOptions(conf.limits),
    // What is over a limit or encrypted is reported as such instead of as OK.
    ["AlertExceedsMax", "yes"],
    ["AlertEncryptedArchive", "yes"],
    ["AlertEncryptedDoc", "yes"],
    ["HeuristicScanPrecedence", "no"],
    // The old engine goes on until the new one is whole; a failed reload leaves it in place.
    ["ConcurrentDatabaseReload", "yes"],
    ["SelfCheck", 0],
    ["ExitOnOOM", "yes"],
    // clamd 1.4 keys its own cache of clean files by MD5; ours is keyed by SHA-256.
    ["DisableCache", "yes"],
    ["FollowFileSymlinks", "no"],
    ["FollowDirectorySymlinks", "no"],
    ["AllowAllMatchScan", "no"],
    ["LeaveTemporaryFiles", "no"],
  ];
  return options.map(([name, value]) => `${name} ${value}\n`).join("");
}

/** The limits as one string: verdicts made under other limits are other verdicts. */
export function describeLimits(limits: ClamdLimits): string {
  return limitOptions(limits)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
}

function limitOptions(limits: ClamdLimits): readonly (readonly [string, number])[] {
  // The largest body must still fit where it is read again with something before it.
  const maxScanSize = limits.maxScanSize + longestPrefixBytes;
  return [
    ["StreamMaxLength", limits.maxFileSize + longestPrefixBytes],
    // Of a zip's entry that is larger clamd scans this much and says OK, for all of AlertExceedsMax (tried with 1.4.6). As large
    // as MaxScanSize, it cuts no entry before MaxScanSize does, and that is told.
    ["MaxFileSize", maxScanSize],
    ["MaxScanSize", maxScanSize],
    ["MaxScanTime", limits.maxScanTimeMs],
    ["MaxRecursion", limits.maxRecursion],
    ["MaxFiles", limits.maxFiles],
    ["MaxEmbeddedPE", limits.maxEmbeddedPe],
    ["MaxHTMLNormalize", limits.maxHtmlNormalize],
    ["MaxHTMLNoTags", limits.maxHtmlNoTags],
    ["MaxScriptNormalize", limits.maxScriptNormalize],
    ["MaxZipTypeRcg", limits.maxZipTypeRcg],
    ["MaxPartitions", limits.maxPartitions],
    ["MaxIconsPE", limits.maxIconsPe],
    ["PCREMatchLimit", limits.pcreMatchLimit],
    ["PCRERecMatchLimit", limits.pcreRecMatchLimit],
  ];
}

function path(value: string): string {
  if (/[\r\n\0"]/.test(value))
    throw new Error(`a path for clamd.conf must not hold line feeds or quotes: ${JSON.stringify(value)}`);
  return /\s|#/.test(value) ? `"${value}"` : value;
}
