/** A gateway that asks who its clients are: keys and certificates, from the command that makes a key to the record of what was asked. */

import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { connect as connectHttp2 } from "node:http2";
import { request as httpsRequest } from "node:https";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { scratchDirectory } from "../scratch-directory.ts";
import { makeCertificate } from "./certificate.ts";
import { form } from "./client.ts";
import { startGatewayProcess } from "./gateway-process.ts";
import { eicar, unknownBytes } from "./samples.ts";

const main = new URL("../../src/main.ts", import.meta.url).pathname;

async function keys(file: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [main, "keys", ...args, "--file", file]);
  return stdout.trim();
}

async function scan(
  url: string,
  headers: Readonly<Record<string, string>>,
  bytes: Buffer = unknownBytes(100).bytes,
): Promise<number> {
  return (await fetch(`${url}/v3/scan?name=a.txt`, { method: "POST", headers, body: new Uint8Array(bytes) })).status;
}

async function recordIn(path: string): Promise<readonly Record<string, unknown>[]> {
  return (await readFile(path, "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

describe("a gateway with keys", () => {
  test("lets in by keys made on the command line, forgets revoked ones within 10 s, and logs none", {
    timeout: 120_000,
  }, async () => {
    await using directory = await scratchDirectory();
    const file = join(directory.path, "keys.json");
    const audit = join(directory.path, "audit.jsonl");
    const shop = await keys(file, "create", "--name", "shop");
    const away = await keys(file, "create", "--name", "away", "--from", "10.0.0.0/8");
    const old = await keys(file, "create", "--name", "old", "--not-after", "2020-01-01T00:00:00Z");
    const watcher = await keys(file, "create", "--name", "watcher", "--scopes", "status");
    const env = { AUTH: "keys", API_KEYS_FILE: file, AUDIT: audit, LOG_LEVEL: "debug", METRICS_AUTH: "no" };
    await using gateway = await startGatewayProcess({ env });
    await gateway.ready();
    const { url } = gateway;
    const basic = Buffer.from(`any:${shop}`).toString("base64");

    assert.equal(await scan(url, {}), 401);
    assert.equal(await scan(url, { authorization: `Bearer ${shop.slice(0, -1)}` }), 401);
    assert.equal(await scan(url, { "x-api-key": old }), 401);
    assert.equal(await scan(url, { "x-api-key": away }), 403);
    assert.equal(await scan(url, { "x-api-key": watcher }), 403);
    assert.equal(await scan(url, { authorization: `Bearer ${shop}` }), 200);
    assert.equal(await scan(url, { "x-api-key": shop }, eicar.bytes), 406);
    assert.equal(await scan(url, { authorization: `Basic ${basic}` }), 200);
    const { body, contentType } = form(eicar);
    const upload = await fetch(`${url}/v2/scan`, {
      method: "POST",
      headers: { "x-api-key": shop, "content-type": contentType },
      body: new Uint8Array(body),
    });
    assert.equal(upload.status, 406);
    assert.equal((await fetch(`${url}/v3/scan?key=${shop}`, { method: "POST", body: "x" })).status, 401);
    assert.equal((await fetch(`${url}/livez`)).status, 200);
    assert.equal((await fetch(`${url}/version`, { headers: { "x-api-key": watcher } })).status, 200);
    assert.equal((await fetch(gateway.proxyUrl, { headers: { "x-api-key": shop } })).status, 403, "no scope for downloads");

    // A broken file leaves the keys; a revoked one is refused.
    const good = await readFile(file, "utf8");
    await writeFile(file, good.slice(0, -20));
    await gateway.line("API_KEYS_FILE cannot be used");
    assert.equal(await scan(url, { "x-api-key": shop }), 200);
    assert.ok((await gateway.metric("clamgate_key_file_errors_total")) >= 1);
    await writeFile(file, good);
    await keys(file, "revoke", shop.slice(4, 12));
    const revokedAt = performance.now();
    while ((await scan(url, { "x-api-key": shop })) === 200) await delay(100);
    assert.ok(performance.now() - revokedAt < 10_000);

    const record = await recordIn(audit);
    const told = record.map(({ event, who, status, reason, verdict }) => [event, who, status, reason, verdict]);
    const [shopId, awayId, oldId, watcherId] = [shop, away, old, watcher].map((key) => key.slice(4, 12));
    for (const expected of [
      ["request", null, 401, "no-credentials", undefined],
      ["request", null, 401, "unknown", undefined],
      ["request", oldId, 401, "expired", undefined],
      ["request", awayId, 403, "network", undefined],
      ["request", watcherId, 403, "scope", undefined],
      ["scan", shopId, 200, undefined, "clean"],
      ["scan", shopId, 406, undefined, "infected"],
    ]) {
      assert.ok(
        told.some((line) => JSON.stringify(line) === JSON.stringify(expected)),
        JSON.stringify(expected),
      );
    }
    assert.deepEqual(
      record.filter(({ event }) => event === "keys-changed").map(({ removed }) => removed),
      [[shopId]],
    );

    gateway.signal("SIGTERM");
    await gateway.ended;
    const written = gateway.lines.join("\n") + (await readFile(audit, "utf8"));
    for (const secret of [shop, away, old, watcher]) assert.ok(!written.includes(secret.slice(13, -1)), "a key is in a log");
    assert.ok(!written.includes(basic));
  });

  test("judges nothing that it cannot record", { timeout: 60_000 }, async () => {
    await using gateway = await startGatewayProcess({
      env: { AUDIT: "/dev/full", AUDIT_REQUIRED: "yes", DOWNLOAD_PROXY_PORT: "off" },
    });
    await gateway.ready();
    assert.equal(await scan(gateway.url, {}), 503);
    assert.equal((await fetch(`${gateway.url}/version`)).status, 503);
    assert.equal((await fetch(`${gateway.url}/livez`)).status, 200);
  });

  for (const [env, fault] of [
    [{ AUTH: "keys" }, "API_KEYS_FILE must name the file of the clients"],
    [{ AUTH: "keys", API_KEYS_FILE: "/nowhere/keys.json" }, "API_KEYS_FILE: /nowhere/keys.json cannot be used (ENOENT)"],
    [{ AUDIT: "/nowhere/audit" }, "AUDIT: /nowhere/audit cannot be written (ENOENT)"],
  ] as const) {
    test(`does not start with ${JSON.stringify(env)}`, async () => {
      await assert.rejects(startGatewayProcess({ env }), (error: Error) => error.message.includes(fault));
    });
  }

  test("says at its start that it is open, unless nobody else can reach it", { timeout: 60_000 }, async () => {
    const warning = "whoever reaches the ports may use them";
    await using open = await startGatewayProcess({ env: { HOST: "0.0.0.0", DOWNLOAD_PROXY_PORT: "off" } });
    await open.line(warning);
    await using closed = await startGatewayProcess({ env: { DOWNLOAD_PROXY_PORT: "off" } });
    assert.ok(!closed.lines.some((line) => line.includes(warning)));
  });
});

/** An authority, and certificates of it. */
async function makeAuthority(directory: string, name: string) {
  const [key, cert] = [join(directory, `${name}.key`), join(directory, `${name}.pem`)];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const quiet = { stdio: "ignore" } as const;
  execFileSync("openssl", ["req", "-x509", ...curve, "-days", "2", "-subj", `/CN=${name}`, "-keyout", key, "-out", cert], quiet);
  return {
    cert,
    async issue(client: string, san: string, days = "1") {
      const [own, asked, issued] = ["key", "csr", "pem"].map((kind) => join(directory, `${name}-${client}.${kind}`)) as [
        string,
        string,
        string,
      ];
      execFileSync(
        "openssl",
        ["req", ...curve, "-subj", `/CN=${client}`, "-addext", `subjectAltName=${san}`, "-keyout", own, "-out", asked],
        quiet,
      );
      const signed = [
        "x509",
        "-req",
        "-in",
        asked,
        "-CA",
        cert,
        "-CAkey",
        key,
        "-CAcreateserial",
        "-copy_extensions",
        "copyall",
        "-days",
        days,
        "-out",
        issued,
      ];
      execFileSync("openssl", signed, quiet);
      return { key: await readFile(own, "utf8"), cert: await readFile(issued, "utf8") };
    },
  };
}

type Shown = { readonly key: string; readonly cert: string } | null;

describe("a gateway with certificates", () => {
  test("knows its clients by their names, directly and through a proxy that it trusts", { timeout: 120_000 }, async () => {
    await using directory = await scratchDirectory();
    const file = join(directory.path, "keys.json");
    await keys(file, "create", "--name", "shop", "--san", "spiffe://shop");
    await keys(file, "create", "--name", "reader", "--san", "reader.example", "--scopes", "status");
    const key = await keys(file, "create", "--name", "keyed");
    const [ours, theirs] = [await makeAuthority(directory.path, "ours"), await makeAuthority(directory.path, "theirs")];
    const shop = await ours.issue("shop", "URI:spiffe://shop,DNS:shop.example");
    const reader = await ours.issue("reader", "DNS:Reader.example");
    const disguised = await ours.issue("disguised", "DNS:other.example,email:reader.example@x.example");
    const stranger = await theirs.issue("shop", "URI:spiffe://shop");
    const { cert, key: serverKey } = await makeCertificate(directory.path);
    const env = {
      AUTH: "keys,mtls",
      API_KEYS_FILE: file,
      SSL_CLIENT_CA: ours.cert,
      SSL_PORT: "0",
      SSL_CERT: cert,
      SSL_KEY: serverKey,
      TRUSTED_PROXIES: "127.0.0.2",
      DOWNLOAD_PROXY_PORT: "off",
    };
    await using gateway = await startGatewayProcess({ env });
    await gateway.ready();
    const secure = gateway.urls.find((one) => one.startsWith("https:")) ?? assert.fail();

    const ask = (
      shown: Shown,
      path: string,
      headers: Readonly<Record<string, string>> = {},
      from = "127.0.0.1",
    ): Promise<number> =>
      new Promise((resolve, reject) => {
        const options = { ...shown, rejectUnauthorized: false, agent: false, headers, localAddress: from };
        httpsRequest(`${secure}${path}`, options, (response) => resolve(response.resume().statusCode ?? 0))
          .on("error", reject)
          .end();
      });

    const askHttp2 = async (shown: Shown, path: string): Promise<number> => {
      const session = connectHttp2(secure, { ...shown, rejectUnauthorized: false });
      try {
        const stream = session.request({ ":path": path });
        const [headers] = await once(stream.resume(), "response");
        return Number(headers[":status"]);
      } finally {
        session.destroy();
      }
    };

    const digest = `/v3/verdicts/${"0".repeat(64)}`; // 404: nothing is known of it, and who asks was let in
    assert.equal(await ask(shop, digest), 404);
    assert.equal(await ask(shop, "/version"), 403);
    assert.equal(await ask(reader, "/version"), 200);
    assert.equal(await ask(disguised, "/version"), 403);
    assert.equal(await ask(stranger, digest), 401);
    assert.equal(await ask(null, digest), 401);
    assert.equal(await ask(null, "/livez"), 200);
    assert.equal(await askHttp2(shop, digest), 404);
    assert.equal(await askHttp2(stranger, digest), 401);
    assert.equal(await askHttp2(null, digest), 401);
    assert.equal(await ask(null, digest, { "x-api-key": key }), 404);
    assert.equal(await ask(shop, digest, { "x-api-key": `${key}x` }), 401, "what is shown counts, and it is wrong");

    const field = (pem: string) => `:${pem.replace(/-----.*-----|\s/g, "")}:`;
    const through = { "client-cert": field(shop.cert) };
    assert.equal(await ask(null, digest, through, "127.0.0.2"), 404);
    assert.equal(await ask(null, digest, through), 401, "from anybody else it is not believed");
    assert.equal(await ask(reader, digest, through), 403, "nor beside a certificate of its own");
    assert.equal(await ask(null, "/version", { "client-cert": field(reader.cert) }, "127.0.0.2"), 200);
    for (const broken of [":AAAA:", "AAAA", `${field(shop.cert)}x`, ""]) {
      assert.equal(await ask(null, digest, { "client-cert": broken }, "127.0.0.2"), 401, broken);
    }
    const twice = { "client-cert": [field(shop.cert), field(reader.cert)] } as unknown as Record<string, string>;
    assert.equal(await ask(null, digest, twice, "127.0.0.2"), 400);
  });
});
