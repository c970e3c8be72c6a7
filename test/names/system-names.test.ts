import assert from "node:assert/strict";
import { lookup } from "node:dns/promises";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { createSystemNames, type SystemNamesOptions } from "../../src/names/system-names.ts";
import { asyncCostMs } from "../cost.ts";
import { type NameServer, type Script, startNameServer } from "../fake/name-server.ts";
import { eventually } from "../process/stage.ts";

interface Given extends Partial<Pick<SystemNamesOptions, "platform" | "isIpv6First" | "getaddrinfo">> {
  readonly script?: Script;
  /** More servers, asked behind the first. */
  readonly others?: readonly NameServer[];
  readonly hosts?: string;
  readonly resolvConf?: string;
  readonly nsswitch?: string;
}

async function systemOf(given: Given) {
  const directory = await mkdtemp(join(tmpdir(), "clamgate-names-"));
  const paths = {
    hosts: join(directory, "hosts"),
    resolvConf: join(directory, "resolv.conf"),
    nsswitch: join(directory, "nsswitch.conf"),
  };
  if (given.hosts !== undefined) await writeFile(paths.hosts, given.hosts);
  if (given.resolvConf !== undefined) await writeFile(paths.resolvConf, given.resolvConf);
  if (given.nsswitch !== undefined) await writeFile(paths.nsswitch, given.nsswitch);
  const server = await startNameServer(given.script ?? (() => "nxdomain"));
  const resolve = createSystemNames({
    paths,
    servers: [server, ...(given.others ?? [])].map(({ address }) => address),
    hostName: "box",
    environment: {},
    isIpv6First: given.isIpv6First ?? (() => false),
    platform: given.platform ?? "linux",
    getaddrinfo: given.getaddrinfo ?? (() => assert.fail("the system is not asked")),
  });
  return {
    resolve: (name: string, signal = new AbortController().signal, client = "192.0.2.1") => resolve(name, client, signal),
    paths,
    server,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await rm(directory, { recursive: true });
    },
  };
}

/** Of what is called off: the next server, were it asked, would be waited for eight seconds. */
const promptMs = 2000;

const failsAs = (code: string) => (error: unknown) => error instanceof Error && "code" in error && error.code === code;

