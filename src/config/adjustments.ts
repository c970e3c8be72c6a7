/** What clamav-rest's image starts with and clamd or a promise forbids: the nearest value that is right, and a warning that says so. */

import { defaultDownloadProxyPort } from "./groups/download-settings.ts";
import { largestFileBytes } from "./groups/limit-settings.ts";
import { formatSize } from "./numbers.ts";
import type { Config, SettingName } from "./settings.ts";

export interface Adjustment {
  readonly change: Partial<Config>;
  /** One sentence for the log: the settings, what they were and what they are now. */
  readonly warning: string;
}

type Adjust = (config: Partial<Config>, given: ReadonlySet<string>) => Adjustment | null;

const adjusters: readonly Adjust[] = [sizesKeepOrder, countsAreTaken, checksFitADay, downloadProxyYields];

/**
 * One for each rule that had to change something.
 * @param config without the settings that are wrong by themselves.
 * @param given the names of those that the environment sets.
 */
export function adjustmentsOf(config: Partial<Config>, given: ReadonlySet<string>): readonly Adjustment[] {
  return adjusters.map((adjust) => adjust(config, given)).filter((adjustment) => adjustment !== null);
}

/**
 * MAX_FILE_SIZE ≤ MAX_SCAN_SIZE ≤ what clamd scans of one file, in which 0 is "no limit". In another order clamd calls OK what
 * it has not scanned (clamd.md 6). A given clamd has limits of its own, and MAX_SCAN_SIZE is none of them.
 */
function sizesKeepOrder({ MAX_FILE_SIZE: file, MAX_SCAN_SIZE: scan, CLAMD_PORT: clamd }: Partial<Config>): Adjustment | null {
  if (file === undefined || scan === undefined) return null;
  const newFile = atMost(file);
  const newScan = clamd === null ? Math.max(atMost(scan), newFile) : scan;
  const said: string[] = [];
  if (newFile !== file)
    said.push(`MAX_FILE_SIZE=${formatSize(file)} is run as ${formatSize(newFile)}, the most that clamd scans of one file`);
  if (newScan !== scan) {
    const isRaised = scan !== 0 && scan < newScan;
    const reason = isRaised
      ? `to hold MAX_FILE_SIZE=${formatSize(newFile)}`
      : "beyond which clamd says OK to what it has not scanned";
    said.push(`MAX_SCAN_SIZE=${formatSize(scan)} is run as ${formatSize(newScan)}, ${reason}`);
  }
  if (said.length === 0) return null;
  return { change: { MAX_FILE_SIZE: newFile, MAX_SCAN_SIZE: newScan }, warning: `${said.join("; ")}.` };
}

function atMost(bytes: number): number {
  return bytes === 0 ? largestFileBytes : Math.min(bytes, largestFileBytes);
}

/** Of these clamd would look at nothing for 0, or take its own default (tried); above 100 levels a newer clamd does not start. */
const counts = [
  { name: "MAX_RECURSION", forZero: 17, most: 100 },
  { name: "MAX_PARTITIONS", forZero: 50, most: Infinity },
  { name: "MAX_ICONSPE", forZero: 100, most: Infinity },
  { name: "PCRE_MATCHLIMIT", forZero: 100_000, most: Infinity },
  { name: "PCRE_RECMATCHLIMIT", forZero: 2_000, most: Infinity },
] as const satisfies readonly { readonly name: SettingName; readonly forZero: number; readonly most: number }[];

function countsAreTaken(config: Partial<Config>): Adjustment | null {
  if (config.CLAMD_PORT !== null) return null;
  const changed = counts.flatMap(({ name, forZero, most }) => {
    const count = config[name];
    if (count === undefined || (count !== 0 && count <= most)) return [];
    return [{ name, count, now: count === 0 ? forZero : most }];
  });
  if (changed.length === 0) return null;
  return {
    change: Object.fromEntries(changed.map(({ name, now }) => [name, now])),
    warning: `${changed.map(({ name, count, now }) => `${name}=${count} is run as ${now}`).join(", ")}: clamd does not take it, or would look at nothing.`,
  };
}

/** freshclam ends at once where it is told more, and the signatures grow old. */
const mostChecks = 50;

function checksFitADay({ SIGNATURE_CHECKS: checks }: Partial<Config>): Adjustment | null {
  if (checks === undefined || checks <= mostChecks) return null;
  return {
    change: { SIGNATURE_CHECKS: mostChecks },
    warning: `SIGNATURE_CHECKS=${checks} is run as ${mostChecks}, the most that ClamAV's servers allow.`,
  };
}

/** clamav-rest has no download proxy, and its PORT may be any. */
function downloadProxyYields({ PORT, SSL_PORT }: Partial<Config>, given: ReadonlySet<string>): Adjustment | null {
  if (given.has("DOWNLOAD_PROXY_PORT")) return null;
  const taken = Object.entries({ PORT, SSL_PORT }).find(([, port]) => port === defaultDownloadProxyPort);
  if (taken === undefined) return null;
  return {
    change: { DOWNLOAD_PROXY_PORT: null },
    warning: `The download proxy is off: ${taken[0]}=${defaultDownloadProxyPort} is its usual port. DOWNLOAD_PROXY_PORT gives it another.`,
  };
}
