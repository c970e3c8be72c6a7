/** Whether the gateway should be sent work, judged from one snapshot of its state. */

export interface ReadinessCheck {
  readonly name: "running" | "engine" | "alerts" | "alike" | "signatures" | "signature-age" | "spool" | "certificate" | "cache";
  /** False where something is not as it should be, even if work is still taken. */
  readonly ok: boolean;
  /** For people; names no address or path. */
  readonly detail: string;
  /** What to do about it; where it is not ok, and somebody can do something. */
  readonly action?: string;
}

export interface Readiness {
  /** `degraded` still takes work: something an operator should look at. `loading`: not ready yet, and nothing to look at so far. */
  readonly status: "ready" | "degraded" | "loading" | "not-ready";
  readonly checks: readonly ReadinessCheck[];
}

/** An official database. */
export interface Database {
  readonly name: string;
  readonly version: number;
  readonly builtAt: Date;
}

export interface ReadinessState {
  readonly isStopping: boolean;
  /** How long the engine has been starting: signatures are fetched and loaded. Null once that is over. */
  readonly startingMs: number | null;
  /** Backends that have proved they detect. */
  readonly backendsUp: number;
  /** Of those that are up: they have more to do than they can, and are given no more for now. */
  readonly backendsBusy: number;
  readonly backendsTotal: number;
  /** How often clamd has ended by itself within the last hour. */
  readonly restarts: number;
  /** Lines that the clamd.conf of one of them lacks. */
  readonly lacking: readonly string[];
  /** Backends that are up and get no scans: another one has newer signatures or reports more. */
  readonly backendsBehind: number;
  /** Whether verdicts of all backends that are up are made alike. */
  readonly isAlike: boolean;
  readonly signatures: {
    /** True once an engine works with a set; for clamd servers of others, once one told its version. */
    readonly loaded: boolean;
    readonly isTestOnly: boolean;
    /** When the newest database was built; null when none is loaded or the date is unknown. */
    readonly builtAt: Date | null;
    /** True for the production entry: test signatures are not enough. */
    readonly requireReal: boolean;
    /** What is loaded: official databases, and names of other files. Null where clamd servers of others have them. */
    readonly files: { readonly official: readonly Database[]; readonly own: readonly string[] } | null;
    /** Files, or with null the whole set, that should be in use and are not, and why. */
    readonly keptOut: readonly { readonly file: string | null; readonly reason: string }[];
  };
  /** MAX_DATABASE_AGE; null when not set. */
  readonly maxDatabaseAgeMs: number | null;
  /** WARN_DATABASE_AGE; null when nobody is to be told. */
  readonly warnDatabaseAgeMs: number | null;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly spool: {
    readonly fileBytes: number;
    /** SPOOL_MAX. */
    readonly maxFileBytes: number;
    /** Of its disk; null where it does not tell. */
    readonly disk: { readonly freeBytes: number; readonly totalBytes: number } | null;
    /** A body has found no room a short while ago. */
    readonly isRefusing: boolean;
  };
  /** Null without TLS. */
  readonly certificate: { readonly expiresAt: Date | null; readonly fault: string | null } | null;
  readonly cacheDegraded: boolean;
}

/** What a check that fails costs. */
type Finding = ReadinessCheck & { readonly severity: Readiness["status"] };

/** freshclam brings a daily database each day; two in a row may fail. */
const renewalWarningMs = 7 * 24 * 3_600_000;
/** Parts of a whole, and for disks no more than so many bytes, from which on little is left. */
const nearlyAll = 0.9;
const littleRoomBytes = 1024 ** 3;
const shownFiles = 5;

export function judgeReadiness(state: ReadinessState): Readiness {
  const judges = [
    judgeRunning,
    judgeEngine,
    judgeAlerts,
    judgeAlike,
    judgeSignatures,
    judgeAge,
    judgeSpool,
    judgeCertificate,
    judgeCache,
  ];
  const findings = judges.map((judge) => judge(state));
  const order = ["not-ready", "loading", "degraded"] as const;
  const worst = order.find((status) => findings.some(({ severity }) => severity === status));
  return { status: worst ?? "ready", checks: findings.map(({ severity, ...check }) => check) };
}

