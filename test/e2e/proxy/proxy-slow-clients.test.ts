import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ok } from "../../fake/origin.ts";
import { RawClient } from "../../front/proxy/raw-client.ts";
import { unknownBytes } from "../samples.ts";
import { openDownloads } from "./proxy-stage.ts";

describe("clients that do not read", () => {
  test("of a file that is known leave places at its origin to everybody else", async () => {
    await using stage = await openDownloads({
      DOWNLOAD_MODE: "verified-stream",
      DOWNLOAD_MAX_PER_ORIGIN: "4",
      MAX_FILE_SIZE: "25M",
    });
    const { bytes } = unknownBytes(20_000_000);
    stage.files.set("/known.bin", () => ok(bytes));
    stage.files.set("/other.bin", () => ok("other"));
    const on = ["Cache-Scan: True"];
    assert.equal((await stage.get("/known.bin", on)).status, 200);
    const slow = Array.from({ length: 6 }, () => new RawClient(stage.gateway.proxyPort));
    try {
      for (const client of slow) {
        client.socket.once("data", () => client.socket.pause());
        client.send(stage.text("/known.bin", on));
        await client.until((received) => received.length > 0);
      }
      assert.equal((await stage.get("/other.bin", on)).status, 200);
      assert.ok((await stage.get("/known.bin", on)).body.equals(bytes));
    } finally {
      for (const client of slow) client[Symbol.dispose]();
    }
  });
});
