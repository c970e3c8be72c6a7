import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

const main = new URL("../../src/main.ts", import.meta.url).pathname;

describe("a start that cannot be", () => {
  let directory = "";
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "clamgate-start-"));
  });
  after(() => rm(directory, { recursive: true, force: true }));

  test("names FRESHCLAM_CONF when its file is not there", () => {
    const path = join(directory, "none.conf");
    assertFails({ FRESHCLAM_CONF: path }, `FRESHCLAM_CONF: ${path} cannot be read (ENOENT)`);
  });

  test("names SSL_CERT and SSL_KEY when they are not PEM", async () => {
    const path = join(directory, "junk.pem");
    await writeFile(path, "junk\n");
    assertFails({ SSL_PORT: "0", SSL_CERT: path, SSL_KEY: path }, `SSL_CERT, SSL_KEY: ${path} and ${path} cannot be used (`);
  });

  test("names SSL_CERT and SSL_KEY when they cannot be read", () => {
    assertFails(
      { SSL_PORT: "0", SSL_CERT: directory, SSL_KEY: directory },
      `${directory} and ${directory} cannot be used (EISDIR`,
    );
  });

  test("names PORT when it is taken", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const address = taken.address();
    const port = String(address !== null && typeof address === "object" ? address.port : 0);
    try {
      // Not spawnSync: the port is held by this very process.
      const child = spawn(process.execPath, [main, "serve"], {
        env: environment({ PORT: port }),
        stdio: ["ignore", "ignore", "pipe"],
      });
      let errors = "";
      child.stderr.setEncoding("utf8").on("data", (text) => {
        errors += text;
      });
      const [code] = await once(child, "close");
      assert.equal(code, 1);
      assert.match(errors, new RegExp(`HOST, PORT: 127\\.0\\.0\\.1:${port} cannot be listened on \\(EADDRINUSE\\)`));
    } finally {
      taken.close();
    }
  });

  test("names SPOOL_DIRECTORY when it cannot be made", async () => {
    const path = join(directory, "file");
    await writeFile(path, "");
    assertFails({ SPOOL_DIRECTORY: path }, `SPOOL_DIRECTORY: ${path} cannot be used (`);
  });

  function environment(settings: Readonly<Record<string, string>>): Record<string, string> {
    const { PATH = "", HOME = "/" } = process.env;
    const own = { HOST: "127.0.0.1", PORT: "0", DOWNLOAD_PROXY_PORT: "off", SIGNATURE_CHECKS: "0" };
    return { PATH, HOME, ...own, STATE_DIRECTORY: join(directory, "state"), ...settings };
  }

  function assertFails(settings: Readonly<Record<string, string>>, message: string): void {
    const { status, stderr } = spawnSync(process.execPath, [main, "serve"], { env: environment(settings), encoding: "utf8" });
    assert.equal(status, 1);
    assert.ok(stderr.includes(message), stderr);
  }
});
