import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseIpRange } from "../../src/codec/ip-address.ts";
import { clientAddress, type Forwarding } from "../../src/http/client-address.ts";

const trusted = ["10.0.0.0/8", "fd00::/8"].flatMap((text) => parseIpRange(text) ?? []);

function from(headers: Forwarding, peer = "10.0.0.1"): string {
  return clientAddress(peer, headers, trusted);
}

describe("clientAddress", () => {
  test("is the peer where nobody is trusted, or the peer is not", () => {
    const headers = { "x-forwarded-for": "192.0.2.7" };
    assert.equal(clientAddress("10.0.0.1", headers, []), "10.0.0.1");
    assert.equal(from(headers, "203.0.113.9"), "203.0.113.9");
    assert.equal(from({}), "10.0.0.1");
    assert.equal(from({}, "::ffff:10.0.0.1"), "10.0.0.1");
    assert.equal(from({}, ""), "");
  });

  test("is the last address that is no trusted proxy's", () => {
    for (const [list, client] of [
      ["192.0.2.7", "192.0.2.7"],
      ["198.51.100.1, 192.0.2.7", "192.0.2.7"],
      ["192.0.2.7, 10.0.0.2", "192.0.2.7"],
      ["10.9.9.9,10.0.0.2", "10.9.9.9"],
      ["192.0.2.7:4711", "192.0.2.7"],
      ["2001:db8::1", "2001:db8::1"],
      ["[2001:db8::1]:4711", "2001:db8::1"],
      ["192.0.2.7, unknown", "10.0.0.1"],
      ["192.0.2.7, <script>", "10.0.0.1"],
      ["", "10.0.0.1"],
      [Array.from({ length: 100 }, () => "10.0.0.3").join(), "10.0.0.3"],
    ] as const) {
      assert.equal(from({ "x-forwarded-for": list }), client, list);
    }
  });

  test("reads Forwarded as RFC 7239 has it", () => {
    for (const [header, client] of [
      ["for=192.0.2.7", "192.0.2.7"],
      ["for=198.51.100.1, FOR=192.0.2.7;proto=https;by=10.0.0.1", "192.0.2.7"],
      ['for="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::17"],
      ["by=10.0.0.1", "10.0.0.1"],
      ["for=_hidden", "10.0.0.1"],
      ["for=unknown", "10.0.0.1"],
    ] as const) {
      assert.equal(from({ forwarded: header }), client, header);
    }
  });

  test("believes neither header where they disagree: one of them may be the client's own", () => {
    assert.equal(from({ forwarded: "for=198.51.100.1", "x-forwarded-for": "192.0.2.7" }), "10.0.0.1");
    assert.equal(from({ forwarded: "for=192.0.2.7", "x-forwarded-for": "192.0.2.7" }), "192.0.2.7");
  });
});
