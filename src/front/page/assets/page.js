/** The page: files come in by drop or choice, are scanned, and stand in the list with what was found. */

import { createAccessKey } from "./access-key.js";
import { droppedFiles } from "./dropped-files.js";
import { byId } from "./elements.js";
import { createResults } from "./results.js";
import { createScans } from "./scans.js";
import { createStatePanel } from "./state-panel.js";
import { bytes, tell, visible } from "./wording.js";

/** @import { Scan } from "./scans.js" */

const announcement = byId("announce", HTMLElement);
const drop = byId("drop", HTMLElement);
let lastId = 0;
/** @type {number | null} */
let maxBytes = null;

const key = createAccessKey({
  accepted() {
    scans.pump();
    panel.ask();
  },
});
const panel = createStatePanel({
  key,
  told(state) {
    maxBytes = typeof state.maxBytes === "number" ? state.maxBytes : null;
    byId("limit", HTMLElement).textContent = maxBytes === null ? "" : `Up to ${bytes(maxBytes)} each`;
  },
});
const scans = createScans({ key, maxBytes: () => maxBytes, changed });
const results = createResults({ cancel: (scan) => scans.cancel(scan), retry: (scan) => scans.retry(scan), changed: showCounts });
showCounts();
panel.ask();

/** @param {Scan} scan */
function changed(scan) {
  results.show(scan);
  const { kind } = scan.step;
  if (kind !== "done" && kind !== "failed") return;
  results.save();
  const { look, text, name } = tell(scan.step, scan.size);
  const { waiting, active } = scans.count();
  // A screen reader is told of what is not clean, and at the end of the whole: not of each of a thousand files.
  if (look !== "clean") announce(`${visible(scan.path)}: ${text}${name === null ? "" : ` ${visible(name)}`}`);
  else if (waiting + active === 0) announce(`${visible(scan.path)}: ${text}. ${countsText()}`);
}

/** @param {string} text */
function announce(text) {
  announcement.textContent = text;
}

function showCounts() {
  const { waiting, active } = scans.count();
  const counts = results.count();
  const shown = Object.values(counts).reduce((sum, count) => sum + count, 0);
  byId("results", HTMLElement).hidden = shown + waiting === 0;
  byId("counts", HTMLElement).textContent = countsText();
  byId("cancel-all", HTMLButtonElement).hidden = waiting + active < 2;
  byId("clear", HTMLButtonElement).hidden = shown === counts.busy;
  const more = byId("more", HTMLElement);
  more.hidden = waiting === 0;
  more.textContent = waiting === 1 ? "1 more file waits its turn" : `${waiting} more files wait their turn`;
}

function countsText() {
  const { found, blocked, passed, clean, none } = results.count();
  const parts = [
    [found, found === 1 ? "virus" : "viruses"],
    [blocked, "blocked"],
    [none, "without verdict"],
    [passed, "not looked into"],
    [clean, "with nothing found"],
  ];
  return parts
    .filter(([count]) => count !== 0)
    .map(([count, text]) => `${count} ${text}`)
    .join(" · ");
}

/**
 * @param {File} file
 * @param {string} path
 */
function add(file, path) {
  lastId += 1;
  scans.add({ id: lastId, path, size: file.size, at: 0, file, step: { kind: "waiting" }, tries: 0, stop() {} });
  showCounts();
}

for (const field of ["files", "folder"]) {
  const input = byId(field, HTMLInputElement);
  byId(`choose-${field}`, HTMLButtonElement).addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    for (const file of input.files ?? []) add(file, file.webkitRelativePath || file.name);
    input.value = ""; // or the same file could not be chosen again
  });
}
byId("cancel-all", HTMLButtonElement).addEventListener("click", () => {
  scans.cancelAll();
  showCounts();
});
byId("clear", HTMLButtonElement).addEventListener("click", () => {
  results.clear();
  byId("choose-files", HTMLButtonElement).focus();
});

// Anywhere on the page: a file dropped beside the box would replace the page.
let inside = 0;
addEventListener("dragenter", () => {
  inside += 1;
  drop.classList.add("over");
});
addEventListener("dragleave", () => {
  inside -= 1;
  if (inside <= 0) endDrag();
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", async (event) => {
  event.preventDefault();
  endDrag();
  if (event.dataTransfer === null) return;
  try {
    for await (const { file, path } of droppedFiles(event.dataTransfer)) add(file, path);
  } catch {
    announce("Not all of what was dropped can be read.");
  }
});

function endDrag() {
  inside = 0;
  drop.classList.remove("over");
}

addEventListener("beforeunload", (event) => {
  const { waiting, active } = scans.count();
  if (waiting + active > 0) event.preventDefault();
});
