import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { namesToAsk, parseSearchList } from "../../src/names/system-files.ts";
import { costMs } from "../cost.ts";

const read = (text: string, { hostName = "box", environment = {} } = {}) => parseSearchList(text, { hostName, environment });

describe("parseSearchList", () => {
  test("has nothing to search and one dot by default, or the machine's own domain", () => {
    assert.deepEqual(read(""), { domains: [], ndots: 1 });
    assert.deepEqual(read("nameserver 192.0.2.1\n", { hostName: "box.corp.example" }), { domains: ["corp.example"], ndots: 1 });
  });

  test("reads what Kubernetes writes", () => {
    const text =
      "search ns.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5 edns0 timeout:2\n";
    assert.deepEqual(read(text), { domains: ["ns.svc.cluster.local", "svc.cluster.local", "cluster.local"], ndots: 5 });
  });

  test("takes the last of search and domain, and passes over comments and what it does not know", () => {
    assert.deepEqual(read("search a.example\n# search b.example\n;x\nsortlist 1\ndomain C.example. d.example\n").domains, [
      "c.example",
    ]);
    assert.deepEqual(read("domain a.example\r\nsearch\tb.example  c.example\r\n").domains, ["b.example", "c.example"]);
  });

  test("caps ndots as glibc does, and keeps it where it is no number", () => {
    assert.equal(read("options ndots:99\n").ndots, 15);
    assert.equal(read("options ndots:0\n").ndots, 0);
    assert.equal(read("options ndots:x ndots:\noptions rotate\n").ndots, 1);
  });

  test("lets the environment have the last word", () => {
    const environment = { LOCALDOMAIN: "x.example y.example", RES_OPTIONS: "ndots:1 attempts:1" };
    assert.deepEqual(read("search a.example\noptions ndots:5\n", { environment }), {
      domains: ["x.example", "y.example"],
      ndots: 1,
    });
  });

  test("reads a name of dots at once", () => {
    const cost = costMs(() => assert.equal(read(`search ${".".repeat(50_000)}a a...`).domains.at(-1), "a"));
    assert.ok(cost < 500, `${cost} ms`);
  });
});

describe("namesToAsk", () => {
  const cluster = { domains: ["svc.cluster.local", "cluster.local"], ndots: 5 };

  test("searches first for a name with few dots", () => {
    assert.deepEqual(namesToAsk("pypi.org", cluster), ["pypi.org.svc.cluster.local", "pypi.org.cluster.local", "pypi.org"]);
  });

  test("asks as it is first for a name with ndots dots", () => {
    assert.deepEqual(namesToAsk("a.b.c.d.e.f", cluster)[0], "a.b.c.d.e.f");
    assert.equal(namesToAsk("a.b.c.d.e.f", cluster).length, 3);
    assert.equal(namesToAsk("a.b.c.d.e", cluster)[0], "a.b.c.d.e.svc.cluster.local");
  });

  test("asks for a name with a last dot as it is only, and for none twice", () => {
    assert.deepEqual(namesToAsk("pypi.org.", cluster), ["pypi.org"]);
    assert.deepEqual(namesToAsk("pypi.org", { domains: ["", "a.example", "a.example"], ndots: 1 }), [
      "pypi.org",
      "pypi.org.a.example",
    ]);
  });
});
