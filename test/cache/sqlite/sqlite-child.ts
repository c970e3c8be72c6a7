/** Run as a process of its own: sets verdicts one after the other for ever, and says how many rows another may count on. */

import { setTimeout as delay } from "node:timers/promises";
import { cacheable, parseVerdict } from "../../../src/cache/cacheable.ts";
import { SqliteStore } from "../../../src/cache/sqlite/store.ts";

const [path = ""] = process.argv.slice(2);
const store = new SqliteStore(parseVerdict, {
  path,
  maxEntries: 1_000_000,
  emit: (event) => console.log(JSON.stringify(event)),
  clock: () => performance.now(),
  now: Date.now,
});

for (let index = 0; ; index += 1) {
  const sha256 = index.toString(16).padStart(64, "0");
  const key = { sha256, tag: "child" };
  const entry = cacheable(key, { kind: "infected", signatures: [`Number.${index}`] }, 3600, parseVerdict);
  if (entry !== null) store.set(key, entry);
  if (index % 50 !== 0) continue;
  console.log(index);
  await delay(2);
}
