import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { scratchDirectory } from "../../scratch-directory.ts";
import { type InPage, openBrowser, openPage } from "./browser.ts";
import { problem, startPage, version } from "./stage.ts";

let browser: Browser;
before(async () => {
  browser = await openBrowser();
});
after(() => browser.close());

const file = (name: string, text: string) => ({ name, mimeType: "", buffer: Buffer.from(text) });
const choose = (page: Page, ...files: ReturnType<typeof file>[]) => page.locator("#files").setInputFiles(files);
const row = (page: Page, name: string) => page.locator(".row").filter({ hasText: name });
const verdict = (page: Page, name: string) => row(page, name).locator(".verdict");

describe("the page", () => {
  test("tells what was found, in which file, by which engine, and its digest", async () => {
    await using stage = await startPage();
    await using opened = await openPage(browser, stage.url);
    const { page } = opened;
    await choose(page, file("letter.txt", "harmless"), file("trojan.exe", "virus:Win.Test.Trojan"));
    await row(page, "trojan.exe").and(page.locator("[data-look=found]")).waitFor();
    assert.equal(await verdict(page, "trojan.exe").textContent(), "Virus found: Win.Test.Trojan");
    await row(page, "letter.txt").and(page.locator("[data-look=clean]")).waitFor();
    assert.match((await verdict(page, "letter.txt").textContent()) ?? "", /^Nothing found, signatures of \d+ \w+ \d{4}$/);
    const text = (await row(page, "letter.txt").textContent()) ?? "";
    assert.match(text, /SHA-256 [0-9a-f]{64}/);
    assert.match(text, /ClamAV 1\.4\.6, database 27800/);
    assert.equal(await page.locator("#counts").textContent(), "1 virus · 1 with nothing found");
    await opened.assertQuiet();
  });

  test("never calls a file safe", async () => {
    await using stage = await startPage();
    for (const path of ["", "ui/", "ui/page.js", "ui/wording.js", "ui/results.js", "ui/state-panel.js", "ui/scans.js"]) {
      const response = await fetch(stage.url + path, { headers: { accept: "text/html" } });
      assert.equal(response.status, 200, path);
      assert.doesNotMatch(await response.text(), /\bsafe\b/i);
    }
  });

  test("says why a file is blocked that could not be looked into, and where a rule lets one pass", async () => {
    await using stage = await startPage({ scan: { allowed: ["encrypted"] } });
    await using opened = await openPage(browser, stage.url);
    const { page } = opened;
    await choose(page, file("a.zip", "unscannable:encrypted:Heuristics.Encrypted.Zip"), file("b.zip", "unscannable:limit-size"));
    await row(page, "a.zip").and(page.locator("[data-look=passed]")).waitFor();
    await row(page, "b.zip").and(page.locator("[data-look=blocked]")).waitFor();
    assert.match((await verdict(page, "a.zip").textContent()) ?? "", /Not looked into \(it is encrypted\)/);
    assert.equal(await verdict(page, "b.zip").textContent(), "Blocked: more unpacks from it than may be scanned");
    await opened.assertQuiet();
  });

  test("shows names and signatures as text, whatever they hold", async () => {
    await using stage = await startPage({
      scan: { answer: () => ({ kind: "infected", signatures: ["<script>alert(1)</script>"] }) },
    });
    await using opened = await openPage(browser, stage.url);
    const { page } = opened;
    page.on("dialog", () => assert.fail("a script has run"));
    const name = "<img src=x onerror=alert(1)>";
    await choose(page, file(name, "x"), file("bill\u202Efdp.exe", "x"));
    await row(page, name).and(page.locator("[data-look=found]")).waitFor();
    assert.equal(await row(page, name).locator("bdi").textContent(), name);
    assert.equal(await verdict(page, name).textContent(), "Virus found: <script>alert(1)</script>");
    assert.equal(await page.locator(".row img, .row script").count(), 0);
    // A mark in place of the character that would turn the letters behind it round.
    await row(page, "bill\uFFFDfdp.exe").waitFor();
    await opened.assertQuiet();
  });

  test("scans what is in a folder, with the paths in it", async () => {
    await using folder = await scratchDirectory();
    await mkdir(folder.at("deep/er"), { recursive: true });
    for (const name of ["one.txt", "deep/two.txt", "deep/er/three.txt"]) await writeFile(folder.at(name), "harmless");
    await using stage = await startPage();
    await using opened = await openPage(browser, stage.url);
    const { page } = opened;
    await page.locator("#folder").setInputFiles(folder.path);
    await page.locator(".row[data-look=clean]").nth(2).waitFor();
    await row(page, "/deep/er/three.txt").waitFor();
    await opened.assertQuiet();
  });

  test("takes what is dropped anywhere on it", async () => {
    await using stage = await startPage();
    await using opened = await openPage(browser, stage.url);
    const { page } = opened;
    const transfer = await page.evaluateHandle(() =>
      (globalThis as unknown as InPage).inPage.transferOf("dropped.bin", "virus:Dropped"),
    );
    await page.dispatchEvent("footer", "dragenter", { dataTransfer: transfer });
    assert.equal(await page.locator("#drop.over").count(), 1);
    await page.dispatchEvent("footer", "drop", { dataTransfer: transfer });
    await row(page, "dropped.bin").and(page.locator("[data-look=found]")).waitFor();
    assert.equal(await page.locator("#drop.over").count(), 0);
    await opened.assertQuiet();
  });

  test("sends four files at a time, tells how many wait, and cancels them", async () => {
    const { promise: release, resolve } = Promise.withResolvers<void>();
    await using stage = await startPage({
      scan: {
        answer: async () => {
          await release;
          return { kind: "clean" };
        },
      },
    });
    await using opened = await openPage(browser, stage.url);
    const { page } = opened;
    await choose(page, ...["a", "b", "c", "d", "e", "f"].map((name) => file(`${name}.txt`, name)));
    await page.getByText("2 more files wait their turn").waitFor();
    await page.getByText("Sent, waiting for the verdict").nth(3).waitFor();
    assert.equal(stage.asked.filter((line) => line === "POST /v3/scan").length, 4);
    await page.getByRole("button", { name: "Cancel: a.txt" }).click();
    await verdict(page, "a.txt").getByText("Cancelled, not scanned").waitFor();
    // The next takes its place.
    await row(page, "e.txt").waitFor();
    await page.getByRole("button", { name: "Cancel all" }).click();
    await page.locator(".row[data-look=busy]").first().waitFor({ state: "detached" });
    assert.equal(await page.locator(".row").count(), 5);
    resolve();
    await page.getByRole("button", { name: "Try again: a.txt" }).click();
    await row(page, "a.txt").and(page.locator("[data-look=clean]")).waitFor();
    await opened.assertQuiet();
  });

  test("tells of an upload that breaks off, and sends it again", async () => {
    // Each: Chromium sends a request again by itself where a connection that it had kept was reset.
    let isCutting = true;
    await using stage = await startPage({
      refuse: (request) => {
        if (isCutting && request.method === "POST") stage.cut();
        return isCutting && request.method === "POST";
      },
    });
    await using opened = await openPage(browser, stage.url, { expected: /Failed to load resource: net::ERR_/ });
    const { page } = opened;
    await choose(page, file("large.bin", "x".repeat(1_000_000)));
    await verdict(page, "large.bin").getByText("No verdict: the upload broke off").waitFor();
    isCutting = false;
    await page.getByRole("button", { name: "Try again: large.bin" }).click();
    await row(page, "large.bin").and(page.locator("[data-look=clean]")).waitFor();
    await opened.assertQuiet();
  });

  test("waits as long as a busy gateway asks it to, and then sends the file again", async () => {
    const times: number[] = [];
    await using stage = await startPage({
      refuse: (request, reply) => {
        if (request.method !== "POST") return false;
        times.push(performance.now());
        return times.length === 1 && problem(reply, 503, "Too many scans are waiting", { "retry-after": "2" });
      },
    });
    await using opened = await openPage(browser, stage.url, { expected: /status of 503/ });
    const { page } = opened;
    await choose(page, file("patient.txt", "harmless"));
    await verdict(page, "patient.txt").getByText("Too many scans are waiting. Trying again in 2 s").waitFor();
    await row(page, "patient.txt").and(page.locator("[data-look=clean]")).waitFor();
    const [first = 0, second = 0] = times;
    assert.ok(second - first >= 2_000, `after ${second - first} ms`);
    await opened.assertQuiet();
  });

  test("calls no file clean by an answer that is not the gateway's report", async () => {
    const answers = ["<html>welcome</html>", "{}", '{"allowed":true}', '{"allowed":true,"verdict":{"kind":"clean"},"engine":{}}'];
    await using stage = await startPage({
      refuse: (request, reply) => {
        if (request.method !== "POST") return false;
        reply.send(answers.shift() ?? "");
        return true;
      },
    });
    await using opened = await openPage(browser, stage.url);
    const { page } = opened;
    await choose(page, ...["a", "b", "c", "d"].map((name) => file(name, name)));
    await page.getByText("No verdict: the answer has status 200 and is no report").nth(3).waitFor();
    assert.equal(await page.locator(".row[data-look=clean]").count(), 0);
    await opened.assertQuiet();
  });

  test("does not send what the gateway would not take", async () => {
    await using stage = await startPage({ front: { maxBytes: 1_000 } });
    await using opened = await openPage(browser, stage.url);
    const { page } = opened;
    await page.getByText("Up to 1000 B each").waitFor();
    await choose(page, file("n.bin", "x".repeat(1_000)), file("n+1.bin", "x".repeat(1_001)));
    await row(page, "n.bin").and(page.locator("[data-look=clean]")).waitFor();
    await verdict(page, "n+1.bin").getByText("the file is too large").waitFor();
    assert.equal(stage.asked.filter((line) => line === "POST /v3/scan").length, 1);
    await opened.assertQuiet();
  });

  test("keeps results over a reload, and shows none of them in another tab", async () => {
    await using stage = await startPage();
    await using opened = await openPage(browser, stage.url);
    const { page } = opened;
    await choose(page, file("kept.bin", "virus:Kept"));
    await row(page, "kept.bin").and(page.locator("[data-look=found]")).waitFor();
    await page.reload();
    assert.equal(await verdict(page, "kept.bin").textContent(), "Virus found: Kept");
    const other = await page.context().newPage();
    await other.goto(stage.url);
    await other.getByText("Working").first().waitFor();
    assert.equal(await other.locator(".row").count(), 0);
    const kept = "clamgate.results";
    await page.evaluate((place) => (globalThis as unknown as InPage).inPage.keep(place, '[{"path":"x"}]'), kept);
    await page.reload();
    await page.getByText("Working").first().waitFor();
    assert.equal(await page.locator(".row").count(), 0);
    await choose(page, file("kept.bin", "virus:Kept"));
    await row(page, "kept.bin").and(page.locator("[data-look=found]")).waitFor();
    await page.getByRole("button", { name: "Clear" }).click();
    await page.reload();
    assert.equal(await page.locator(".row").count(), 0);
    await opened.assertQuiet();
  });

  test("tells what is not clean to screen readers, and can be used by keys alone", async () => {
    await using stage = await startPage();
    await using opened = await openPage(browser, stage.url);
    const { page } = opened;
    // Asked for some steps ahead: the browser opens its own dialog where the key comes before the wish to see it.
    const chooser = page.waitForEvent("filechooser");
    // Where the focus begins is the browser's affair.
    const choosing = page.locator("#choose-files:focus");
    for (let tabs = 0; tabs < 4 && (await choosing.count()) === 0; tabs += 1) await page.keyboard.press("Tab");
    assert.equal(await choosing.count(), 1);
    await page.keyboard.press("Enter");
    await (await chooser).setFiles([file("read-out.bin", "virus:Loud")]);
    await page.locator("[aria-live=polite]").getByText("read-out.bin: Virus found Loud").waitFor();
    await page.getByRole("button", { name: "Remove: read-out.bin" }).focus();
    await page.keyboard.press("Enter");
    assert.equal(await page.locator(".row").count(), 0);
    await opened.assertQuiet();
  });
});

