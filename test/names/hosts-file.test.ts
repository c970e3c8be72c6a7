import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseHosts } from "../../src/names/system-files.ts";

describe("parseHosts", () => {
  test("knows names and aliases, in any case, with all their addresses in order", () => {
    const hosts = parseHosts(
      "127.0.0.1\tlocalhost\n::1 localhost ip6-localhost\n192.0.2.7  Repo.Example  repo # the mirror\r\n192.0.2.8 repo\n192.0.2.8 repo repo\n",
    );
    assert.deepEqual(hosts.get("localhost"), ["127.0.0.1", "::1"]);
    assert.deepEqual(hosts.get("ip6-localhost"), ["::1"]);
    assert.deepEqual(hosts.get("repo.example"), ["192.0.2.7"]);
    assert.deepEqual(hosts.get("repo"), ["192.0.2.7", "192.0.2.8"]);
  });

  test("passes over comments, empty lines, and what is no address", () => {
    const hosts = parseHosts(
      "# 192.0.2.1 a\n\n   \nfe80::1%lo0 a\n192.0.2.300 a\n01.2.3.4 a\n192.0.2.1\na 192.0.2.1\n192.0.2.2 b #c\n",
    );
    assert.deepEqual([...hosts], [["b", ["192.0.2.2"]]]);
  });

  test("reads a long list in little time", () => {
    const lines = Array.from({ length: 200_000 }, (_, at) => `0.0.0.0 ads${at}.example`).join("\n");
    const before = process.cpuUsage();
    assert.equal(parseHosts(lines).size, 200_000);
    const { user, system } = process.cpuUsage(before);
    assert.ok(user + system < 3_000_000, `${(user + system) / 1000} ms`);
  });

  test("reads a name with many addresses in little time", () => {
    const lines = Array.from({ length: 65_536 }, (_, at) => `10.0.${at >> 8}.${at & 255} a\n10.0.${at >> 8}.${at & 255} a`).join(
      "\n",
    );
    const before = process.cpuUsage();
    assert.equal(parseHosts(lines).get("a")?.length, 65_536);
    const { user, system } = process.cpuUsage(before);
    assert.ok(user + system < 3_000_000, `${(user + system) / 1000} ms`);
  });
});
