import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { configInImage, deployDirectory, isWritable, writtenDirectories } from "./image.ts";
import { readOneYaml } from "./yaml-file.ts";

const squidConf = new URL("squid/squid.conf", deployDirectory);

for (const [file, client, port] of [
  ["compose.icap.yaml", "squid", "127.0.0.1:3128:3128"],
  ["compose.nextcloud.yaml", "nextcloud", "127.0.0.1:8082:80"],
] as const) {
  const compose = readOneYaml(file);
  const gateway = compose.at("services", "clamgate");
  const config = configInImage(gateway.at("environment").texts());

  describe(file, () => {
    test("publishes the client for this machine alone, and the gateway not at all", () => {
      assert.deepEqual(compose.at("services", client, "ports").value, [port]);
      assert.equal(compose.find("services", "clamgate", "ports"), null);
      assert.equal(config.DOWNLOAD_PROXY_PORT, null);
    });

    test("has the ICAP server where its client looks for it", () => assert.equal(config.ICAP_PORT, 1344));

    test("keeps what the gateway writes in a volume", () => {
      const [volume] = gateway.at("volumes").items();
      const [, path = ""] = (volume?.text() ?? "").split(":");
      for (const written of writtenDirectories(config)) assert.ok(isWritable(written, [{ path, isReadOnly: false }]), written);
    });
  });
}

describe("compose.icap.yaml", () => {
  test("asks on the path whose failures are pages", () => {
    const config = configInImage(readOneYaml("compose.icap.yaml").at("services", "clamgate", "environment").texts());
    const asked = [...readFileSync(squidConf, "utf8").matchAll(/icap:\/\/clamgate:(\d+)\/(\S+) bypass=off/g)];
    assert.deepEqual(
      asked.map(([, port, path]) => [port, path]),
      [
        ["1344", "proxy"],
        ["1344", "proxy"],
      ],
    );
    assert.equal(config.ICAP_ON_ERROR.forPath.get("proxy"), "page");
  });

  test("has a squid.conf that Squid reads", async () => {
    const env = { PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` };
    const { stderr } = await promisify(execFile)("squid", ["-k", "parse", "-f", squidConf.pathname], { env });
    assert.doesNotMatch(stderr, /ERROR|FATAL|UNRECOGNIZED|Bungled/i);
  });
});

describe("compose.nextcloud.yaml", () => {
  test("has every failure refused by a reset: Nextcloud takes a page for clean", () => {
    const config = configInImage(readOneYaml("compose.nextcloud.yaml").at("services", "clamgate", "environment").texts());
    assert.equal(config.ICAP_ON_ERROR.forAll, "reset");
    assert.equal(config.ICAP_ON_ERROR.forPath.size, 0);
  });
});
