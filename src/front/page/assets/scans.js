/** Scans files: four at a time, each sent by XMLHttpRequest, since fetch cannot tell how much of a body is sent. */

import { readProblem, readReport, readRetryAfter } from "./answer.js";
import { bytes } from "./wording.js";

/** @import { AccessKey } from "./access-key.js" */
/** @import { Step } from "./wording.js" */

/**
 * @typedef {object} Scan
 * @property {number} id
 * @property {string} path
 * @property {number} size
 * @property {number} at when its last step was, in milliseconds since the epoch; 0 where it has not begun
 * @property {File | null} file null of a result from before the page was loaded
 * @property {Step} step
 * @property {number} tries
 * @property {() => void} stop ends what is under way
 */

const atOnce = 4;
/** How often a busy gateway is asked in all: a large file need not be sent for ever. */
const maxTries = 5;

/**
 * @param {object} options
 * @param {AccessKey} options.key
 * @param {() => number | null} options.maxBytes of one file, where the gateway has told it
 * @param {(scan: Scan) => void} options.changed after each step
 */
export function createScans({ key, maxBytes, changed }) {
  /** @type {Scan[]} */
  const queue = [];
  /** @type {Set<Scan>} */
  const active = new Set();

  function pump() {
    while (active.size < atOnce && !key.isMissing()) {
      const next = queue.shift();
      if (next === undefined) return;
      active.add(next);
      send(next);
    }
  }

  /** @param {Scan} scan */
  function send(scan) {
    const { file, size } = scan;
    if (file === null) return;
    scan.tries += 1;
    scan.at = Date.now();
    const limit = maxBytes();
    if (limit !== null && size > limit) {
      const detail = `This gateway takes up to ${bytes(limit)}. It was not sent.`;
      return end(scan, { kind: "failed", title: "the file is too large", detail });
    }
    const request = new XMLHttpRequest();
    const headers = key.headers();
    request.open("POST", `/v3/scan?name=${encodeURIComponent(file.name.toWellFormed())}`);
    request.setRequestHeader("content-type", "application/octet-stream");
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    let sent = 0;
    request.upload.addEventListener("progress", ({ loaded }) => {
      sent = Math.max(sent, Math.min(loaded, size));
      step(scan, { kind: "sending", sent });
    });
    request.upload.addEventListener("load", () => step(scan, { kind: "sent" }));
    request.addEventListener("load", () => takeAnswer(scan, request, headers));
    request.addEventListener("error", () => {
      const detail = "The gateway or the network went away, or the file has changed.";
      end(scan, { kind: "failed", title: "the upload broke off", detail });
    });
    scan.stop = () => request.abort();
    step(scan, { kind: "sending", sent });
    request.send(file);
  }

  /**
   * @param {Scan} scan
   * @param {XMLHttpRequest} request
   * @param {Record<string, string>} headers that it was sent with
   */
  function takeAnswer(scan, request, headers) {
    const { status, responseText } = request;
    const report = readReport(status, responseText);
    if (report !== null) return end(scan, { kind: "done", report });
    if (status === 401) {
      key.refused(headers);
      return postpone(scan);
    }
    const problem = readProblem(status, responseText);
    const isBusy = status === 503 || status === 429;
    if (!isBusy || scan.tries >= maxTries) return end(scan, { kind: "failed", ...problem });
    pause(scan, readRetryAfter(request.getResponseHeader("retry-after")), problem.title);
  }

  /**
   * It keeps its place among the four: a busy gateway is not sent others meanwhile.
   * @param {Scan} scan
   * @param {number} seconds
   * @param {string} title
   */
  function pause(scan, seconds, title) {
    const until = performance.now() + seconds * 1000;
    const why = title.slice(0, 1).toUpperCase() + title.slice(1);
    const count = () => {
      const left = Math.ceil((until - performance.now()) / 1000);
      if (left > 0) return step(scan, { kind: "paused", seconds: left, why });
      clearInterval(timer);
      if (key.isMissing()) postpone(scan);
      else send(scan);
    };
    const timer = setInterval(count, 1000);
    scan.stop = () => clearInterval(timer);
    count();
  }

  /** Until there is a key. @param {Scan} scan */
  function postpone(scan) {
    scan.tries = 0;
    active.delete(scan);
    queue.unshift(scan);
    step(scan, { kind: "waiting" });
    pump();
  }

  /**
   * @param {Scan} scan
   * @param {Step} last
   */
  function end(scan, last) {
    active.delete(scan);
    scan.at = Date.now();
    pump();
    step(scan, last);
  }

  /**
   * @param {Scan} scan
   * @param {Step} next
   */
  function step(scan, next) {
    scan.step = next;
    changed(scan);
  }

  /** @param {Scan} scan */
  function cancel(scan) {
    const at = queue.indexOf(scan);
    if (at >= 0) queue.splice(at, 1);
    else scan.stop();
    end(scan, { kind: "cancelled" });
  }

  return {
    pump,
    cancel,
    /** Those that have not begun, and those that are under way. */
    count: () => ({ waiting: queue.length, active: active.size }),
    /** @param {Scan} scan */
    add(scan) {
      queue.push(scan);
      pump();
    },
    /** Those that have not begun leave no trace. */
    cancelAll() {
      const all = [...active, ...queue.splice(0)];
      for (const scan of all) if (scan.at > 0) cancel(scan);
    },
    /** @param {Scan} scan */
    retry(scan) {
      scan.tries = 0;
      queue.unshift(scan);
      step(scan, { kind: "waiting" });
      pump();
    },
  };
}
