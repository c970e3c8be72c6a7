/** The list of results: a row for each scan that has begun, the newest on top, kept in this tab's session (names are personal data). */

import { byId, icon, make } from "./elements.js";
import { bytes, clockTime, duration, tell, visible } from "./wording.js";

/** @import { Scan } from "./scans.js" */
/** @import { Look } from "./wording.js" */

/**
 * @typedef {object} Row
 * @property {Scan} scan
 * @property {HTMLLIElement} item
 * @property {HTMLSpanElement} sign
 * @property {HTMLParagraphElement} verdict
 * @property {HTMLProgressElement} progress
 * @property {HTMLParagraphElement} facts
 * @property {HTMLParagraphElement} digest
 * @property {HTMLButtonElement} button
 * @property {Look | null} look
 */

const place = "clamgate.results";
/** Rows that a browser shows with ease. What was found, and what has no verdict, is kept before what is clean. */
const maxRows = 200;

const signs = /** @satisfies {Record<Look, string>} */ ({
  found: "cross",
  blocked: "lock",
  passed: "question",
  clean: "check",
  none: "mark",
  busy: "up",
});

/**
 * @param {object} options
 * @param {(scan: Scan) => void} options.cancel
 * @param {(scan: Scan) => void} options.retry
 * @param {() => void} options.changed a row came or went, or has a new look
 */
export function createResults({ cancel, retry, changed }) {
  const list = byId("rows", HTMLUListElement);
  /** Oldest first. @type {Map<number, Row>} */
  const rows = new Map();
  try {
    for (const scan of restore()) draw(scan);
  } catch {
    // Kept by a page of another release.
    sessionStorage.removeItem(place);
    rows.clear();
    list.replaceChildren();
  }

  /** @param {Scan} scan */
  function draw(scan) {
    const row = rows.get(scan.id) ?? create(scan);
    const { look, text, name } = tell(scan.step, scan.size);
    if (row.look !== look) {
      row.look = look;
      row.item.dataset.look = look;
      row.sign.replaceChildren(icon(signs[look]));
    }
    row.verdict.replaceChildren(name === null ? text : `${text}: `);
    if (name !== null) row.verdict.append(make("b", "", visible(name)));
    showProgress(row);
    showFacts(row);
    const wanted = buttonOf(scan);
    row.button.textContent = wanted;
    row.button.setAttribute("aria-label", `${wanted}: ${scan.path}`);
  }

  /** @param {Scan} scan @returns {Row} */
  function create(scan) {
    const sign = make("span", "sign");
    sign.setAttribute("aria-hidden", "true");
    const progress = make("progress", "");
    progress.setAttribute("aria-label", `Sending ${scan.path}`);
    const [verdict, facts, digest] = [make("p", "verdict"), make("p", "facts"), make("p", "digest")];
    const button = make("button", "plain");
    button.type = "button";
    const words = make("div", "words", make("p", "name", make("bdi", "", visible(scan.path))), verdict, progress, facts, digest);
    const item = make("li", "row", sign, words, button);
    const row = { scan, item, sign, verdict, progress, facts, digest, button, look: null };
    button.addEventListener("click", () => press(row));
    rows.set(scan.id, row);
    list.prepend(item);
    makeRoom();
    return row;
  }

  /** @param {Row} row */
  function press({ scan }) {
    const wanted = buttonOf(scan);
    if (wanted === "Cancel") cancel(scan);
    else if (wanted === "Try again") retry(scan);
    else {
      remove(scan.id);
      save();
      changed();
      list.querySelector("button")?.focus();
    }
  }

  function makeRoom() {
    if (rows.size <= maxRows) return;
    const ended = [...rows.values()].filter(({ scan }) => isEnded(scan));
    const first = ended.find(({ look }) => look === "clean") ?? ended[0];
    if (first !== undefined) remove(first.scan.id);
  }

  /** @param {number} id */
  function remove(id) {
    rows.get(id)?.item.remove();
    rows.delete(id);
  }

  function save() {
    const ended = [...rows.values()].filter(({ scan: { step } }) => step.kind === "done" || step.kind === "failed");
    const kept = ended.map(({ scan: { path, size, at, step } }) => ({ path, size, at, step }));
    // A session may have less room than that.
    while (kept.length > 0) {
      try {
        return sessionStorage.setItem(place, JSON.stringify(kept));
      } catch {
        kept.splice(0, Math.ceil(kept.length / 2));
      }
    }
    sessionStorage.removeItem(place);
  }

  return {
    /** @param {Scan} scan */
    show(scan) {
      draw(scan);
      changed();
    },
    save,
    /** How many rows have each look. */
    count() {
      const counts = { found: 0, blocked: 0, passed: 0, clean: 0, none: 0, busy: 0 };
      for (const { look } of rows.values()) if (look !== null) counts[look] += 1;
      return counts;
    },
    /** All that is not under way. */
    clear() {
      for (const { scan } of [...rows.values()]) if (isEnded(scan)) remove(scan.id);
      save();
      changed();
    },
  };
}

/** @param {Row} row */
function showProgress({ scan: { step, size }, progress }) {
  progress.hidden = step.kind !== "sending" && step.kind !== "sent";
  progress.max = Math.max(1, size);
  if (step.kind === "sending") progress.value = step.sent;
  // Without a value it moves to and fro: nobody knows how long a verdict takes.
  else progress.removeAttribute("value");
}

/** @param {Row} row */
function showFacts({ scan: { step, size, at }, facts, digest }) {
  const isDone = step.kind === "done";
  facts.hidden = !isEndedStep(step);
  digest.hidden = !isDone;
  const parts = [bytes(size), clockTime(at)];
  if (isDone) {
    const { engine, cached, elapsedMs, sha256 } = step.report;
    parts.push(`ClamAV ${engine.engine}${engine.database === 0 ? "" : `, database ${engine.database}`}`);
    parts.push(cached ? "verdict remembered" : `scanned in ${duration(elapsedMs)}`);
    digest.replaceChildren("SHA-256 ", make("code", "", sha256));
  }
  facts.textContent = parts.join(" · ");
}

/** @param {Scan} scan */
function buttonOf({ step, file }) {
  if (!isEndedStep(step)) return "Cancel";
  return step.kind !== "done" && file !== null ? "Try again" : "Remove";
}

/** @param {Scan} scan */
function isEnded({ step }) {
  return isEndedStep(step);
}

/** @param {Scan["step"]} step */
function isEndedStep({ kind }) {
  return kind === "done" || kind === "failed" || kind === "cancelled";
}

/** What an earlier page of this tab has kept. @returns {Scan[]} */
function restore() {
  const kept = JSON.parse(sessionStorage.getItem(place) ?? "[]");
  return kept.map((/** @type {Scan} */ one, /** @type {number} */ at) => ({
    ...one,
    id: -1 - at,
    file: null,
    tries: 0,
    stop() {},
  }));
}
