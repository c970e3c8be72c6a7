/** What the page looks like: nothing that axe-core calls serious, nothing wider than the window. With SCREENSHOTS=yes the pictures of docs/images are made anew. */

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import type { AxeResults } from "axe-core";
import type { Browser, Page } from "playwright-core";
import type { Verdict } from "../../../src/core/verdict.ts";
import { type InPage, openBrowser, openPage, type WatchedPage } from "./browser.ts";
import { problem, startPage } from "./stage.ts";

const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const images = new URL("../../../docs/images/", import.meta.url).pathname;
const makesPictures = process.env.SCREENSHOTS === "yes";

let browser: Browser;
before(async () => {
  browser = await openBrowser();
});
after(() => browser.close());

const verdicts: Readonly<Record<string, Verdict>> = {
  "invoice-4711.exe": { kind: "infected", signatures: ["Win.Test.EICAR_HDB-1"] },
  "contracts.zip": { kind: "unscannable", reason: "encrypted", heuristic: "Heuristics.Encrypted.Zip" },
};

/** A page with a result of each kind, and one file under way. */
async function openResults(url: string, options: Parameters<typeof openPage>[2]): Promise<WatchedPage> {
  const opened = await openPage(browser, url, { ...options, script: axe, expected: /status of 408/ });
  const files = ["travel-expenses.pdf", "contracts.zip", "drone-video.mp4", "invoice-4711.exe", "slow.iso"];
  const { page } = opened;
  for (const name of files) {
    await page.locator("#files").setInputFiles({ name, mimeType: "", buffer: Buffer.alloc(name.length * 12_345, name) });
    const row = page.locator(".row").filter({ hasText: name });
    await (name === "slow.iso" ? row.getByText("Sent, waiting for the verdict") : row.locator(".facts")).waitFor();
  }
  await page.getByText("Working").first().waitFor();
  return opened;
}

const startResults = (until: Promise<void>) =>
  startPage({
    scan: {
      answer: async ({ name }) => {
        if (name === "slow.iso") await until;
        return verdicts[name] ?? { kind: "clean" };
      },
    },
    front: { poolStats: () => ({ backendsUp: 1, slots: 8, inFlight: 1, queued: 0 }) },
    refuse: (request, reply) => request.url.includes("drone-video.mp4") && problem(reply, 408, "The upload was too slow"),
  });

describe("the page", () => {
  for (const [width, height] of [
    [320, 700],
    [768, 1024],
    [1440, 900],
  ] as const) {
    for (const colorScheme of ["light", "dark"] as const) {
      test(`is accessible and fits at ${width} px in ${colorScheme} colours`, async () => {
        const { promise, resolve } = Promise.withResolvers<void>();
        await using stage = await startResults(promise);
        await using opened = await openResults(stage.url, { width, height, colorScheme });
        const { page } = opened;
        assert.deepEqual(await seriousFaults(page), []);
        assert.ok((await page.evaluate(() => (globalThis as unknown as InPage).inPage.width())) <= width);
        const name = { 320: "narrow", 768: null, 1440: "page" }[width];
        if (makesPictures && name !== null) {
          await page.setViewportSize(width === 1440 ? { width: 1200, height } : { width, height: 1_300 });
          await page.screenshot({ path: `${images}${name}-${colorScheme}.png`, fullPage: width === 1440 });
        }
        resolve();
        await opened.assertQuiet();
      });
    }
  }

  test("is accessible while it asks for a key, and before anything was sent", async () => {
    for (const status of [200, 401]) {
      await using stage = await startPage({
        front: { isTestOnly: () => true, warnings: () => ["cache: verdicts are not remembered"] },
        refuse: (request, reply) => status === 401 && request.url === "/v3/status" && problem(reply, 401, "A key is needed"),
      });
      await using opened = await openPage(browser, stage.url, { script: axe, expected: /status of 401/ });
      const { page } = opened;
      await page.locator(status === 401 ? "#key-dialog" : "#test-bar").waitFor();
      assert.deepEqual(await seriousFaults(page), []);
      await opened.assertQuiet();
    }
  });
});

async function seriousFaults(page: Page): Promise<readonly string[]> {
  const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run());
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical" || impact === "moderate");
  return serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join(" | ")}`);
}