describe("the page's state of the gateway", () => {
  for (const [hours, look, text] of [
    [23, "clean", "Working"],
    [25, "none", "Signatures grow old"],
    [49, "found", "Signatures are too old"],
  ] as const) {
    test(`has a colour for signatures that are ${hours} hours old`, async () => {
      await using stage = await startPage({ engine: version(hours) });
      await using opened = await openPage(browser, stage.url);
      const { page } = opened;
      await page.locator("#state-text").getByText(text).waitFor();
      await page.locator(`#fact-signatures[data-look=${look}]`).waitFor();
      assert.equal(await page.locator("#test-bar").isVisible(), false);
      await opened.assertQuiet();
    });
  }

  test("is loud while only test signatures are loaded", async () => {
    await using stage = await startPage({ front: { isTestOnly: () => true } });
    await using opened = await openPage(browser, stage.url);
    const { page } = opened;
    await page.locator("#test-bar").waitFor();
    await choose(page, file("a.txt", "harmless"));
    await verdict(page, "a.txt").getByText("Nothing found, by test signatures only").waitFor();
    await opened.assertQuiet();
  });

  test("is asked for every five seconds, with queue, slots, cache and warnings", async () => {
    await using stage = await startPage({
      front: {
        poolStats: () => ({ backendsUp: 1, slots: 10, inFlight: 3, queued: 17 }),
        cacheHealth: () => "degraded",
        warnings: () => ["cache: verdicts are not remembered"],
      },
    });
    await using opened = await openPage(browser, stage.url);
    const { page } = opened;
    const panel = page.locator(".gateway");
    for (const text of ["3 of 10 at once", "17 files wait", "Failing", "cache: verdicts are not remembered"]) {
      await panel.getByText(text).first().waitFor();
    }
    const count = () => stage.asked.filter((line) => line === "GET /v3/status").length;
    assert.equal(count(), 1);
    await page.waitForRequest("**/v3/status", { timeout: 7_000 });
    assert.equal(count(), 2);
    await opened.assertQuiet();
  });

  test("says that the gateway does not answer, and that it does again", async () => {
    let isAway = false;
    await using stage = await startPage({
      refuse: (request) => {
        if (isAway && request.url === "/v3/status") request.raw.destroy();
        return false;
      },
    });
    await using opened = await openPage(browser, stage.url, { expected: /Failed to load resource: net::ERR_/ });
    const { page } = opened;
    await page.locator("#state-text").getByText("Working").waitFor();
    isAway = true;
    await page.locator("#state-text").getByText("The gateway does not answer").waitFor();
    isAway = false;
    await page.locator("#state-text").getByText("Working").waitFor();
    await opened.assertQuiet();
  });
});

