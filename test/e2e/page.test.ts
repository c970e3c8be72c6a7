/** The page and the API's description in a real browser, served by a whole gateway with a real clamd. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import type { Browser } from "playwright-core";
import { openBrowser, openPage } from "../front/page/browser.ts";
import { scratchDirectory } from "../scratch-directory.ts";
import { type GatewayProcess, startGatewayProcess } from "./gateway-process.ts";
import { eicar } from "./samples.ts";

const root = new URL("../../", import.meta.url).pathname;
const assets = join(root, "src/front/page/assets");
const run = promisify(execFile);

describe("the page of a gateway", () => {
  let gateway: GatewayProcess;
  let browser: Browser;
  before(async () => {
    [gateway, browser] = await Promise.all([startGatewayProcess(), openBrowser()]);
    await gateway.ready();
  });
  after(async () => {
    await Promise.all([gateway[Symbol.asyncDispose](), browser.close()]);
  });
  const statusOf = async (path: string, accept: string) => (await fetch(gateway.url + path, { headers: { accept } })).status;

  test("is what a browser gets, while curl's GET of / is the JSON", async () => {
    const { stdout: json } = await run("curl", ["-s", `${gateway.url}/`]);
    assert.equal(JSON.parse(json).Pools, "1");
    const response = await fetch(`${gateway.url}/`, { headers: { accept: "text/html,application/xhtml+xml,*/*;q=0.8" } });
    assert.match(response.headers.get("content-type") ?? "", /^text\/html/);
    assert.equal(response.headers.get("content-security-policy"), "default-src 'self'; frame-ancestors 'none'");
    assert.equal(response.headers.get("vary"), "Origin, Accept");
    assert.match(await response.text(), /<title>clamgate/);
    const refused = await fetch(`${gateway.url}/`, { headers: { accept: "text/html;q=0, */*" } });
    assert.match(refused.headers.get("content-type") ?? "", /^application\/json/);
    assert.equal(await statusOf("/ui/", "*/*"), 200);
    assert.equal(await statusOf("/ui/tsconfig.json", "*/*"), 404);
    assert.equal(await statusOf("/ui/..%2fpage.ts", "*/*"), 404);
  });

  test("weighs no more than 60 KB", async () => {
    const sizes = await Promise.all((await readdir(assets)).map(async (name) => (await stat(join(assets, name))).size));
    const sum = sizes.reduce((total, size) => total + size, 0);
    assert.ok(sum <= 60_000, `${sum} bytes`);
  });

  test("shows EICAR in red, by its name, and is loud about test signatures", async () => {
    await using opened = await openPage(browser, `${gateway.url}/`);
    const { page } = opened;
    await page.locator("#test-bar").waitFor();
    await page.locator("#files").setInputFiles([
      { name: "eicar.com", mimeType: "", buffer: eicar.bytes },
      { name: "letter.txt", mimeType: "", buffer: Buffer.from("harmless") },
    ]);
    const found = page.locator(".row[data-look=found]");
    await found.waitFor();
    assert.equal(await found.locator("bdi").textContent(), "eicar.com");
    assert.equal(await found.locator(".verdict").textContent(), "Virus found: Eicar-Test-Signature.UNOFFICIAL");
    await page.locator(".row[data-look=clean]").getByText("Nothing found, by test signatures only").waitFor();
    await opened.assertQuiet();
  });

  test("is 404 with PAGE=off, and so is the API's description; curl's GET of / stays the JSON", async () => {
    await using without = await startGatewayProcess({ env: { PAGE: "off" } });
    await without.ready();
    for (const path of ["/", "/ui/", "/ui/page.js", "/docs", "/docs/"]) {
      const response = await fetch(without.url + path, { headers: { accept: "text/html" } });
      assert.equal(response.status, 404, path);
    }
    assert.equal((await fetch(`${without.url}/`, { headers: { accept: "*/*" } })).status, 200);
    assert.equal((await fetch(`${without.url}/openapi.json`)).status, 200);
  });

  test("tells of a gateway that ends in mid-upload, and sends the file to the next", async () => {
    await using first = await startGatewayProcess();
    await first.ready();
    await using opened = await openPage(browser, `${first.url}/`, { expected: /net::ERR_/ });
    const { page } = opened;
    const session = await page.context().newCDPSession(page);
    const slow = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 200_000 };
    await session.send("Network.emulateNetworkConditions", slow);
    await page.locator("#files").setInputFiles({ name: "large.bin", mimeType: "", buffer: Buffer.alloc(4_000_000) });
    await page.locator(".row").getByText("Sending").waitFor();
    first.signal("SIGKILL");
    await page.locator(".verdict").getByText("No verdict: the upload broke off").waitFor();
    await first.ended;
    await session.send("Network.emulateNetworkConditions", { ...slow, uploadThroughput: -1 });
    await using second = await startGatewayProcess({ env: { PORT: String(first.port) } });
    await second.ready();
    await page.getByRole("button", { name: "Try again: large.bin" }).click();
    await page.locator(".row[data-look=clean]").waitFor();
    await opened.assertQuiet();
  });

  test("describes the API at /docs, and its requests can be sent from there", async () => {
    await using opened = await openPage(browser, `${gateway.url}/docs`, { expected: /status of 406/ });
    const { page } = opened;
    const operation = page.locator("#operations-v3-post_v3_scan");
    await operation.locator(".opblock-summary-control").click();
    await operation.locator("input[type=file]").setInputFiles({ name: "eicar.com", mimeType: "", buffer: eicar.bytes });
    await operation.getByRole("button", { name: "Execute" }).click();
    await operation.locator(".live-responses-table .response-col_status").getByText("406").first().waitFor();
    await operation.locator(".live-responses-table").getByText("Eicar-Test-Signature").first().waitFor();
    if (process.env.SCREENSHOTS === "yes") {
      await page.setViewportSize({ width: 1200, height: 1250 });
      await operation.evaluate((element) => (element as unknown as { scrollIntoView(): void }).scrollIntoView());
      await page.screenshot({ path: join(root, "docs/images/docs.png") });
    }
    await opened.assertQuiet();
  });

  test("gives examples in the API's description that run", async () => {
    const description: unknown = await (await fetch(`${gateway.url}/openapi.json`)).json();
    const commands = JSON.stringify(description)
      .split("\\n")
      .filter((line) => line.startsWith("curl "));
    assert.ok(commands.length >= 8, `${commands.length} examples`);
    await fetch(`${gateway.url}/v3/scan`, { method: "POST", body: eicar.bytes });
    for (const command of commands) {
      const here = command
        .replace("http://localhost:9000", gateway.url)
        .replace(/^curl /, "curl -s -o /dev/null -w '%{http_code}' ");
      const { stdout: status } = await run("sh", ["-c", here], { cwd: root });
      assert.equal(status, command.includes("/v3/verdicts/") ? "406" : "200", command);
    }
  });

  test("asks for a key where the gateway does, at the page and at /docs", async () => {
    await using directory = await scratchDirectory();
    const file = join(directory.path, "keys.json");
    const create = ["keys", "create", "--name", "people", "--scopes", "scan,status", "--file", file];
    const key = (await run(process.execPath, [join(root, "src/main.ts"), ...create])).stdout.trim();
    await using guarded = await startGatewayProcess({ env: { AUTH: "keys", API_KEYS_FILE: file } });
    await guarded.ready();
    assert.equal((await fetch(`${guarded.url}/`)).status, 401);

    await using opened = await openPage(browser, `${guarded.url}/`, { expected: /status of 40[16]/ });
    const { page } = opened;
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Key or token").fill(`${key.slice(0, -1)}_`);
    await page.keyboard.press("Enter");
    await dialog.getByText("This key is not accepted.").waitFor();
    await dialog.getByLabel("Key or token").fill(key);
    await page.keyboard.press("Enter");
    await page.getByText("ClamAV 1.").first().waitFor();
    await page.locator("#files").setInputFiles({ name: "eicar.com", mimeType: "", buffer: eicar.bytes });
    await page.locator(".row[data-look=found]").waitFor();

    await page.goto(`${guarded.url}/docs`);
    await page.getByRole("button", { name: "Authorize" }).click();
    await page.getByLabel("auth-bearer-value").fill(key);
    await page.getByRole("button", { name: "Apply credentials" }).first().click();
    await page.locator(".close-modal").click();
    const operation = page.locator("#operations-v3-get_v3_status");
    await operation.locator(".opblock-summary-control").click();
    await operation.getByRole("button", { name: "Execute" }).click();
    await operation.locator(".live-responses-table .response-col_status").getByText("200").first().waitFor();
    await opened.assertQuiet();

    const { paths, components } = (await (await fetch(`${guarded.url}/openapi.json`)).json()) as {
      readonly paths: Readonly<
        Record<string, Readonly<Record<string, { readonly security?: unknown; readonly responses: object }>>>
      >;
      readonly components: { readonly securitySchemes: object };
    };
    assert.deepEqual(Object.keys(components.securitySchemes), ["bearer", "header"]);
    assert.deepEqual(paths["/v3/scan"]?.post?.security, [{ bearer: ["scan"] }, { header: ["scan"] }]);
    assert.ok("401" in (paths["/v3/scan"]?.post?.responses ?? {}));
    assert.deepEqual(paths["/livez"]?.get?.security, []);
  });
});
