/** Clients of clamd from the operating system's packages, at the clamd door: what each makes of clean, infected and too large. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { type TestDatabase, testDatabase } from "../../fault/test-database.ts";
import { marker, markerName } from "../../live/clamd.ts";
import { type ScratchDirectory, scratchDirectory } from "../../scratch-directory.ts";
import { type GatewayProcess, startGatewayProcess } from "../gateway-process.ts";

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

function run(command: string, args: readonly string[], input = ""): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(command, args, { timeout: 60_000 }, (error, out, errorText) => {
      resolve({ code: typeof error?.code === "number" ? error.code : error === null ? 0 : -1, out, error: errorText });
    });
    child.stdin?.on("error", () => {}).end(input); // it may have gone
  });
}

const large = "a".repeat(3_000_000);
const sizeError = "INSTREAM size limit exceeded. ERROR";

describe("a clamd door's real clients", () => {
  let database: TestDatabase;
  let scratch: ScratchDirectory;
  let gateway: GatewayProcess;
  let port: string;
  before(async () => {
    database = await testDatabase();
    scratch = await scratchDirectory({ "in/clean": "clean", "in/v": marker, "in/large": large });
    const socket = scratch.at("door.sock");
    const env = {
      DATABASE_DIRECTORY: database.path,
      CLAMD_LISTEN: `0,${socket}`,
      MAX_FILE_SIZE: "1M",
      SCAN_PATH_ROOTS: scratch.at("in"),
      VERDICT_CACHE: "memory:",
    };
    gateway = await startGatewayProcess({ args: ["serve"], env });
    await gateway.ready();
    port = /clamd door on tcp:\/\/127\.0\.0\.1:(\d+)/.exec(await gateway.line("clamd door on "))?.[1] ?? "";
    await writeFile(scratch.at("tcp.conf"), `TCPSocket ${port}\nTCPAddr 127.0.0.1\nStreamMaxLength 100M\n`);
    await writeFile(scratch.at("unix.conf"), `LocalSocket ${socket}\n`);
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await scratch[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });

  const clamdscan = (args: readonly string[], input = "", conf = "tcp.conf") =>
    run("clamdscan", [`--config-file=${scratch.at(conf)}`, "--no-summary", ...args], input);

  test("clamdscan tells clean, infected and too large apart, file by file, in a session, and from its input (A17)", async () => {
    for (const [name, code, text] of [
      ["clean", 0, /: OK$/m],
      ["v", 1, new RegExp(`: ${markerName} FOUND$`, "m")],
      ["large", 2, /INSTREAM size limit exceeded\. ERROR/],
    ] as const) {
      const alone = await clamdscan(["--stream", scratch.at(`in/${name}`)]);
      assert.deepEqual([name, alone.code], [name, code]);
      assert.match(alone.out + alone.error, text);
      const inSession = await clamdscan(["--stream", "--multiscan", scratch.at(`in/${name}`)]);
      assert.deepEqual([name, inSession.code], [name, code]);
    }
    assert.equal((await clamdscan(["-"], marker)).code, 1);
    assert.equal((await clamdscan(["-"], "clean")).code, 0);
    const tooLarge = await clamdscan(["-"], large);
    assert.equal(tooLarge.code, 2);
    assert.ok((tooLarge.out + tooLarge.error).includes(sizeError));
    assert.ok(!/pipe/i.test(tooLarge.error));
  });

  test("clamdscan fails where it passes descriptors, and where it would have signatures reloaded (A38)", async () => {
    const file = scratch.at("in/clean");
    assert.equal((await clamdscan(["--fdpass", file], "", "unix.conf")).code, 2);
    assert.equal((await clamdscan(["--fdpass", "--multiscan", file], "", "unix.conf")).code, 2);
    assert.equal((await clamdscan(["--reload"])).code, 2);
    const ping = await clamdscan(["--ping", "1"], "", "unix.conf");
    assert.deepEqual([ping.code, ping.out.trim()], [0, "PONG"]);
    assert.equal((await clamdscan([file], "", "unix.conf")).code, 0, "by its path");
  });

  test("Python's pyclamd tells them apart, also where a body ends twice, and raises for what is too large (A13, A17)", async () => {
    const script = `
import sys, pyclamd
c = pyclamd.ClamdNetworkSocket("127.0.0.1", ${port})
print(c.ping(), c.scan_stream(open(sys.argv[1] + "/v", "rb").read()), c.scan_stream(b"x" * 4096), c.scan_stream(b""))
try:
    print(c.scan_stream(open(sys.argv[1] + "/large", "rb").read()))
except pyclamd.BufferTooLongError as error:
    print(error)
print(sorted(name for _, name in c.contscan_file(sys.argv[1]).values()))
`;
    const { out, error } = await run("/usr/bin/python3", ["-", scratch.at("in")], script);
    assert.equal(error, "");
    assert.deepEqual(out.trim().split("\n"), [
      `True {'stream': ('FOUND', '${markerName}')} None None`,
      sizeError,
      `['${markerName}', 'Heuristics.Limits.Exceeded.MaxFileSize']`,
    ]);
  });

  test("Perl's ClamAV::Client tells them apart by their paths", async () => {
    const script = `use ClamAV::Client;
my $c = ClamAV::Client->new(socket_host => "127.0.0.1", socket_port => ${port});
print $c->ping, "\\n", join(" ", $c->scan_path("$ARGV[0]/v")), "\\n";
my (undef, $clean) = $c->scan_path("$ARGV[0]/clean");
print defined $clean ? "found" : "clean", "\\n";
eval { $c->scan_path("$ARGV[0]/missing"); 1 } or print ref($@), "\\n";
`;
    const { out } = await run("perl", ["-", scratch.at("in")], script);
    assert.deepEqual(out.trim().split("\n"), ["PONG", `${scratch.at("in/v")} ${markerName}`, "clean", "ClamAV::Client::Error"]);
  });
});
