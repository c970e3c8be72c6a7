/** A gateway with given clamd servers that do not report what they skip. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startRealClamd } from "../../live/clamd.ts";
import { zip } from "../../live/zip.ts";
import { eventually } from "../../process/stage.ts";
import { startGatewayProcess } from "../gateway-process.ts";

const defaultAlerts = "AlertExceedsMax no\nAlertEncryptedArchive no\nAlertEncryptedDoc no\n";
const missing = "AlertEncryptedArchive yes, AlertEncryptedDoc yes, AlertExceedsMax yes";
const encryptedZip = zip([{ name: "a", bytes: Buffer.from("nobody knows"), isEncrypted: true }]);

interface Ready {
  readonly status: string;
  readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail: string }[];
}

describe("a gateway with a given clamd of default settings", () => {
  test("is degraded, and names the lines that are missing, once in the log", async () => {
    await using clamd = await startRealClamd({ listens: "tcp", conf: defaultAlerts });
    await using gateway = await startGatewayProcess({ env: { CLAMD_PORT: portOf(clamd.address) } });
    await gateway.ready();
    const { status, checks } = await readiness(gateway.url);
    assert.equal(status, "degraded");
    assert.match(checks.find(({ name }) => name === "alerts")?.detail ?? "", new RegExp(`${missing}$`));
    assert.equal(await gateway.metric("clamgate_backends_lacking_alerts"), 1);
    assert.equal(gateway.lines.filter((line) => line.includes(`its clamd.conf lacks ${missing}`)).length, 1);
  });

  test("does not use it where GIVEN_CLAMD is strict, and uses the other one", async () => {
    await using lax = await startRealClamd({ listens: "tcp", conf: defaultAlerts });
    await using full = await startRealClamd({ listens: "tcp" });
    const env = { CLAMD_PORT: `${portOf(lax.address)},${portOf(full.address)}`, GIVEN_CLAMD: "strict", VERDICT_CACHE: "none" };
    await using gateway = await startGatewayProcess({ env });
    await gateway.ready();
    await gateway.line(`"reason":"its clamd.conf lacks ${missing}"`);
    assert.equal(await gateway.metric('clamgate_backends{state="up"}'), 1);
    for (let scan = 0; scan < 5; scan += 1) assert.equal(await scanned(gateway.url), 406);
    await full.kill();
    await eventually("nothing is scanned", async () => (await fetch(`${gateway.url}/readyz`)).status === 503);
  });

  test("asks the one that reports an encrypted zip while it is up, also without strict", async () => {
    await using lax = await startRealClamd({ listens: "tcp", conf: defaultAlerts });
    await using full = await startRealClamd({ listens: "tcp" });
    await using gateway = await startGatewayProcess({ env: { CLAMD_PORT: `${portOf(lax.address)},${portOf(full.address)}` } });
    await eventually("both are up", async () => (await gateway.metric('clamgate_backends{state="up"}')) === 2);
    for (let scan = 0; scan < 5; scan += 1) assert.equal(await scanned(gateway.url), 406);
    // Neither of them has an official database.
    assert.deepEqual(await gateway.troubles(), ["alerts", "alike", "signatures"]);
  });
});

async function scanned(url: string): Promise<number> {
  const form = new FormData();
  form.append("file", new Blob([new Uint8Array(encryptedZip)]), "a.zip");
  return (await fetch(`${url}/v2/scan`, { method: "POST", body: form })).status;
}

async function readiness(url: string): Promise<Ready> {
  return (await (await fetch(`${url}/readyz`)).json()) as Ready;
}

function portOf(address: { readonly kind: string } & { readonly port?: number }): string {
  return `tcp://127.0.0.1:${address.port}`;
}
