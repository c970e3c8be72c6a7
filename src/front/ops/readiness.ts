/** Whether the gateway should be sent work, judged from one snapshot of its state. */

export interface ReadinessCheck {
  readonly name: "running" | "engine" | "signatures" | "signature-age" | "cache";
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
  readonly backendsTotal: number;
  readonly signatures: {
    /** True once an engine works with a set; for clamd servers of others, once one told its version. */
    readonly loaded: boolean;
    readonly isTestOnly: boolean;
    /** When the newest database was built; null when none is loaded or the date is unknown. */
    readonly builtAt: Date | null;
    /** True for the production entry: test signatures are not enough. */
    readonly requireReal: boolean;
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
  const findings = [judgeRunning(state), judgeEngine(state), judgeSignatures(state), judgeAge(state), judgeCache(state)];
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

function judgeEngine({ backendsUp, backendsTotal }: ReadinessState): Finding {
  const detail = `${backendsUp} of ${backendsTotal} backends up`;
  if (backendsUp <= 0) return unready("engine", detail);
  return backendsUp < backendsTotal ? degraded("engine", detail) : fine("engine", detail);
}

function judgeSignatures({ signatures }: ReadinessState): Finding {
  if (!signatures.loaded) return unready("signatures", "none loaded");
  if (!signatures.isTestOnly) return fine("signatures", "loaded");
  return signatures.requireReal ? unready("signatures", "test signatures only") : degraded("signatures", "test signatures only");
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
