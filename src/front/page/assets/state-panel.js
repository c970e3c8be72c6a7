/** What the gateway says of itself, every five seconds while somebody looks. */

import { isRecord } from "./answer.js";
import { byId, make } from "./elements.js";
import { age, date } from "./wording.js";

/** @import { AccessKey } from "./access-key.js" */

const everyMs = 5_000;
const amberSeconds = 24 * 3600;
const redSeconds = 48 * 3600;

/**
 * @typedef {object} State of `/v3/status`
 * @property {{ engine: string, database: number, databaseTime: string | null, testOnly: boolean } | null} engine
 * @property {number | null} signatureAgeSeconds
 * @property {{ total: number, busy: number }} slots
 * @property {number} queued
 * @property {"ok" | "degraded"} cache
 * @property {number} maxBytes
 * @property {string[]} warnings
 */

/**
 * @param {object} options
 * @param {AccessKey} options.key
 * @param {(state: State) => void} options.told
 */
export function createStatePanel({ key, told }) {
  let isAsking = false;
  setInterval(ask, everyMs);
  document.addEventListener("visibilitychange", ask);

  async function ask() {
    if (isAsking || document.hidden || key.isMissing()) return;
    isAsking = true;
    const headers = key.headers();
    try {
      const response = await fetch("/v3/status", { headers, cache: "no-store", signal: AbortSignal.timeout(4 * everyMs) });
      if (response.status === 401) {
        head("none", "A key is needed");
        key.refused(headers);
      } else if (response.status === 403) head("quiet", "This key may not see the state");
      else if (response.status === 429) head("none", "Asked too often, waiting");
      else show(readState(await response.json()));
    } catch {
      head("found", "The gateway does not answer");
    } finally {
      isAsking = false;
    }
  }

  /** @param {State} state */
  function show(state) {
    const { engine, signatureAgeSeconds: old, slots, queued, cache, warnings } = state;
    byId("test-bar", HTMLElement).hidden = engine?.testOnly !== true;
    if (engine === null || slots.total === 0) head("found", "No engine: nothing can be scanned now");
    else if (engine.testOnly) head("found", "Test signatures only");
    else if (old !== null && old > redSeconds) head("found", "Signatures are too old");
    else if (old !== null && old > amberSeconds) head("none", "Signatures grow old");
    else if (warnings.length > 0) head("none", "Working, with warnings");
    else head("clean", "Working");

    const time = engine?.databaseTime ?? null;
    if (engine?.testOnly) fact("signatures", "found", "Test signatures", "EICAR and no real virus");
    else if (time === null || old === null) fact("signatures", "none", "Date unknown", "");
    else fact("signatures", old > redSeconds ? "found" : old > amberSeconds ? "none" : "clean", date(time), age(old));
    const database = engine === null || engine.database === 0 ? "" : `database ${engine.database}`;
    fact("engine", engine === null ? "found" : "quiet", engine === null ? "None" : `ClamAV ${engine.engine}`, database);
    fact("slots", slots.total === 0 ? "found" : "quiet", String(slots.busy), `of ${slots.total} at once`);
    fact("queue", "quiet", String(queued), queued === 1 ? "file waits" : "files wait");
    fact(
      "cache",
      cache === "ok" ? "quiet" : "none",
      cache === "ok" ? "Working" : "Failing",
      cache === "ok" ? "" : "files are scanned again",
    );
    byId("warnings", HTMLUListElement).replaceChildren(...warnings.map((text) => make("li", "", text)));
    told(state);
  }

  return { ask };
}

/**
 * @param {string} look
 * @param {string} text
 */
function head(look, text) {
  byId("state", HTMLElement).dataset.look = look;
  byId("state-text", HTMLElement).textContent = text;
}

/**
 * @param {"signatures" | "engine" | "slots" | "queue" | "cache"} name
 * @param {string} look
 * @param {string} value
 * @param {string} more
 */
function fact(name, look, value, more) {
  const place = byId(`fact-${name}`, HTMLElement);
  place.dataset.look = look;
  place.querySelector("dd")?.replaceChildren(make("b", "", value), " ", make("span", "", more));
}

/** @param {unknown} value @returns {State} */
function readState(value) {
  if (!isRecord(value) || !isRecord(value.slots) || !Array.isArray(value.warnings)) throw new Error("this is no state");
  return /** @type {State} */ (/** @type {unknown} */ (value));
}
