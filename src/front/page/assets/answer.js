/** Reads the gateway's answer to an upload: a report, a problem, or neither, which is no verdict. */

/** @import { Report, Verdict } from "./wording.js" */

/**
 * Anything but a report that goes with its status is no verdict: a server in front may answer in the gateway's place.
 * @param {number} status
 * @param {string} text
 * @returns {Report | null}
 */
export function readReport(status, text) {
  const value = parse(text);
  if (value === null || !isRecord(value.engine)) return null;
  if ((status !== 200 && status !== 406) || value.allowed !== (status === 200)) return null;
  const { sha256, cached, elapsedMs } = value;
  const { engine, database, databaseTime, testOnly } = value.engine;
  const verdict = readVerdict(value.verdict);
  if (verdict === null || typeof sha256 !== "string" || typeof engine !== "string") return null;
  if (verdict.kind === "infected" && value.allowed) return null;
  return {
    allowed: value.allowed,
    verdict,
    sha256,
    engine: {
      engine,
      database: typeof database === "number" ? database : 0,
      databaseTime: typeof databaseTime === "string" ? databaseTime : null,
      testOnly: testOnly !== false,
    },
    cached: cached === true,
    elapsedMs: typeof elapsedMs === "number" ? elapsedMs : 0,
  };
}

/**
 * @param {unknown} value
 * @returns {Verdict | null}
 */
function readVerdict(value) {
  if (!isRecord(value)) return null;
  const { kind, signatures, reason, heuristic } = value;
  if (kind === "clean") return { kind };
  if (kind === "infected" && Array.isArray(signatures)) return { kind, signatures: signatures.map(String) };
  if (kind === "unscannable" && typeof reason === "string") {
    return { kind, reason, heuristic: typeof heuristic === "string" ? heuristic : null };
  }
  return null;
}

/**
 * @param {number} status
 * @param {string} text
 * @returns {{ title: string, detail: string }} detail: whole sentences
 */
export function readProblem(status, text) {
  const { title, detail } = parse(text) ?? {};
  if (typeof title !== "string") return { title: `the answer has status ${status} and is no report`, detail: "" };
  const more = typeof detail !== "string" || detail === title ? "" : /[.!?]$/.test(detail) ? detail : `${detail}.`;
  return { title: title.slice(0, 1).toLowerCase() + title.slice(1), detail: more };
}

/** Seconds, from a number or a date. @param {string | null} value */
export function readRetryAfter(value) {
  const number = Number(value ?? "5");
  const seconds = Number.isNaN(number) ? (Date.parse(value ?? "") - Date.now()) / 1000 : number;
  return Number.isNaN(seconds) ? 5 : Math.min(600, Math.max(1, Math.ceil(seconds)));
}

/**
 * @param {string} text
 * @returns {Record<string, unknown> | null}
 */
function parse(text) {
  try {
    const value = JSON.parse(text);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
export function isRecord(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
