import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { access, mkdtemp, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { listening } from "../../listening.ts";
import { freePort } from "../../live/free-port.ts";
import { eventually } from "../../process/stage.ts";
import { suiteDirectory } from "../../scratch-directory.ts";
import { makeCertificate } from "../certificate.ts";

const main = new URL("../../../src/main.ts", import.meta.url).pathname;

describe("a start that cannot be", () => {
  const directory = suiteDirectory();

  test("names FRESHCLAM_CONF when its file is not there", () => {
    const path = directory.at("none.conf");
    assertFails({ FRESHCLAM_CONF: path }, `FRESHCLAM_CONF: ${path} cannot be read (ENOENT)`);
  });

  test("names SSL_CERT and SSL_KEY when they are not PEM", async () => {
    const path = directory.at("junk.pem");
    await writeFile(path, "junk\n");
    assertFails({ SSL_PORT: "0", SSL_CERT: path, SSL_KEY: path }, `SSL_CERT, SSL_KEY: ${path} and ${path} cannot be used (`);
  });

  test("names SSL_CERT and SSL_KEY when they cannot be read", () => {
    assertFails(
      { SSL_PORT: "0", SSL_CERT: directory.path, SSL_KEY: directory.path },
      `${directory.path} and ${directory.path} cannot be used (EISDIR`,
    );
  });

  test("names PORT and SSL_PORT where they are one and there is a certificate", async () => {
    const { cert, key } = await makeCertificate(directory.path);
    const port = await freePort();
    const env = { PORT: String(port), SSL_PORT: String(port), SSL_CERT: cert, SSL_KEY: key };
    assertFails(env, `PORT and SSL_PORT must differ; both are ${port}.`);
  });

  for (const [name, names] of [
    ["PORT", "HOST, PORT"],
    ["DOWNLOAD_PROXY_PORT", "DOWNLOAD_PROXY_HOST, DOWNLOAD_PROXY_PORT"],
  ] as const) {
    test(`names ${name} when it is taken`, async () => {
      const taken = createServer();
      const port = await listening(taken);
      try {
        // Not spawnSync: the port is held by this very process.
        const child = spawn(process.execPath, [main, "serve"], {
          env: environment({ [name]: String(port) }),
          stdio: ["ignore", "ignore", "pipe"],
        });
        let errors = "";
        child.stderr.setEncoding("utf8").on("data", (text) => {
          errors += text;
        });
        const [code] = await once(child, "close");
        assert.equal(code, 1);
        assert.ok(errors.includes(`${names}: 127.0.0.1:${port} cannot be listened on (EADDRINUSE)`), errors);
      } finally {
        taken.close();
      }
    });
  }

  test("leaves out a download proxy whose port is taken, where the gateway is only tried", async () => {
    const taken = createServer();
    const port = await listening(taken);
    try {
      const child = spawn(process.execPath, [main, "serve", "--allow-test-signatures"], {
        env: environment({ HOST: "127.0.0.1", DOWNLOAD_PROXY_PORT: String(port), LOG_FORMAT: "json" }),
        stdio: ["ignore", "pipe", "inherit"],
      });
      let said = "";
      child.stdout.setEncoding("utf8").on("data", (text) => {
        said += text;
      });
      await eventually("it listens", () => said.includes("listening on "));
      child.kill("SIGTERM");
      assert.deepEqual(await once(child, "close"), [0, null]);
      assert.ok(said.includes(`the download proxy is left out: 127.0.0.1:${port} is taken; DOWNLOAD_PROXY_PORT `), said);
      assert.ok(!said.includes("download proxy on "), said);
    } finally {
      taken.close();
    }
  });

  test("names SPOOL_DIRECTORY when another gateway uses it, whose files stay", async () => {
    const spool = directory.at("shared-spool");
    const settings = { SPOOL_DIRECTORY: spool, LOG_FORMAT: "json" };
    const holder = spawn(process.execPath, [main, "serve"], {
      env: environment({ ...settings, STATE_DIRECTORY: directory.at("holder") }),
      stdio: ["ignore", "pipe", "inherit"],
    });
    let said = "";
    holder.stdout.setEncoding("utf8").on("data", (text) => {
      said += text;
    });
    await eventually("it listens", () => said.includes("listening on "));
    const file = join(spool, "bodies", `body-${randomUUID()}`);
    await writeFile(file, "being scanned");
    assertFails(settings, `SPOOL_DIRECTORY: ${spool} is in use by another gateway (process ${holder.pid})`);
    await access(file);
    holder.kill("SIGTERM");
    assert.deepEqual(await once(holder, "close"), [0, null]);
  });

  test("warns of a variable that looks like a setting", async () => {
    const { stdout } = spawnSync(process.execPath, [main, "serve"], {
      env: environment({ LOG_FORMAT: "json", MAX_THREADZ: "4", SPOOL_DIRECTORY: "/proc" }),
      encoding: "utf8",
    });
    assert.match(stdout, /"level":"warn".*MAX_THREADZ is no setting and has no effect: did you mean MAX_THREADS\?/);
  });

  test("names SPOOL_DIRECTORY when it cannot be made", async () => {
    const path = directory.at("file");
    await writeFile(path, "");
    assertFails({ SPOOL_DIRECTORY: path }, `SPOOL_DIRECTORY: ${path} cannot be used by user `);
  });

  for (const [name, value] of [
    ["STATE_DIRECTORY", "/proc/clamgate/state"],
    ["SPOOL_DIRECTORY", "/proc/clamgate"],
    ["SPOOL_DIRECTORY", "/proc"],
    ["DATABASE_DIRECTORY", "/proc/clamgate"],
    ["VERDICT_CACHE", "sqlite:/proc/clamgate/verdicts"],
  ] as const) {
    // A recursive mkdir of Node's never returns there.
    test(`names ${name} where nothing can be made: ${value}`, { skip: process.platform !== "linux" }, () => {
      assertFails({ [name]: value }, `${name}: ${value.replace("sqlite:", "")} cannot be used by user `);
    });
  }

  test("is given up after a signal and the grace where it hangs", async () => {
    const hanging = await startHanging({ SHUTDOWN_GRACE: "200ms" });
    hanging.child.kill("SIGTERM");
    assert.deepEqual(await hanging.ended, [null, "SIGKILL"]);
    assert.match(hanging.said(), /SIGTERM: stopping; the start under way has 0\.2 s to end/);
    assert.match(hanging.said(), /the start has not ended within 0\.2 s/);
  });

  test("is given up at a second signal, whatever the grace", async () => {
    const hanging = await startHanging({ SHUTDOWN_GRACE: "1h" });
    hanging.child.kill("SIGINT");
    await eventually("the first signal was heard", () => hanging.said().includes("SIGINT: stopping"));
    await new Promise((resolve) => setTimeout(resolve, 1100)); // nearer ones are taken for one
    hanging.child.kill("SIGINT");
    assert.deepEqual(await hanging.ended, [null, "SIGKILL"]);
    assert.match(hanging.said(), /a second signal: ending at once/);
  });

  test("that comes through after a signal is ended in order", async () => {
    const hanging = await startHanging({ SHUTDOWN_GRACE: "1h" });
    hanging.child.kill("SIGTERM");
    await eventually("the signal was heard", () => hanging.said().includes("SIGTERM: stopping"));
    await writeFile(hanging.fifo, `DatabaseDirectory ${directory.path}\n`);
    assert.deepEqual(await hanging.ended, [0, null]);
    assert.match(hanging.said(), /"msg":"stopped"/);
    await assert.rejects(access(join(hanging.state, "gateway.lock")));
  });

  /** One that waits for somebody to write its FRESHCLAM_CONF. */
  async function startHanging(settings: Readonly<Record<string, string>>) {
    const state = await mkdtemp(directory.at("hanging-"));
    const fifo = join(state, "freshclam.fifo");
    spawnSync("mkfifo", [fifo]);
    const child = spawn(process.execPath, [main, "serve"], {
      env: environment({ STATE_DIRECTORY: state, FRESHCLAM_CONF: fifo, LOG_FORMAT: "json", ...settings }),
      stdio: ["ignore", "pipe", "inherit"],
    });
    let said = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
      said += text;
    });
    const ended = once(child, "close");
    await eventually("it is about to read that file", () => isThere(join(state, "epochs")));
    return { child, ended, fifo, state, said: () => said };
  }

  function environment(settings: Readonly<Record<string, string>>): Record<string, string> {
    const { PATH = "", HOME = "/", NODE_COMPILE_CACHE = "" } = process.env;
    const own = { HOST: "127.0.0.1", PORT: "0", DOWNLOAD_PROXY_PORT: "off", SIGNATURE_CHECKS: "0" };
    return { PATH, HOME, NODE_COMPILE_CACHE, ...own, STATE_DIRECTORY: directory.at("state"), ...settings };
  }

  function assertFails(settings: Readonly<Record<string, string>>, message: string): void {
    const { status, stderr } = spawnSync(process.execPath, [main, "serve"], {
      env: environment(settings),
      encoding: "utf8",
      timeout: 30_000,
      killSignal: "SIGKILL",
    });
    assert.equal(status, 1);
    assert.ok(stderr.includes(message), stderr);
  }
});

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
