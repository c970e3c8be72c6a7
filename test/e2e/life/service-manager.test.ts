/** systemd's program `systemd-notify` writes down here what it is told. */

import assert from "node:assert/strict";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { scratchDirectory } from "../../scratch-directory.ts";
import { startGatewayProcess } from "../gateway-process.ts";

/** Resolves with all that was told, once it holds the text. */
async function toldWith(text: string, path: string): Promise<readonly string[]> {
  for (;;) {
    const told = await readFile(path, "utf8").catch(() => "");
    if (told.includes(text)) return told.trimEnd().split("\n");
    await delay(50);
  }
}

test("systemd is told when the gateway listens, when it is ready, that it lives, and that it ends", async () => {
  await using directory = await scratchDirectory();
  const told = directory.at("told");
  const program = directory.at("systemd-notify");
  await writeFile(program, `#!/bin/sh\nfor one; do echo "$one" >> ${told}; done\n`);
  await chmod(program, 0o755);
  const env = { PATH: `${directory.path}:${process.env.PATH}`, NOTIFY_SOCKET: "/run/nobody", WATCHDOG_USEC: "400000" };
  await using gateway = await startGatewayProcess({ env });
  await gateway.ready();
  const start = await toldWith("STATUS=ready", told);
  assert.deepEqual(start.filter((one) => one !== "WATCHDOG=1").slice(0, 2), [
    "READY=1",
    "STATUS=listening; waiting for an engine with signatures",
  ]);
  assert.match(start.join("\n"), /^STATUS=ready; signatures: TEST SIGNATURES ONLY/m);
  await toldWith("WATCHDOG=1", told);
  gateway.signal("SIGTERM");
  assert.equal(await gateway.ended, 0);
  assert.equal((await toldWith("STOPPING=1", told)).filter((one) => one === "STOPPING=1").length, 1);
});

test("a systemd-notify that is missing or hangs keeps nothing from starting and ending", async () => {
  await using directory = await scratchDirectory();
  const program = directory.at("systemd-notify");
  await writeFile(program, "#!/bin/sh\nexec sleep 60\n");
  await chmod(program, 0o755);
  const env = { PATH: `${directory.path}:${process.env.PATH}`, NOTIFY_SOCKET: "/run/nobody" };
  await using gateway = await startGatewayProcess({ env });
  await gateway.ready();
  const askedAt = performance.now();
  gateway.signal("SIGTERM");
  assert.equal(await gateway.ended, 0);
  assert.ok(performance.now() - askedAt < 10_000);
});