describe("names in DNS", () => {
  test("have all their addresses, the family that leads somewhere first", async () => {
    const script: Script = (_name, kind) => (kind === "A" ? ["192.0.2.1", "192.0.2.2"] : ["2001:db8::1"]);
    await using four = await systemOf({ script });
    assert.deepEqual(await four.resolve("Both.Example"), ["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
    assert.deepEqual([...four.server.asked].sort(), ["udp A both.example", "udp AAAA both.example"]);
    await using six = await systemOf({ script, isIpv6First: () => true });
    assert.deepEqual(await six.resolve("both.example"), ["2001:db8::1", "192.0.2.1", "192.0.2.2"]);
  });

  for (const missing of [[], "servfail", "nxdomain", "silent"] as const) {
    test(`have the addresses of one family where the other is ${missing.length === 0 ? "not there" : missing}`, async () => {
      for (const there of ["A", "AAAA"]) {
        const address = there === "A" ? "192.0.2.1" : "2001:db8::1";
        await using system = await systemOf({ script: (_name, kind) => (kind === there ? [address] : missing) });
        assert.deepEqual(await system.resolve("one.example"), [address]);
      }
    });
  }

  test("come whole over TCP where UDP has cut them off", async () => {
    const many = Array.from({ length: 200 }, (_, at) => `192.0.2.${at}`);
    await using system = await systemOf({ script: (_name, kind) => (kind === "A" ? { truncated: many } : []) });
    assert.deepEqual(await system.resolve("many.example"), many);
    assert.ok(system.server.asked.includes("tcp A many.example"));
  });

  test("that are not there, or have no address, are ENOTFOUND; that nobody can tell of, EAI_AGAIN", async () => {
    for (const [reply, code] of [
      ["nxdomain", "ENOTFOUND"],
      [[], "ENOTFOUND"],
      ["servfail", "EAI_AGAIN"],
      ["refused", "EAI_AGAIN"],
    ] as const) {
      await using system = await systemOf({ script: () => reply });
      await assert.rejects(system.resolve("none.example"), failsAs(code), String(reply));
    }
    await using half = await systemOf({ script: (_name, kind) => (kind === "A" ? "nxdomain" : "servfail") });
    await assert.rejects(half.resolve("none.example"), failsAs("EAI_AGAIN"));
    await assert.rejects(half.resolve(`${"a".repeat(64)}.example`), failsAs("ENOTFOUND"));
  });

  test("are asked for again when a packet was lost, and of the next server when one is silent, refuses or fails", async () => {
    let lost = 2;
    const forgetful: Script = (_name, kind) => {
      lost -= 1;
      return lost >= 0 ? "silent" : kind === "A" ? ["192.0.2.1"] : [];
    };
    await using again = await systemOf({ script: forgetful });
    assert.deepEqual(await again.resolve("lost.example"), ["192.0.2.1"]);
    for (const reply of ["silent", "refused", "servfail"] as const) {
      await using second = await startNameServer((_name, kind) => (kind === "A" ? ["192.0.2.2"] : []));
      await using system = await systemOf({ script: () => reply, others: [second] });
      assert.deepEqual(await system.resolve("split.example"), ["192.0.2.2"], reply);
    }
  });

  test("that were not there are not asked of the next server", async () => {
    await using second = await startNameServer(() => ["192.0.2.2"]);
    await using system = await systemOf({ others: [second] });
    await assert.rejects(system.resolve("none.example"), failsAs("ENOTFOUND"));
    assert.deepEqual(second.asked, []);
  });

  test("are called off with the signal's reason, at once, and no packet follows to this server or the next", async () => {
    await using second = await startNameServer(() => "silent");
    await using system = await systemOf({ script: () => "silent", others: [second] });
    const controller = new AbortController();
    const asked = system.resolve("silent.example", controller.signal);
    while (system.server.asked.length < 2) await delay(1);
    const reason = new Error("gone");
    const goneAt = performance.now();
    controller.abort(reason);
    await assert.rejects(asked, reason);
    assert.ok(performance.now() - goneAt < promptMs, `${performance.now() - goneAt} ms`);
    await delay(1200);
    assert.deepEqual([system.server.asked.length, second.asked], [2, []]);
    await assert.rejects(system.resolve("silent.example", controller.signal), reason);
  });

  test("keep no socket once they are called off", async () => {
    const descriptors = async () => (await readdir("/proc/self/fd")).length;
    await using second = await startNameServer(() => "silent");
    await using system = await systemOf({ script: () => "silent", others: [second] });
    const before = await descriptors();
    const controller = new AbortController();
    const silent = Array.from({ length: 100 }, (_, at) => system.resolve(`s${at}.example`, controller.signal));
    const ended = Promise.allSettled(silent);
    while (system.server.asked.length < 200) await delay(1);
    assert.ok((await descriptors()) >= before + 100);
    const goneAt = performance.now();
    controller.abort(new Error("gone"));
    await ended;
    await eventually("the sockets are closed", async () => (await descriptors()) < before + 10);
    assert.ok(performance.now() - goneAt < promptMs, `${performance.now() - goneAt} ms`);
  });

  test("keep none of the machine's threads: 300 silent ones, and both DNS and the system answer at once", async () => {
    await using system = await systemOf({
      script: (name, kind) => (name !== "quick.example" ? "silent" : kind === "A" ? ["192.0.2.1"] : []),
    });
    const controller = new AbortController();
    const silent = Array.from({ length: 300 }, (_, at) => system.resolve(`s${at}.example`, controller.signal));
    const ended = Promise.allSettled(silent);
    while (system.server.asked.length < 600) await delay(1);
    const startedAt = performance.now();
    assert.deepEqual(await system.resolve("quick.example"), ["192.0.2.1"]);
    assert.ok(await lookup("localhost"));
    assert.ok(performance.now() - startedAt < promptMs, `${performance.now() - startedAt} ms`);
    controller.abort(new Error("gone"));
    assert.ok((await ended).every(({ status }) => status === "rejected"));
  });
});

describe("search domains", () => {
  const resolvConf = "search ns.svc.cluster.local svc.cluster.local\noptions ndots:5\n";

  test("are gone through in order until one has the name", async () => {
    const script: Script = (name, kind) => (name === "repo.svc.cluster.local" && kind === "A" ? ["10.96.0.7"] : "nxdomain");
    await using system = await systemOf({ script, resolvConf });
    assert.deepEqual(await system.resolve("repo"), ["10.96.0.7"]);
    const names = new Set(system.server.asked.map((line) => line.split(" ")[2]));
    assert.deepEqual([...names], ["repo.ns.svc.cluster.local", "repo.svc.cluster.local"]);
  });

  test("do not hide a public name, also where one of them fails", async () => {
    const script: Script = (name, kind) => {
      if (name === "pypi.org") return kind === "A" ? ["192.0.2.1"] : [];
      return name.endsWith(".ns.svc.cluster.local") ? "servfail" : "nxdomain";
    };
    await using system = await systemOf({ script, resolvConf });
    assert.deepEqual(await system.resolve("pypi.org"), ["192.0.2.1"]);
    await assert.rejects(system.resolve("none.example"), failsAs("EAI_AGAIN"));
  });

  test("are those that the file names now", async () => {
    const script: Script = (name, kind) => (name === "repo.new.example" && kind === "A" ? ["192.0.2.1"] : "nxdomain");
    await using system = await systemOf({ script, resolvConf: "search old.example\n" });
    await assert.rejects(system.resolve("repo"), failsAs("ENOTFOUND"));
    await writeFile(system.paths.resolvConf, "search new.example\n# and so on\n");
    assert.deepEqual(await system.resolve("repo"), ["192.0.2.1"]);
  });
});

describe("the hosts file", () => {
  test("comes before DNS, with all addresses and aliases, and is read again when it has changed", async () => {
    await using system = await systemOf({
      script: (_name, kind) => (kind === "A" ? ["192.0.2.9"] : []),
      hosts: "192.0.2.1 repo.example repo\n2001:db8::1 repo\n",
    });
    assert.deepEqual(await system.resolve("REPO"), ["192.0.2.1", "2001:db8::1"]);
    assert.deepEqual(await system.resolve("repo.example."), ["192.0.2.1"]);
    assert.deepEqual(system.server.asked, []);
    await writeFile(system.paths.hosts, "192.0.2.22 repo\n");
    assert.deepEqual(await system.resolve("repo"), ["192.0.2.22"]);
    await rm(system.paths.hosts);
    assert.deepEqual(await system.resolve("repo.example"), ["192.0.2.9"]);
  });

  test("need not name localhost, which nobody is asked for", async () => {
    await using system = await systemOf({ script: () => ["192.0.2.9"] });
    for (const name of ["localhost", "a.LocalHost."]) assert.deepEqual(await system.resolve(name), ["127.0.0.1", "::1"]);
    assert.deepEqual(system.server.asked, []);
  });
});

describe("other name services", () => {
  const nsswitch = "passwd: files\nhosts: files mdns4_minimal [NOTFOUND=return] dns # as Debian's desktop\n";

  test("are asked through the system, for what DNS does not have", async () => {
    const asked: string[] = [];
    const getaddrinfo = async (name: string) => {
      asked.push(name);
      return ["192.0.2.5"];
    };
    const script: Script = (name, kind) => (name !== "dns.example" ? "nxdomain" : kind === "A" ? ["192.0.2.1"] : []);
    await using system = await systemOf({ nsswitch, getaddrinfo, script });
    assert.deepEqual(await system.resolve("dns.example"), ["192.0.2.1"]);
    assert.deepEqual(asked, []);
    assert.deepEqual(await system.resolve("Printer.local"), ["192.0.2.5"]);
    assert.deepEqual(asked, ["Printer.local"]);
  });

  test("are found in a line of brackets at once", async () => {
    await using system = await systemOf({
      nsswitch: `hosts: files ${"[".repeat(50_000)}\n`,
      getaddrinfo: async () => ["192.0.2.5"],
      script: () => "nxdomain",
    });
    const cost = await asyncCostMs(async () => assert.deepEqual(await system.resolve("printer.local"), ["192.0.2.5"]));
    assert.ok(cost < 1_000, `${cost} ms`);
  });

  test("are not there where only files and DNS are named, or Linux has no such file", async () => {
    for (const given of [{ nsswitch: "hosts: files dns\n" }, { nsswitch: "hosts:\tdns [!UNAVAIL=return] files\n" }, {}]) {
      await using system = await systemOf(given);
      await assert.rejects(system.resolve("none.example"), failsAs("ENOTFOUND"));
    }
    await using macos = await systemOf({ platform: "darwin", getaddrinfo: async () => ["192.0.2.5"] });
    assert.deepEqual(await macos.resolve("none.example"), ["192.0.2.5"]);
  });

  test("are not asked where DNS fails, but where there is none", async () => {
    await using failing = await systemOf({ nsswitch, script: () => "servfail" });
    await assert.rejects(failing.resolve("none.example"), failsAs("EAI_AGAIN"));
    const gone = await startNameServer(() => "silent");
    await gone[Symbol.asyncDispose]();
    await using unserved = await systemOf({
      nsswitch,
      script: () => "refused",
      others: [gone],
      getaddrinfo: async () => ["192.0.2.5"],
    });
    assert.deepEqual(await unserved.resolve("none.example"), ["192.0.2.5"]);
  });

  test("take one thread, whoever still waits: the next is asked when the first has answered", async () => {
    const running: string[] = [];
    const first = Promise.withResolvers<readonly string[]>();
    const getaddrinfo = (name: string) => {
      running.push(name);
      return name === "stuck.local" ? first.promise : Promise.resolve(["192.0.2.5"]);
    };
    await using system = await systemOf({ nsswitch, getaddrinfo });
    const controller = new AbortController();
    const stuck = system.resolve("stuck.local", controller.signal);
    while (running.length === 0) await delay(1);
    controller.abort(new Error("gone"));
    await assert.rejects(stuck, /gone/);
    const next = system.resolve("next.local");
    await delay(50);
    assert.deepEqual(running, ["stuck.local"]);
    first.reject(new Error("nobody answered"));
    assert.deepEqual(await next, ["192.0.2.5"]);
  });

  test("are asked in turns, client by client: a long line of one keeps no other waiting behind all of it", async () => {
    const running: string[] = [];
    const first = Promise.withResolvers<readonly string[]>();
    const getaddrinfo = (name: string) => {
      running.push(name);
      return name === "stuck.local" ? first.promise : Promise.resolve(["192.0.2.5"]);
    };
    await using system = await systemOf({ nsswitch, getaddrinfo });
    const { signal } = new AbortController();
    const all = [system.resolve("stuck.local", signal, "one")];
    while (running.length === 0) await delay(1);
    for (let at = 0; at < 20; at += 1) all.push(system.resolve(`one${at}.local`, signal, "one"));
    await delay(100);
    all.push(system.resolve("two.local", signal, "two"));
    await delay(100);
    first.resolve(["192.0.2.5"]);
    await Promise.all(all);
    assert.ok(running.slice(0, 3).includes("two.local"), running.join());
  });
});
