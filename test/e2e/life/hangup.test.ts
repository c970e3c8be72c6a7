import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { clean, startFakeClamd } from "../../fake/clamd.ts";
import { head, keep, startFakeOrigin } from "../../fake/origin.ts";
import { givenClamd } from "../../fault/harness/given-clamd.ts";
import { scratchDirectory } from "../../scratch-directory.ts";
import { makeCertificate } from "../certificate.ts";
import { upload } from "../client.ts";
import { startGatewayProcess } from "../gateway-process.ts";
import { unknownBytes } from "../samples.ts";

describe("SIGHUP", () => {
  test("takes up routes and certificates, leaves the old ones where the file is wrong, and ends nothing", {
    timeout: 120_000,
  }, async () => {
    const released = Promise.withResolvers<void>();
    let isHeld = false;
    await using clamd = await startFakeClamd({ scan: async () => (isHeld ? released.promise.then(() => clean) : clean) });
    await using origin = await startFakeOrigin(({ path }) => keep(head(200, `Content-Length: ${path.length}`), path));
    await using directory = await scratchDirectory();
    const { cert, key } = await makeCertificate(directory.path, "first");
    const file = join(directory.path, "routes.json");
    const port = String(origin.port);
    const routes = (path: string) =>
      writeFile(
        file,
        JSON.stringify({ routes: [{ path, origin: `http://127.0.0.1:${port}/`, allowPrivate: [`127.0.0.1:${port}`] }] }),
      );
    await routes("/old/");
    const env = {
      ...givenClamd({ ports: [clamd.address.port] }),
      DOWNLOAD_ROUTES: file,
      SSL_PORT: "0",
      SSL_CERT: cert,
      SSL_KEY: key,
    };
    await using gateway = await startGatewayProcess({ env });
    await gateway.ready();
    const get = async (path: string) => {
      const answer = await fetch(`${gateway.proxyUrl}${path}`);
      return [answer.status, await answer.text()];
    };
    assert.deepEqual(await get("/old/a"), [200, "/a"]);

    // What is under way ends as it began.
    isHeld = true;
    const held = get("/old/held");
    const uploaded = upload(gateway.url, unknownBytes(100));
    await clamd.received(3);
    isHeld = false;
    await routes("/new/");
    await makeCertificate(directory.path, "second");
    gateway.signal("SIGHUP");
    await gateway.line("read anew: 1 routes");
    await gateway.line("the TLS certificate was renewed");
    assert.deepEqual(await get("/new/b"), [200, "/b"]);
    assert.equal((await get("/old/a"))[0], 400);
    released.resolve();
    assert.deepEqual(await held, [200, "/held"]);
    assert.equal((await uploaded).status, 200);

    await writeFile(file, "{ no routes");
    gateway.signal("SIGHUP");
    await gateway.line("the routes stay as they were: DOWNLOAD_ROUTES");
    assert.deepEqual(await get("/new/c"), [200, "/c"]);
    gateway.signal("SIGTERM");
    assert.equal(await gateway.ended, 0);
  });

  test("during the start neither ends it nor is lost", { timeout: 60_000 }, async () => {
    await using clamd = await startFakeClamd({ canary: () => new Promise(() => {}) });
    await using gateway = await startGatewayProcess({ env: givenClamd({ ports: [clamd.address.port] }) });
    for (let times = 0; times < 3; times += 1) gateway.signal("SIGHUP");
    await gateway.line("read anew");
    assert.equal((await fetch(`${gateway.url}/livez`)).status, 200);
  });
});