function judgeRunning({ isStopping }: ReadinessState): Finding {
  return isStopping ? unready("running", "stopping") : fine("running", "running");
}

/** Load is no loss: who is busy is up. */
function judgeEngine({ startingMs, backendsUp, backendsBusy, backendsTotal, restarts }: ReadinessState): Finding {
  const parts = [
    `${backendsUp} of ${backendsTotal} backends up`,
    ...(backendsBusy === 0 ? [] : [`${backendsBusy} busy`]),
    ...(restarts === 0
      ? []
      : [`clamd has ended by itself ${restarts === 1 ? "once" : `${restarts} times`} within the last hour`]),
  ];
  const detail = parts.join(", ");
  if (backendsUp <= 0 && startingMs !== null) return loading("engine", `${detail}; starting for ${seconds(startingMs)}`);
  if (backendsUp <= 0) return unready("engine", detail, "see in the log why clamd is down; requests get 503 until it is back");
  if (backendsUp < backendsTotal) return degraded("engine", detail, "see in the log why a backend is down");
  if (restarts > 0) return degraded("engine", detail, "see in the log why (lines of clamd, memory, a file that kills it)");
  if (backendsBusy > 0) return degraded("engine", detail, "give clamd more threads, or add servers, if it stays so");
  return fine("engine", detail);
}

/** What is not reported is called clean. */
function judgeAlerts({ lacking }: ReadinessState): Finding {
  if (lacking.length === 0) return fine("alerts", "what is not looked into is reported");
  const lines = lacking.join(", ");
  const detail = `a given clamd says OK to what it does not look into; its clamd.conf lacks: ${lines}`;
  return degraded("alerts", detail, "add these lines to its clamd.conf and restart it");
}

function judgeAlike({ backendsBehind, isAlike }: ReadinessState): Finding {
  if (isAlike) return fine("alike", "all backends are alike");
  const detail = "backends differ in their versions, signatures or alerts";
  const whole = backendsBehind === 0 ? detail : `${detail}; ${backendsBehind} behind the others: given no scans`;
  return degraded("alike", whole, "let their freshclams run at the same time, or share one database directory");
}

function judgeSignatures({ startingMs, signatures }: ReadinessState): Finding {
  const { loaded, isTestOnly, requireReal, files, keptOut, builtAt } = signatures;
  const out = keptOut.length === 0 ? "" : `; kept out: ${describe(keptOut)}`;
  if (!loaded) {
    if (startingMs !== null) return loading("signatures", `loading${out}`);
    return unready(
      "signatures",
      `none loaded${out}`,
      "let freshclam reach its mirror, or put signatures into DATABASE_DIRECTORY",
    );
  }
  if (isTestOnly) {
    const action = "only EICAR is found: let freshclam reach its mirror, or put signatures into DATABASE_DIRECTORY";
    return (requireReal ? unready : degraded)("signatures", `test signatures only${out}`, action);
  }
  const detail = `loaded: ${describeFiles(files)}${out}`;
  if (keptOut.length > 0) return degraded("signatures", detail, "mend or remove what is kept out; what was loaded before stays");
  const hasOfficial = files === null ? builtAt !== null : files.official.length > 0;
  if (!hasOfficial) return degraded("signatures", detail, "no official database: only what your own files name is found");
  return fine("signatures", detail);
}

function describeFiles(files: ReadinessState["signatures"]["files"]): string {
  if (files === null) return "those of the given clamd servers";
  const { official, own } = files;
  const named = official.map(({ name, version, builtAt }) => `${name} ${version} of ${builtAt.toISOString().slice(0, 10)}`);
  if (own.length > 0) named.push(`${own.length} ${own.length === 1 ? "file" : "files"} of your own`);
  return named.join(", ");
}

/** An answer has room for a few. */
function describe(keptOut: ReadinessState["signatures"]["keptOut"]): string {
  const told = keptOut.slice(0, shownFiles).map(({ file, reason }) => `${file ?? "the newest set"} (${reason.slice(0, 200)})`);
  return [...told, ...(keptOut.length > shownFiles ? [`and ${keptOut.length - shownFiles} more`] : [])].join(", ");
}

