import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseKeyFile } from "../../src/auth/key-file.ts";

const digest = "ab".repeat(32);
const least = { id: "7hq2m4xd", name: "shop", sha256: digest, scopes: ["scan"] };

function faultsOf(...entries: readonly unknown[]): readonly string[] {
  return faultsIn(JSON.stringify({ keys: entries }));
}

function faultsIn(text: string): readonly string[] {
  const file = parseKeyFile(text);
  return file.kind === "faults" ? file.faults : [];
}

describe("parseKeyFile", () => {
  test("reads an entry with all that it may have", () => {
    const file = parseKeyFile(
      JSON.stringify({
        keys: [
          {
            ...least,
            scopes: ["scan", "jobs"],
            notAfter: "2027-06-01T00:00:00Z",
            from: ["10.0.0.0/8"],
            san: "spiffe://shop",
            limits: { requests: "100/1s", bytes: "500M/10s", concurrent: 20 },
            quota: { bytes: "5T/30d" },
            priority: "batch",
            webhook: { urls: ["https://shop.example/"], secrets: ["whsec_AAAA"] },
          },
        ],
      }),
    );
    assert.deepEqual(file, {
      kind: "entries",
      entries: [
        {
          client: {
            id: "7hq2m4xd",
            name: "shop",
            scopes: new Set(["scan", "jobs"]),
            limits: {
              requests: { amount: 100, windowMs: 1000 },
              bytes: { amount: 500_000_000, windowMs: 10_000 },
              concurrent: 20,
            },
            quota: { bytes: { amount: 5_000_000_000_000, windowMs: 30 * 86_400_000 } },
            priority: "batch",
          },
          sha256: Buffer.from(digest, "hex"),
          san: "URI:spiffe://shop",
          notAfter: Date.parse("2027-06-01T00:00:00Z"),
          from: [{ network: { text: "10.0.0.0", family: 4 }, bits: 8 }],
        },
      ],
    });
  });

  test("takes no entry at all, and one that comes by its certificate alone", () => {
    assert.deepEqual(parseKeyFile('{"keys":[]}'), { kind: "entries", entries: [] });
    assert.deepEqual(faultsOf({ id: "aaaaaaaa", name: "n", san: "shop.example", scopes: ["scan"] }), []);
  });

  for (const [name, entry, fault] of [
    ["a misspelt field", { ...least, form: ["10.0.0.0/8"] }, 'it has a field "form", and there is no such field'],
    [
      "a misspelt limit",
      { ...least, limits: { request: "1/1s" } },
      'it has a field "limits.request", and there is no such field',
    ],
    ["no id", { ...least, id: undefined }, "`id` is missing: 8 of 0-9 and a-z"],
    ["a wrong id", { ...least, id: "7HQ2M4XD" }, "`id` must be 8 of 0-9 and a-z"],
    ["a name with a line break", { ...least, name: "a\nb" }, "`name` must be 1 to 100 characters, none of them a control"],
    ["a digest that is too short", { ...least, sha256: digest.slice(1) }, "`sha256` must be 64 hexadecimal digits"],
    ["neither digest nor san", { ...least, sha256: undefined }, "it needs `sha256`, `san`, or both"],
    ["no scope", { ...least, scopes: [] }, "`scopes` must be a list of scan, scan:path, jobs, status, mirror, admin"],
    [
      "an unknown scope",
      { ...least, scopes: ["scan", "all"] },
      "`scopes` must be a list of scan, scan:path, jobs, status, mirror, admin",
    ],
    [
      "a range with bits behind it",
      { ...least, from: ["10.0.0.1/8"] },
      "`from` must be a list of addresses and ranges as `10.0.0.0/8`",
    ],
    ["an empty list of ranges", { ...least, from: [] }, "`from` must be a list of addresses and ranges as `10.0.0.0/8`"],
    ["ranges that are null", { ...least, from: null }, "`from` must be a list of addresses and ranges as `10.0.0.0/8`"],
    [
      "a time without a zone",
      { ...least, notAfter: "2027-06-01T00:00:00" },
      "`notAfter` must be a time as `2027-06-01T00:00:00Z`",
    ],
    ["a day that is none", { ...least, notAfter: "2027-02-31T25:00:00Z" }, "`notAfter` must be a time as `2027-06-01T00:00:00Z`"],
    [
      "a rate without a time",
      { ...least, limits: { requests: "100" } },
      "`limits.requests` must be a count and a time, as `100/1s`",
    ],
    [
      "requests in megabytes",
      { ...least, limits: { requests: "1M/1s" } },
      "`limits.requests` must be a count and a time, as `100/1s`",
    ],
    ["nothing at once", { ...least, limits: { concurrent: 0 } }, "`limits.concurrent` must be a whole number from 1 to 1000000"],
    [
      "a quota without bytes",
      { ...least, quota: {} },
      "`quota.bytes` is missing: a size and a time, as `500M/10s` (decimal: M is 1000000)",
    ],
    ["another priority", { ...least, priority: "high" }, "`priority` must be interactive or batch"],
    [
      "a secret in the wrong place",
      { ...least, whsec_AAAA: 1 },
      "it has a field that is not fit to be shown, and there is no such field",
    ],
    ["no object", "cgk_7hq2m4xd_secret", "it is no object"],
  ] as const) {
    test(`refuses ${name}`, () => {
      const [first = "", ...others] = faultsOf({ ...least, id: "aaaaaaaa" }, entry);
      assert.ok(first?.startsWith("entry 2"), first);
      assert.ok(first.endsWith(`: ${fault}`), first);
      assert.ok(others.length === 0 || entry === "cgk_7hq2m4xd_secret");
    });
  }

  test("refuses an id and a certificate name that stand there twice", () => {
    assert.deepEqual(faultsOf(least, { ...least, name: "other" }), ["entry 2 (7hq2m4xd): `id` is that of another entry"]);
    const named = { ...least, san: "Shop.example" };
    assert.deepEqual(faultsOf(named, { ...least, id: "aaaaaaaa", san: "shop.EXAMPLE" }), [
      "entry 2 (aaaaaaaa): `san` is that of another entry",
    ]);
  });

  test("says the line of a fault of syntax, and nothing that stands there", () => {
    const lines = ['{"keys":[', `{"id":"7hq2m4xd","name":"shop","sha256":"${digest}","scopes":["scan"]},`, "cgk_secret", "]}"];
    assert.deepEqual(faultsIn(lines.join("\n")), ["line 3 is not JSON"]);
    assert.deepEqual(faultsIn(lines.slice(0, 2).join("\n")), ["the file ends early, at line 2"]);
    assert.deepEqual(faultsIn('{"keys":[\n{"a":"whsec_b\n"}]}'), ["line 2 is not JSON"]);
    assert.deepEqual(faultsIn("whsec_AAAA"), ["line 1 is not JSON"]);
    assert.deepEqual(faultsIn(" \n"), ["the file is empty"]);
    assert.deepEqual(faultsIn("[]"), ['the file must be `{"keys":[…]}`']);
    assert.deepEqual(faultsIn('{"keys":[],"key":[]}'), ['the file has a field "key" beside "keys"']);
  });

  test("shows no more faults than a person reads", () => {
    const faults = faultsOf(...Array.from({ length: 50 }, () => ({})));
    assert.equal(faults.length, 21);
    assert.match(faults.at(-1) ?? "", /^and \d+ more$/);
  });
});
