import assert from "node:assert/strict";
import { mkdtemp, open, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Scan } from "../../../src/core/scan.ts";
import { createFakeScan } from "../rest/fake-scan.ts";
import { type InPage, openBrowser, openPage } from "./browser.ts";
import { startPage } from "./stage.ts";

const gibibyte = 1024 ** 3;
const fileBytes = 2 * gibibyte;
const empty = createFakeScan({ maxBytes: 0 }).scan;

/** Reads the body and keeps nothing of it. */
const discard: Scan = async (body, options) => {
  for await (const _chunk of body);
  return await empty((async function* () {})(), options);
};

test("the page sends a file of 2 GiB in flat memory, and its progress never goes back", async () => {
  const folder = await mkdtemp(join(tmpdir(), "clamgate-page-"));
  const path = join(folder, "sparse.bin");
  const file = await open(path, "w");
  await file.truncate(fileBytes);
  await file.close();
  const browser = await openBrowser();
  try {
    await using stage = await startPage({ front: { scan: discard, maxBytes: 3 * gibibyte } });
    await using opened = await openPage(browser, stage.url);
    const { page } = opened;
    await page.getByText("Working").first().waitFor();
    const before = await browserBytes();
    let most = before;
    await page.locator("#files").setInputFiles(path);
    const isDone = page.locator(".row[data-look=clean]").waitFor({ timeout: 150_000 });
    let isEnded = false;
    void isDone.finally(() => {
      isEnded = true;
    });
    while (!isEnded) {
      most = Math.max(most, await browserBytes());
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    await isDone;
    const seen = await page.evaluate(() => (globalThis as unknown as InPage).inPage.progress);
    assert.ok(seen.length > 10, `progress was told ${seen.length} times`);
    assert.deepEqual(
      seen.filter((value, at) => value < (seen[at - 1] ?? 0)),
      [],
    );
    assert.ok(Math.max(...seen) > 0.9 * fileBytes);
    assert.ok(most - before < 400 * 1024 ** 2, `memory grew by ${Math.round((most - before) / 1024 ** 2)} MiB`);
    await opened.assertQuiet();
  } finally {
    await browser.close();
    await rm(folder, { recursive: true, force: true });
  }
});

/** The private memory of the browser's processes, which are all that descends from this one. */
async function browserBytes(): Promise<number> {
  const parents = new Map<number, number>();
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, "utf8").catch(() => "");
    parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
  }
  const isOurs = (pid: number): boolean => pid === process.pid || (pid > 1 && isOurs(parents.get(pid) ?? 0));
  const ours = [...parents.keys()].filter((pid) => pid !== process.pid && isOurs(pid));
  const sizes = await Promise.all(
    ours.map(async (pid) => {
      const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
      return Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
    }),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