/** An age that is not known is not under any limit. One of the future (two clocks) is. */
function judgeAge({ startingMs, signatures, maxDatabaseAgeMs, warnDatabaseAgeMs, now }: ReadinessState): Finding {
  const ageMs = signatures.builtAt === null ? null : now - signatures.builtAt.getTime();
  const isKnown = ageMs !== null && !Number.isNaN(ageMs);
  const age = isKnown ? `${hours(Math.max(0, ageMs))} old` : "age unknown";
  const action = "see in the log why freshclam brings nothing new (clamgate_signature_checks_total)";
  if (maxDatabaseAgeMs !== null && !(isKnown && ageMs <= maxDatabaseAgeMs)) {
    const detail = `${age}, allowed ${hours(maxDatabaseAgeMs)}`;
    return startingMs !== null && !signatures.loaded
      ? loading("signature-age", detail)
      : unready("signature-age", detail, action);
  }
  const allowed = maxDatabaseAgeMs === null ? "" : `, allowed ${hours(maxDatabaseAgeMs)}`;
  if (warnDatabaseAgeMs !== null && isKnown && ageMs > warnDatabaseAgeMs) {
    return degraded("signature-age", `${age}${allowed}, expected ${hours(warnDatabaseAgeMs)} at most`, action);
  }
  return fine("signature-age", `${age}${allowed}`);
}

function judgeSpool({ spool: { fileBytes, maxFileBytes, disk, isRefusing } }: ReadinessState): Finding {
  const used = Math.round((fileBytes / maxFileBytes) * 100);
  const detail = `${used} % of SPOOL_MAX in use${disk === null ? "" : `, ${mebibytes(disk.freeBytes)} free on its disk`}`;
  const action = "give SPOOL_DIRECTORY more room, or raise SPOOL_MAX";
  if (isRefusing) return degraded("spool", `bodies are refused for want of room: ${detail}`, action);
  const isDiskFull = disk !== null && disk.freeBytes < Math.min((1 - nearlyAll) * disk.totalBytes, littleRoomBytes);
  const isNearlyFull = isDiskFull || fileBytes > nearlyAll * maxFileBytes;
  return isNearlyFull ? degraded("spool", `nearly full: ${detail}`, action) : fine("spool", detail);
}

function judgeCertificate({ certificate, now }: ReadinessState): Finding {
  if (certificate === null) return fine("certificate", "no TLS");
  const { expiresAt, fault } = certificate;
  const leftMs = expiresAt === null ? null : expiresAt.getTime() - now;
  const day = expiresAt?.toISOString().slice(0, 10);
  const detail = leftMs === null ? "its end is not known" : leftMs <= 0 ? `expired on ${day}` : `valid until ${day}`;
  const action = "renew SSL_CERT and SSL_KEY: both are taken up without a restart";
  if (fault !== null) return degraded("certificate", `the new one cannot be used (${fault}); the old one is ${detail}`, action);
  return leftMs !== null && leftMs < renewalWarningMs ? degraded("certificate", detail, action) : fine("certificate", detail);
}

/** A cache never decides whether a scan can be done. */
function judgeCache({ cacheDegraded }: ReadinessState): Finding {
  if (!cacheDegraded) return fine("cache", "working");
  return degraded(
    "cache",
    "verdicts are not remembered",
    "see in the log what VERDICT_CACHE lacks; files are scanned again meanwhile",
  );
}

function hours(ms: number): string {
  return `${(ms / 3_600_000).toFixed(1)} h`;
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}

function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / 1024 ** 2)} MiB`;
}

function fine(name: ReadinessCheck["name"], detail: string): Finding {
  return { name, ok: true, detail, severity: "ready" };
}

function loading(name: ReadinessCheck["name"], detail: string): Finding {
  return { name, ok: false, detail, action: "wait: requests wait too, for QUEUE_TIMEOUT at most", severity: "loading" };
}

function degraded(name: ReadinessCheck["name"], detail: string, action: string): Finding {
  return { name, ok: false, detail, action, severity: "degraded" };
}

function unready(name: ReadinessCheck["name"], detail: string, action?: string): Finding {
  return { name, ok: false, detail, ...(action === undefined ? {} : { action }), severity: "not-ready" };
}
