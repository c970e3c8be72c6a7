/** Run as a process of its own: sets verdicts one after the other for ever, and says how many rows another may count on. */

import { setTimeout as delay } from "node:timers/promises";
import { sqliteCache } from "../../../src/cache/sqlite/store.ts";

const [path = ""] = process.argv.slice(2);
const cache = sqliteCache({
  path,
  maxEntries: 1_000_000,
  emit: (event) => console.log(JSON.stringify(event)),
  clock: () => performance.now(),
  now: Date.now,
});

for (let index = 0; ; index += 1) {
  const sha256 = index.toString(16).padStart(64, "0");
  await cache.set({ sha256, tag: "child" }, { kind: "infected", signatures: [`Number.${index}`] }, 3600);
  if (index % 50 !== 0) continue;
  console.log(index);
  await delay(2);
}
