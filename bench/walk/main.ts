/** `npm run walk`: what one request goes through, and how large the house is. */

import { glob, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { spreadOf } from "../load/statistics.ts";
import { countRequests } from "./count-requests.ts";

const root = new URL("../../", import.meta.url).pathname;

console.log("median of one request      functions  files  promises  timers");
for (const { request, walk } of await countRequests()) {
  const columns = [walk.functions, walk.files, walk.promises, walk.timers];
  console.log(request.padEnd(24) + columns.map((column) => String(column).padStart(9)).join(""));
}
for (const part of ["src", "test"]) console.log(await countHouse(part));

/** Files, folders, the median and the largest number of files in a folder, and lines. */
async function countHouse(part: string): Promise<string> {
  const sizes = new Map<string, number>();
  let lines = 0;
  for await (const path of glob(`${part}/**/*.{ts,mjs}`, { cwd: root })) {
    sizes.set(dirname(path), (sizes.get(dirname(path)) ?? 0) + 1);
    lines += (await readFile(join(root, path), "utf8")).split("\n").length - 1;
  }
  const counts = [...sizes.values()];
  const files = counts.reduce((sum, count) => sum + count, 0);
  return `${part}: ${files} files in ${counts.length} folders (median ${spreadOf(counts).median}, largest ${Math.max(...counts)}), ${lines} lines`;
}
