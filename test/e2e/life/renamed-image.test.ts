import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { freePort } from "../../live/free-port.ts";
import { startGatewayProcess } from "../gateway-process.ts";
import { eicar } from "../samples.ts";

describe("the gateway under the settings of clamav-rest's image", { timeout: 120_000 }, () => {
  const combinations: readonly (readonly [env: Readonly<Record<string, string>>, warnings: readonly string[]])[] = [
    [{ MAX_FILE_SIZE: "200M" }, ["MAX_SCAN_SIZE=100M is run as 200M, to hold MAX_FILE_SIZE=200M."]],
    [{ MAX_SCAN_SIZE: "10M" }, ["MAX_SCAN_SIZE=10M is run as 25M, to hold MAX_FILE_SIZE=25M."]],
    [
      { MAX_FILE_SIZE: "0", MAX_SCAN_SIZE: "4G", MAX_FILES: "0", MAX_RECURSION: "0", MAX_PARTITIONS: "0", MAX_ZIPTYPERCG: "5G" },
      ["MAX_FILE_SIZE=0 is run as 2047M", "MAX_RECURSION=0 is run as 17, MAX_PARTITIONS=0 is run as 50"],
    ],
    [
      {
        MAX_FILE_SIZE: '"50M"',
        PROXY_PORT: "tcp://10.0.0.7:3128",
        PROXY_USERNAME: "av",
        ALLOW_ORIGINS: "https://a.example, https://b.example",
      },
      ["PROXY_PORT, PROXY_USERNAME are ignored without PROXY_SERVER."],
    ],
  ];
  test("starts with one port for both where there is no certificate, as that image does without mounts", async () => {
    const port = String(await freePort());
    await using gateway = await startGatewayProcess({ env: { PORT: port, SSL_PORT: port, SSL_CERT: "/nowhere/server.crt" } });
    await gateway.line("TLS is off");
    assert.equal(String(gateway.port), port);
  });

  for (const [env, warnings] of combinations) {
    test(`starts and scans with ${Object.entries(env).flat().join(" ")}`, async () => {
      await using gateway = await startGatewayProcess({ env });
      await gateway.ready();
      for (const warning of warnings) assert.match(await gateway.line(warning), /"level":"warn"/);
      const answer = await fetch(`${gateway.url}/scanHandlerBody`, { method: "POST", body: new Uint8Array(eicar.bytes) });
      assert.equal(answer.status, 406);
    });
  }
});
