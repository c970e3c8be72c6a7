import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { configInImage, deployDirectory } from "./image.ts";
import { readOneYaml } from "./yaml-file.ts";

const read = (name: string) => readFileSync(new URL(name, deployDirectory), "utf8");

describe("the Compose files for the clamd door", () => {
  for (const [name, client, onError] of [
    ["compose.rspamd.yaml", "rspamd", "close"],
    ["compose.nextcloud-clamd.yaml", "nextcloud", "found"],
  ] as const) {
    test(`${name} opens the door to the compose network alone, and answers failures as ${client} needs it`, () => {
      const compose = readOneYaml(name);
      const clamgate = compose.at("services", "clamgate");
      assert.deepEqual(clamgate.at("extends").value, { file: "compose.yaml", service: "clamgate" });
      const config = configInImage(clamgate.at("environment").texts());
      assert.deepEqual(config.CLAMD_LISTEN, [{ kind: "tcp", host: "0.0.0.0", port: 3310, onError }]);
      assert.deepEqual(config.CLAMD_ALLOW_FROM, [{ kind: "private" }]);
      assert.equal(clamgate.find("ports"), null);
      assert.deepEqual(compose.at("services", client, "depends_on").value, { clamgate: { condition: "service_healthy" } });
    });
  }

  test("have their clients' limits on the right side of the gateway's", () => {
    const limitOf = (name: string) =>
      configInImage(readOneYaml(name).at("services", "clamgate", "environment").texts()).MAX_FILE_SIZE;
    const maxSize = Number(/max_size = (\d+);/.exec(read("rspamd/antivirus.conf"))?.[1]);
    assert.ok(maxSize > 0 && maxSize < limitOf("compose.rspamd.yaml"));
    const stream = Number(/av_stream_max_length --value (\d+)/.exec(read("nextcloud-clamd/enable-antivirus"))?.[1]);
    assert.ok(stream > limitOf("compose.nextcloud-clamd.yaml"));
  });

  test("name the gateway and its port to their clients", () => {
    assert.match(read("rspamd/antivirus.conf"), /servers = "clamgate:3310";/);
    assert.match(read("nextcloud-clamd/enable-antivirus"), /av_host --value clamgate\n.*av_port --value 3310\n/);
  });
});