describe("the page with access control", () => {
  const withKey = (good: string) =>
    startPage({
      refuse: (request, reply) => {
        if (!request.url.startsWith("/v3/") || request.headers.authorization === `Bearer ${good}`) return false;
        return problem(reply, 401, "A key is needed", { "www-authenticate": 'Bearer realm="clamgate"' });
      },
    });
  const expected = /status of 40[13]/;

  test("asks for a key once, sends it along, and keeps it in this tab alone", async () => {
    await using stage = await withKey("cgk_good");
    await using opened = await openPage(browser, stage.url, { expected });
    const { page } = opened;
    const dialog = page.getByRole("dialog");
    await dialog.waitFor();
    await dialog.getByLabel("Key or token").fill("cgk_good");
    await page.keyboard.press("Enter");
    await dialog.waitFor({ state: "hidden" });
    await page.locator("#state-text").getByText("Working").waitFor();
    await choose(page, file("a.txt", "harmless"));
    await row(page, "a.txt").and(page.locator("[data-look=clean]")).waitFor();
    await page.reload();
    await page.locator("#state-text").getByText("Working").waitFor();
    assert.equal(await page.evaluate(() => (globalThis as unknown as InPage).inPage.storedForAllTabs()), 0);
    assert.equal(page.url(), stage.url);
    const other = await page.context().newPage();
    await other.goto(stage.url);
    await other.getByRole("dialog").waitFor();
    await page.getByRole("button", { name: "Forget it" }).click();
    await dialog.waitFor();
    await opened.assertQuiet();
  });

  test("sends a wrong key once, and nothing more until another is entered", async () => {
    await using stage = await withKey("cgk_good");
    await using opened = await openPage(browser, stage.url, { expected });
    const { page } = opened;
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Key or token").fill("cgk_wrong");
    await dialog.getByRole("button", { name: "Use this key" }).click();
    await dialog.getByText("This key is not accepted.").waitFor();
    await dialog.getByRole("button", { name: "Not now" }).click();
    await choose(page, file("a.txt", "harmless"));
    const before = stage.asked.filter((line) => line.includes("/v3/")).length;
    assert.equal(before, 2); // the one that was refused, and the wrong key's
    await page.waitForTimeout(6_000); // the state is asked for every five seconds
    assert.equal(stage.asked.filter((line) => line.includes("/v3/")).length, before);
    assert.equal(await dialog.isVisible(), false);
    await page.getByRole("button", { name: "Enter a key" }).click();
    await dialog.getByLabel("Key or token").fill("cgk_good");
    await page.keyboard.press("Enter");
    // What waited for the key goes on by itself.
    await row(page, "a.txt").and(page.locator("[data-look=clean]")).waitFor();
    await opened.assertQuiet();
  });

  test("asks once where a key ends in the middle of uploads, and sends them again with the next", async () => {
    let good = "cgk_first";
    await using stage = await startPage({
      refuse: (request, reply) => {
        if (!request.url.startsWith("/v3/") || request.headers.authorization === `Bearer ${good}`) return false;
        return problem(reply, 401, "A key is needed");
      },
    });
    await using opened = await openPage(browser, stage.url, { expected });
    const { page } = opened;
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Key or token").fill("cgk_first");
    await page.keyboard.press("Enter");
    await dialog.waitFor({ state: "hidden" });
    good = "cgk_second";
    await choose(page, ...["a", "b", "c", "d", "e"].map((name) => file(`${name}.txt`, name)));
    await dialog.getByText("The key is not accepted any more.").waitFor();
    await dialog.getByLabel("Key or token").fill("cgk_second");
    await page.keyboard.press("Enter");
    await page.locator(".row[data-look=clean]").nth(4).waitFor();
    await opened.assertQuiet();
  });

  test("tells of a key that may not do what is asked", async () => {
    await using stage = await startPage({
      refuse: (request, reply) => request.url.startsWith("/v3/") && problem(reply, 403, "The key lacks a right"),
    });
    await using opened = await openPage(browser, stage.url, { expected });
    const { page } = opened;
    await page.locator("#state-text").getByText("This key may not see the state").waitFor();
    await choose(page, file("a.txt", "harmless"));
    await verdict(page, "a.txt").getByText("No verdict: the key lacks a right").waitFor();
    assert.equal(await page.getByRole("dialog").isVisible(), false);
    await opened.assertQuiet();
  });
});
