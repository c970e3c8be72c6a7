/** freshclam.conf: written from the settings, or read for two paths when the operator brings his own (FRESHCLAM_CONF). */

import { ClamgateError } from "../../core/errors.ts";

export interface FreshclamSettings {
  /** Absolute path, writable. */
  readonly databaseDirectory: string;
  /** The user we run as: started by root, freshclam would become `clamav`, who may not exist or own nothing. Null: not root, it stays who it is. */
  readonly databaseOwner: string | null;
  /** A private mirror, `http://host` or a bare host; null for the project's own servers. */
  readonly mirror: string | null;
  /** `http://`, `https://`, `file://` addresses of further databases. */
  readonly customUrls: readonly string[];
  readonly proxy: {
    readonly server: string;
    readonly port: number | null;
    readonly credentials: { readonly username: string; readonly password: string } | null;
  } | null;
  readonly connectTimeoutSeconds: number;
  /** Of silence; 0 waits for ever. */
  readonly receiveTimeoutSeconds: number;
  /** Five seconds lie between two attempts. Nothing is read from the directory meanwhile, so one that fails should fail soon. */
  readonly maxAttempts: number;
}

/** Write the text with this mode: freshclam refuses a file with a password that others may read, and so do we. */
export const freshclamConfMode = 0o600;

const officialServer = "database.clamav.net";

/**
 * The text of freshclam.conf for one-shot runs.
 * @throws ClamgateError `internal` naming the option whose value freshclam would not read as it was given.
 */
export function freshclamConf(settings: FreshclamSettings): string {
  const { mirror, proxy, databaseOwner } = settings;
  const lines: [option: string, value: string | number][] = [
    ["DatabaseDirectory", settings.databaseDirectory],
    ...(databaseOwner === null ? [] : [["DatabaseOwner", databaseOwner] satisfies [string, string]]),
    ["LogTime", "yes"],
    ["Foreground", "yes"],
    ["TestDatabases", "yes"],
    ["ConnectTimeout", settings.connectTimeoutSeconds],
    ["ReceiveTimeout", settings.receiveTimeoutSeconds],
    ["MaxAttempts", settings.maxAttempts],
  ];
  if (mirror === null) lines.push(["DatabaseMirror", officialServer]);
  // freshclam refuses the project's servers as a private mirror.
  else if (/\.clamav\.net$/i.test(mirror)) lines.push(["DatabaseMirror", mirror]);
  else lines.push(["PrivateMirror", mirror], ["DNSDatabaseInfo", "no"]);
  for (const url of settings.customUrls) lines.push(["DatabaseCustomURL", url]);
  if (proxy !== null) {
    lines.push(["HTTPProxyServer", proxy.server]);
    if (proxy.port !== null) lines.push(["HTTPProxyPort", proxy.port]);
    if (proxy.credentials !== null) {
      lines.push(["HTTPProxyUsername", proxy.credentials.username], ["HTTPProxyPassword", proxy.credentials.password]);
    }
  }
  return lines.map(([option, value]) => `${option} ${readable(option, String(value))}\n`).join("");
}

export interface FreshclamConfPaths {
  readonly databaseDirectory: string | null;
  readonly updateLogFile: string | null;
}

/** The first uncommented DatabaseDirectory and UpdateLogFile, read as freshclam reads them; null for one that is not set. */
export function readFreshclamConf(text: string): FreshclamConfPaths {
  return { databaseDirectory: firstValue(text, "DatabaseDirectory"), updateLogFile: firstValue(text, "UpdateLogFile") };
}

/** common/optparser.c cuts a value at `#`, at 1 KiB and at a line end, takes quotes off and blanks away, all without a word. */
function readable(option: string, value: string): string {
  if (value === "" || value !== value.trim() || value.startsWith('"') || value.length > 900 || /[#\p{Cc}]/u.test(value)) {
    const rules =
      "it must not be empty or longer than 900 characters, begin or end with a blank, begin with a quote, or hold # or a line break";
    throw new ClamgateError("internal", "The settings for freshclam cannot be written", { detail: `${option}: ${rules}` });
  }
  return value;
}

function firstValue(text: string, key: string): string | null {
  for (const line of text.split("\n")) {
    const [name, ...rest] = line.trim().split(/[ \t]+/);
    if (name !== key || rest.length === 0) continue;
    const value = rest.join(" ");
    const quoted = /^"(.*)"/.exec(value)?.[1] ?? value;
    const bare = quoted.split("#")[0]?.trimEnd() ?? "";
    if (bare !== "") return bare;
  }
  return null;
}
