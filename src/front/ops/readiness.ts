/** Whether the gateway should be sent work, judged from one snapshot of its state. */

export interface ReadinessCheck {
  readonly name: "running" | "engine" | "alerts" | "alike" | "signatures" | "signature-age" | "cache";
  /** False where something is not as it should be, even if work is still taken. */
  readonly ok: boolean;
  /** For people; names no address or path. */
  readonly detail: string;
}

export interface Readiness {
  /** `degraded` still takes work: something an operator should look at. */
  readonly status: "ready" | "degraded" | "not-ready";
  readonly checks: readonly ReadinessCheck[];
}

export interface ReadinessState {
  readonly isStopping: boolean;
  /** Backends that have proved they detect. */
  readonly backendsUp: number;
  /** Of those that are up: they have more to do than they can, and are given no more for now. */
  readonly backendsBusy: number;
  readonly backendsTotal: number;
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
    /** Files, or with null the whole set, that should be in use and are not, and why. */
    readonly keptOut: readonly { readonly file: string | null; readonly reason: string }[];
  };
  /** MAX_DATABASE_AGE; null when not set. */
  readonly maxDatabaseAgeMs: number | null;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly cacheDegraded: boolean;
}

/** What a check that fails costs. */
type Finding = ReadinessCheck & { readonly severity: Readiness["status"] };

export function judgeReadiness(state: ReadinessState): Readiness {
  const judges = [judgeRunning, judgeEngine, judgeAlerts, judgeAlike, judgeSignatures, judgeAge, judgeCache];
  const findings = judges.map((judge) => judge(state));
  const isUnready = findings.some(({ severity }) => severity === "not-ready");
  const isDegraded = findings.some(({ severity }) => severity === "degraded");
  return {
    status: isUnready ? "not-ready" : isDegraded ? "degraded" : "ready",
    checks: findings.map(({ name, ok, detail }) => ({ name, ok, detail })),
  };
}

function judgeRunning({ isStopping }: ReadinessState): Finding {
  return isStopping ? unready("running", "stopping") : fine("running", "running");
}

/** Load is no loss: who is busy is up. */
function judgeEngine({ backendsUp, backendsBusy, backendsTotal }: ReadinessState): Finding {
  const detail = `${backendsUp} of ${backendsTotal} backends up${backendsBusy === 0 ? "" : `, ${backendsBusy} busy`}`;
  if (backendsUp <= 0) return unready("engine", detail);
  return backendsUp < backendsTotal || backendsBusy > 0 ? degraded("engine", detail) : fine("engine", detail);
}

/** What is not reported is called clean. */
function judgeAlerts({ lacking }: ReadinessState): Finding {
  if (lacking.length === 0) return fine("alerts", "what is not looked into is reported");
  return degraded("alerts", `a given clamd says OK to what it does not look into; its clamd.conf lacks: ${lacking.join(", ")}`);
}

function judgeAlike({ backendsBehind, isAlike }: ReadinessState): Finding {
  if (isAlike) return fine("alike", "all backends are alike");
  const detail = "backends differ in their versions, signatures or alerts";
  return degraded("alike", backendsBehind === 0 ? detail : `${detail}; ${backendsBehind} behind the others: given no scans`);
}

function judgeSignatures({ signatures }: ReadinessState): Finding {
  const { keptOut } = signatures;
  const state = !signatures.loaded ? "none loaded" : signatures.isTestOnly ? "test signatures only" : "loaded";
  const detail = keptOut.length === 0 ? state : `${state}; kept out: ${describe(keptOut)}`;
  if (!signatures.loaded || (signatures.isTestOnly && signatures.requireReal)) return unready("signatures", detail);
  return signatures.isTestOnly || keptOut.length > 0 ? degraded("signatures", detail) : fine("signatures", detail);
}

/** An answer has room for a few. */
function describe(keptOut: ReadinessState["signatures"]["keptOut"]): string {
  const told = keptOut.slice(0, 5).map(({ file, reason }) => `${file ?? "the newest set"} (${reason.slice(0, 200)})`);
  return [...told, ...(keptOut.length > 5 ? [`and ${keptOut.length - 5} more`] : [])].join(", ");
}

/** An age that is not known is not under any limit. One of the future (two clocks) is. */
function judgeAge({ signatures, maxDatabaseAgeMs, now }: ReadinessState): Finding {
  const ageMs = signatures.builtAt === null ? null : now - signatures.builtAt.getTime();
  const age = ageMs === null || Number.isNaN(ageMs) ? "age unknown" : `${hours(Math.max(0, ageMs))} old`;
  if (maxDatabaseAgeMs === null) return fine("signature-age", age);
  const isUnder = ageMs !== null && ageMs <= maxDatabaseAgeMs;
  const detail = `${age}, allowed ${hours(maxDatabaseAgeMs)}`;
  return isUnder ? fine("signature-age", detail) : unready("signature-age", detail);
}

/** A cache never decides whether a scan can be done. */
function judgeCache({ cacheDegraded }: ReadinessState): Finding {
  return cacheDegraded ? degraded("cache", "verdicts are not remembered") : fine("cache", "working");
}

function hours(ms: number): string {
  return `${(ms / 3_600_000).toFixed(1)} h`;
}

function fine(name: ReadinessCheck["name"], detail: string): Finding {
  return { name, ok: true, detail, severity: "ready" };
}

function degraded(name: ReadinessCheck["name"], detail: string): Finding {
  return { name, ok: false, detail, severity: "degraded" };
}

function unready(name: ReadinessCheck["name"], detail: string): Finding {
  return { name, ok: false, detail, severity: "not-ready" };
}
