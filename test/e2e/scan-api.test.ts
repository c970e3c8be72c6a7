/** nginx and Caddy in front of a gateway by the files of deploy/: large uploads pass, clients are known by their own address, and the rest is closed. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { startCaddy } from "../live/balancers.ts";
import { freePort } from "../live/free-port.ts";
import { startNginx } from "../live/nginx.ts";
import { upload } from "./client.ts";
import { startGatewayProcess } from "./gateway-process.ts";
import { eicar, unknownBytes } from "./samples.ts";

type Front = (port: number, gateway: number) => Promise<AsyncDisposable>;

async function filledIn(file: string, listen: string, here: string, gateway: number): Promise<string> {
  const text = await readFile(new URL(`../../deploy/${file}`, import.meta.url), "utf8");
  for (const needed of [listen, "127.0.0.1:9000"]) assert.ok(text.includes(needed), needed);
  return text.replace(listen, here).replaceAll("127.0.0.1:9000", `127.0.0.1:${gateway}`);
}

const nginx: Front = async (port, gateway) => {
  return await startNginx(await filledIn("nginx/scan-api.conf", "listen 8000", `listen 127.0.0.1:${port}`, gateway), [port]);
};

const caddy: Front = async (port, gateway) => {
  const conf = await filledIn("caddy/Caddyfile", "\n:8000 {", `\n{\n\tadmin off\n}\nhttp://127.0.0.1:${port} {`, gateway);
  return await startCaddy(conf, `http://127.0.0.1:${port}/`);
};

describe("a scan API", () => {
  for (const [name, front] of [
    ["nginx", nginx],
    ["Caddy", caddy],
  ] as const) {
    test(`behind ${name} takes 20 MB, knows its clients, and shows nothing else`, { timeout: 120_000 }, async () => {
      await using gateway = await startGatewayProcess({ env: { TRUSTED_PROXIES: "127.0.0.1", DOWNLOAD_PROXY_PORT: "off" } });
      await gateway.ready();
      const port = await freePort();
      await using _front = await front(port, gateway.port);
      const url = `http://127.0.0.1:${port}`;
      assert.equal((await upload(url, unknownBytes(20_000_000))).status, 200);
      const infected = await upload(url, eicar);
      assert.equal(infected.status, 406);
      assert.equal((await upload(url, unknownBytes(26 * 1024 * 1024))).status, 413);
      const body = await fetch(`${url}/scanHandlerBody`, {
        method: "POST",
        body: "x",
        headers: { "x-request-id": `by-${name}`, forwarded: "for=203.0.113.66" },
      });
      assert.equal(body.status, 200);
      // The test itself connects from a trusted address.
      assert.match(await gateway.line(`"id":"by-${name}"`), /"client":"127\.0\.0\.1"/);
      for (const path of ["/metrics", "/readyz", "/scanFile?path=/etc/passwd", "/"]) {
        assert.equal((await fetch(`${url}${path}`)).status, 404, path);
      }
    });
  }
});
