/** What the page says of an outcome, a size and a time. Clean is never more than "nothing found, signatures of a date". */

/** @typedef {{ engine: string, database: number, databaseTime: string | null, testOnly: boolean }} EngineInfo */
/**
 * @typedef {{ kind: "clean" } | { kind: "infected", signatures: string[] }
 *   | { kind: "unscannable", reason: string, heuristic: string | null }} Verdict
 */
/** @typedef {{ allowed: boolean, verdict: Verdict, sha256: string, engine: EngineInfo, cached: boolean, elapsedMs: number }} Report */
/**
 * How far a scan is.
 * @typedef {{ kind: "waiting" }
 *   | { kind: "sending", sent: number }
 *   | { kind: "sent" }
 *   | { kind: "paused", seconds: number, why: string }
 *   | { kind: "done", report: Report }
 *   | { kind: "failed", title: string, detail: string }
 *   | { kind: "cancelled" }} Step
 */
/** @typedef {"found" | "blocked" | "passed" | "clean" | "none" | "busy"} Look */
/** @typedef {{ look: Look, text: string, name: string | null }} Told name: of what was found */

const reasons = /** @type {Readonly<Record<string, string>>} */ ({
  "limit-size": "more unpacks from it than may be scanned",
  "limit-files": "it holds more files than may be scanned",
  "limit-recursion": "archives are nested too deep in it",
  "limit-time": "the scan took too long",
  encrypted: "it is encrypted",
  unsupported: "its format cannot be opened",
  "too-large": "it is too large",
  poison: "the engine dies of it",
});

/**
 * @param {Step} step
 * @param {number} size
 * @returns {Told}
 */
export function tell(step, size) {
  switch (step.kind) {
    case "waiting":
      return { look: "busy", text: "Waiting its turn", name: null };
    case "sending":
      return { look: "busy", text: `Sending: ${bytes(step.sent)} of ${bytes(size)}`, name: null };
    case "sent":
      return { look: "busy", text: "Sent, waiting for the verdict", name: null };
    case "paused":
      return { look: "none", text: `${step.why}. Trying again in ${step.seconds} s`, name: null };
    case "cancelled":
      return { look: "none", text: "Cancelled, not scanned", name: null };
    case "failed":
      return { look: "none", text: `No verdict: ${step.title}. ${step.detail}`, name: null };
    case "done":
      return tellReport(step.report);
  }
}

/**
 * @param {Report} report
 * @returns {Told}
 */
function tellReport({ allowed, verdict, engine }) {
  switch (verdict.kind) {
    case "infected":
      return { look: "found", text: "Virus found", name: verdict.signatures.join(", ") };
    case "unscannable": {
      const why = reasons[verdict.reason] ?? verdict.reason;
      const text = allowed ? `Not looked into (${why}), let pass by this gateway's rules` : `Blocked: ${why}`;
      return { look: allowed ? "passed" : "blocked", text, name: verdict.heuristic };
    }
    case "clean":
      if (!allowed) return { look: "blocked", text: "Blocked by this gateway's rules", name: null };
      return { look: "clean", text: `Nothing found, ${signaturesOf(engine)}`, name: null };
  }
}

/** @param {EngineInfo} engine */
function signaturesOf({ testOnly, databaseTime }) {
  if (testOnly) return "by test signatures only";
  return databaseTime === null ? "signatures of an unknown date" : `signatures of ${date(databaseTime)}`;
}

/** @param {string} time */
export function date(time) {
  return new Date(time).toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric" });
}

/** @param {number} time milliseconds since the epoch */
export function clockTime(time) {
  return new Date(time).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

const units = ["B", "KiB", "MiB", "GiB", "TiB"];

/** @param {number} count */
export function bytes(count) {
  let value = count;
  let power = 0;
  while (value >= 1023.5 && power < units.length - 1) {
    value /= 1024;
    power += 1;
  }
  return `${power > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[power]}`;
}

/** @param {number} seconds */
export function age(seconds) {
  const hours = Math.floor(seconds / 3600);
  if (hours < 1) return "less than an hour old";
  if (hours < 48) return `${hours} ${hours === 1 ? "hour" : "hours"} old`;
  return `${Math.floor(hours / 24)} days old`;
}

/** @param {number} ms */
export function duration(ms) {
  return ms < 1000 ? `${Math.max(1, Math.round(ms))} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** Characters that would hide in a name, or turn its letters round, become a mark. @param {string} name */
export function visible(name) {
  return name.replace(/[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, "\ufffd");
}
