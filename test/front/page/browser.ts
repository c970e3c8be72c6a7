/** The system's Chromium, which dials nothing off loopback, and pages that are watched: no error, no policy report, no other origin. */

import assert from "node:assert/strict";
import { type Browser, chromium, type Page } from "playwright-core";
import { findProgram } from "../../../src/process/find-program.ts";

export interface WatchedPage extends AsyncDisposable {
  readonly page: Page;
  /** Nothing was said on the console that is an error, no policy was broken, and nothing was asked of another origin. */
  assertQuiet(): Promise<void>;
}

export interface PageOptions {
  readonly width?: number;
  readonly height?: number;
  readonly colorScheme?: "light" | "dark";
  /** What the console may say, since the test has provoked it. */
  readonly expected?: RegExp;
  /** A file that is run in the page before its own scripts, which the page's policy does not concern. */
  readonly script?: string;
}

/** What in-page.js adds to the page's global object. */
export interface InPage {
  readonly inPage: {
    readonly violations: readonly string[];
    readonly progress: readonly number[];
    width(): number;
    storedForAllTabs(): number;
    keep(place: string, value: string): void;
    transferOf(name: string, text: string): object;
  };
}

const inPageScript = new URL("in-page.js", import.meta.url).pathname;
const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // Whatever a page or the browser itself asks for: only this machine is there.
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

/** With a new, empty profile. The caller closes it. */
export async function openBrowser(): Promise<Browser> {
  const executablePath = await findProgram("chromium", process.env.PATH);
  if (executablePath === null) throw new Error("there is no chromium: node setup/setup.mjs --for-tests installs it");
  return await chromium.launch({ executablePath, headless: true, args: flags });
}

/** In a session of its own. */
export async function openPage(browser: Browser, url: string, options: PageOptions = {}): Promise<WatchedPage> {
  const { width = 1440, height = 900, colorScheme = "light", expected, script } = options;
  const context = await browser.newContext({ viewport: { width, height }, colorScheme });
  const page = await context.newPage();
  const faults: string[] = [];
  const { origin } = new URL(url);
  page.on("console", (message) => {
    const text = message.text();
    // Chromium tells of each answer that is no success: of a blocked file it is the answer that was asked for.
    const isBlocked = /status of 406/.test(text) && message.location().url.includes("/v3/scan");
    if (message.type() === "error" && !isBlocked && expected?.test(text) !== true) faults.push(`console: ${text}`);
  });
  page.on("pageerror", (error) => faults.push(`page: ${error.message}`));
  page.on("request", (request) => {
    const asked = request.url();
    if (!asked.startsWith(`${origin}/`) && !asked.startsWith("data:")) faults.push(`asked: ${asked}`);
  });
  await page.addInitScript({ path: inPageScript });
  if (script !== undefined) await page.addInitScript({ path: script });
  await page.goto(url);
  return {
    page,
    async assertQuiet() {
      assert.deepEqual([...faults, ...(await page.evaluate(() => (globalThis as unknown as InPage).inPage.violations))], []);
    },
    [Symbol.asyncDispose]: () => context.close(),
  };
}
