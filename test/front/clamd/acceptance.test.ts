import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, symlink } from "node:fs/promises";
import { Socket } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { ClamgateError, type ErrorCode, errorCodes } from "../../../src/core/errors.ts";
import type { Scan } from "../../../src/core/scan.ts";
import { eventually } from "../../process/stage.ts";
import { startQuietClock } from "../../quiet-clock.ts";
import { scratchDirectory } from "../../scratch-directory.ts";
import { verdictOf } from "../rest/fake-scan.ts";
import { acceptanceCases, acceptanceFiles, type Case } from "./acceptance.ts";
import { type Door, maxBytes, openDoor } from "./door.ts";
import {
  type Connection,
  chunk,
  type DoorAddress,
  end,
  type Heard,
  instream,
  length,
  open as openConnection,
  type Piece,
} from "./door-client.ts";

const transports = ["tcp", "unix"] as const;
const name = "Clamgate.Test.Marker-1.UNOFFICIAL";
const infected = `virus:${name}`;

/** Of all that is answered here each read brought whole answers (A51): some clients judge one read by itself. */
function open(address: DoorAddress): Connection {
  const connection = openConnection(address);
  const heard = connection.heard.then((all) => {
    for (const read of all.reads) assert.match(read, /[\0\n]$/);
    return all;
  });
  return { ...connection, heard };
}

function converse(address: DoorAddress, ...pieces: readonly Piece[]): Promise<Heard> {
  const connection = open(address);
  void connection.send(...pieces);
  return connection.heard;
}

function assertAnswer(heard: Heard, answer: Case["answer"]): void {
  if (typeof answer === "string") assert.equal(heard.text, answer);
  else if (answer instanceof RegExp) assert.match(heard.text, answer);
  else {
    assert.deepEqual(heard.text.split(/(?<=[\0\n])/).toSorted(), [...answer].toSorted());
  }
  assert.equal(heard.end, "fin");
}

const scans = (door: Door) => door.fake.calls.length;

for (const transport of transports) {
  describe(`the clamd door, over ${transport}`, () => {
    test("answers as the acceptance cases of clamd-front.md say, each in one read (A51)", async (context) => {
      await using scratch = await scratchDirectory(acceptanceFiles(infected));
      await mkdir(scratch.at("empty"));
      execFileSync("mkfifo", [scratch.at("fifo")]);
      await symlink("/etc/passwd", scratch.at("link-out"));
      const answer = async ({ bytes }: { readonly bytes: Buffer }) => {
        if (bytes.includes("slow")) await delay(50);
        return verdictOf(bytes);
      };
      await using door = await openDoor({ scan: { answer }, front: { scanPathRoots: [scratch.path] } });
      for (const { id, send, finishes, answer } of acceptanceCases({ infected, name, root: scratch.path })) {
        await context.test(`${id}: ${JSON.stringify(send.join("")).slice(0, 60)}`, { timeout: 10_000 }, async () => {
          const connection = open(door[transport]);
          await connection.send(...send);
          if (finishes) connection.finish();
          assertAnswer(await connection.heard, answer);
        });
      }
      await eventually("nothing is left", () => door.fake.held() === 0 && door.front.connections() === 0);
    });

    test("scans nothing for what is no command (A4)", async () => {
      await using door = await openDoor();
      await converse(door[transport], `GET / HTTP/1.1\r\n\r\n${instream(infected)}`);
      await converse(door[transport], `INSTREAM\n${chunk("abc")}${end}`);
      assert.equal(scans(door), 0);
    });

    test("names the commands that are open (A7)", async () => {
      await using scratch = await scratchDirectory({});
      await using closed = await openDoor();
      await using opened = await openDoor({ front: { scanPathRoots: [scratch.path] } });
      const version = "ClamAV 1.4.3/27800/Thu Oct  9 08:48:31 2025";
      assert.equal((await converse(closed[transport], "zVERSION\0")).text, `${version}\0`);
      const few = "PING VERSIONCOMMANDS VERSION END STATS IDSESSION INSTREAM";
      assert.equal((await converse(closed[transport], "nVERSIONCOMMANDS\n")).text, `${version}| COMMANDS: ${few}\n`);
      assert.match(
        (await converse(opened[transport], "zVERSIONCOMMANDS\0")).text,
        /: SCAN PING CONTSCAN VERSIONCOMMANDS VERSION END MULTISCAN STATS IDSESSION INSTREAM ALLMATCHSCAN\0$/,
      );
    });

    test("says that the engine is away, whatever on-error is (A9)", async () => {
      for (const onError of ["error", "close", "found"] as const) {
        await using door = await openDoor({ onError, front: { engineVersion: () => null } });
        for (const command of ["PING", "VERSION", "VERSIONCOMMANDS"]) {
          assert.equal((await converse(door[transport], `z${command}\0`)).text, "Scan engine is not available. ERROR\0");
        }
        assert.equal((await converse(door[transport], "VERSION\n")).text, "Scan engine is not available. ERROR\n");
      }
    });

    test("hears others while 110 bodies have stalled (A10)", { timeout: 30_000 }, async () => {
      await using door = await openDoor();
      const stalled = Array.from({ length: 110 }, () => open(door[transport]));
      await Promise.all(stalled.map((one) => one.send(`zINSTREAM\0${chunk("abc")}`)));
      const pingMs = startQuietClock();
      await converse(door[transport], "zPING\0");
      assert.ok(pingMs() < 1_000);
      const quietMs = startQuietClock();
      const heard = await converse(door[transport], instream("hello"));
      assert.equal(heard.text, "stream: OK\0");
      assert.ok(quietMs() < 1_000);
      for (const { socket } of stalled) socket.destroy();
    });

    test("takes bodies of the limit and none larger, whose sender can go on writing (A14, A15)", async () => {
      await using door = await openDoor();
      const most = "a".repeat(maxBytes);
      assert.equal((await converse(door[transport], instream(most))).text, "stream: OK\0");
      const refused = "INSTREAM size limit exceeded. ERROR\0";
      assert.equal((await converse(door[transport], instream(`${most}a`))).text, refused);
      const connection = open(door[transport]);
      await connection.send(`zINSTREAM\0${chunk(most)}${chunk("a")}`);
      for (let sent = 0; sent < maxBytes; sent += 10_000) await connection.send(chunk("a".repeat(10_000)), 1);
      await connection.send(end);
      assertAnswer(await connection.heard, refused);
      assert.equal(connection.socket.errored, null);
    });

    test("refuses a length that no body has within a second (A16)", async () => {
      await using door = await openDoor();
      const quietMs = startQuietClock();
      const heard = await converse(door[transport], `nINSTREAM\n${chunk("ab")}${length(0x20fe_0101)}`);
      assert.equal(heard.text, "INSTREAM size limit exceeded. ERROR\n");
      assert.ok(quietMs() < 1_000);
    });

    test("names what the engine could not look into, and has one name for a body (A20, A21, A22)", async () => {
      await using door = await openDoor();
      const answers = [
        ["unscannable:encrypted:Heuristics.Encrypted.Zip", "stream: Heuristics.Encrypted.Zip FOUND\0"],
        ["unscannable:unsupported", "stream: Heuristics.Clamgate.Unsupported FOUND\0"],
        ["unscannable:too-large", "stream: Heuristics.Clamgate.TooLarge FOUND\0"],
        ["virus:A,B", "stream: A FOUND\0"],
        ["virus:A b(c)", "stream: A_b_c_ FOUND\0"],
        [`virus:${"x".repeat(300)}`, `stream: ${"x".repeat(100)} FOUND\0`],
      ] as const;
      for (const [body, answer] of answers) {
        const { text } = await converse(door[transport], instream(body));
        assert.equal(text, answer);
        assert.ok(text.length <= 127);
      }
    });

    test("says OK of what the operator lets pass, and of nothing else that is not clean", async () => {
      await using door = await openDoor({ scan: { allowed: ["encrypted"] } });
      assert.equal((await converse(door[transport], instream("unscannable:encrypted"))).text, "stream: OK\0");
      assert.match((await converse(door[transport], instream("unscannable:limit-size"))).text, /FOUND\0$/);
    });

    for (const onError of ["error", "close", "found"] as const) {
      test(`tells each error in its way where on-error is ${onError} (A23, A24, A25)`, async () => {
        await using door = await openDoor({ onError });
        for (const code of errorCodes) {
          const heard = await converse(door[transport], instream(`error:${code}`, "n"));
          assert.equal(heard.end, "fin", code);
          assert.ok(!heard.text.includes("OK"), code);
          switch (onError) {
            case "error":
              assert.equal(heard.text, code === "client-slow" ? "COMMAND READ TIMED OUT\n" : `${textOf(code)}. ERROR\n`);
              assert.ok(!heard.text.includes(":"));
              break;
            case "close":
              assert.equal(heard.text, "", code);
              break;
            case "found":
              assert.match(heard.text, /^stream: Heuristics\.Clamgate\.([A-Z][a-z]+)+ FOUND\n$/, code);
          }
        }
      });
    }

    test("ends a session without a word behind a failure where on-error is close, after the other answers (A24)", async () => {
      const released = Promise.withResolvers<void>();
      const answer = async ({ bytes }: { readonly bytes: Buffer }) => {
        if (bytes.includes("slow")) await released.promise;
        return verdictOf(bytes);
      };
      await using door = await openDoor({ onError: "close", scan: { answer } });
      const connection = open(door[transport]);
      await connection.send(`zIDSESSION\0${instream("slow")}${instream("error:scan-timeout")}`, 50, instream("hello"));
      released.resolve();
      assertAnswer(await connection.heard, "1: stream: OK\0");
    });

    test("ends the wait for whoever sends nothing, or not a whole command, or half a body (A27)", {
      timeout: 30_000,
    }, async () => {
      await using door = await openDoor({ front: { commandTimeoutMs: 300, readTimeoutMs: 600 } });
      for (const sent of ["", "zPIN", "zIDSESSION\0", `zINSTREAM\0${chunk("abc")}`, "zINSTREAM\0", "zIDSESSION\0zPI"]) {
        const quietMs = startQuietClock();
        const heard = await converse(door[transport], ...(sent === "" ? [] : [sent]));
        const tookMs = quietMs();
        assertAnswer(heard, "COMMAND READ TIMED OUT\n");
        const limit = sent === "" || sent === "zPIN" ? 300 : 600;
        assert.ok(heard.ms >= limit - 5 && tookMs < limit + 2_000, `${sent}: ${tookMs}`);
      }
      assert.equal(door.events.filter(({ kind }) => kind === "clamd-read-timeout").length, 6);
    });

    test("ends the wait for a body that comes too slowly (A28)", { timeout: 30_000 }, async () => {
      await using door = await openDoor({ front: { readTimeoutMs: 500, minBytesPerSecond: 1_000 } });
      const connection = open(door[transport]);
      await connection.send(`zINSTREAM\0${length(1_000)}`);
      const timer = setInterval(() => void connection.send("a"), 50);
      const heard = await connection.heard;
      clearInterval(timer);
      assertAnswer(heard, "COMMAND READ TIMED OUT\n");
      assert.equal(scans(door), 0);
    });

    test("goes on in a session behind a body that is too large (A32)", async () => {
      await using door = await openDoor();
      const large = "a".repeat(maxBytes + 1);
      const heard = await converse(door[transport], `zIDSESSION\0${instream("a")}${instream(large)}${instream("b")}zEND\0`);
      assertAnswer(heard, ["1: stream: OK\0", "2: INSTREAM size limit exceeded. ERROR\0", "3: stream: OK\0"]);
      assert.equal(scans(door), 2);
    });

    test("goes on in a session behind a body without a verdict, whose rest it reads", async () => {
      await using door = await openDoor({ front: { scan: failingAtOnce() } });
      const long = `zINSTREAM\0${chunk("a".repeat(50_000))}${chunk("b".repeat(40_000))}${end}`;
      const heard = await converse(door[transport], `zIDSESSION\0${long}zPING\0zEND\0`);
      assertAnswer(heard, ["1: No room left for the body. ERROR\0", "2: PONG\0"]);
    });

    test("reads no ninth body while eight verdicts are out, and answers all in the end (A35)", async () => {
      const released = Promise.withResolvers<void>();
      const answer = async ({ bytes }: { readonly bytes: Buffer }) => {
        await released.promise;
        return verdictOf(bytes);
      };
      await using door = await openDoor({ scan: { answer } });
      const connection = open(door[transport]);
      await connection.send(`zIDSESSION\0${instream("hello").repeat(9)}zPING\0zEND\0`);
      await eventually("eight are scanned", () => scans(door) === 8);
      await delay(100);
      assert.equal(door.fake.begun.length, 8);
      released.resolve();
      const heard = await connection.heard;
      assert.equal(scans(door), 9);
      assertAnswer(heard, [...Array.from({ length: 9 }, (_, index) => `${index + 1}: stream: OK\0`), "10: PONG\0"]);
    });

    test("does not hold it against a session that it waits for a verdict (A36)", { timeout: 30_000 }, async () => {
      const answer = async () => {
        await delay(900);
        return { kind: "clean" } as const;
      };
      await using door = await openDoor({ front: { readTimeoutMs: 300 }, scan: { answer } });
      const connection = open(door[transport]);
      await connection.send(`zIDSESSION\0${instream("hello")}`);
      await connection.until("1: stream: OK\0");
      // From then on it is the client's turn.
      assert.equal((await connection.heard).text, "1: stream: OK\0COMMAND READ TIMED OUT\n");
    });

    test("has no descriptors to receive, and says so at once (A38)", async () => {
      await using door = await openDoor();
      assertAnswer(await converse(door[transport], "zFILDES\0", 20, "\0"), "No file descriptor received. ERROR\0");
      const inSession = await converse(door[transport], `zIDSESSION\0${instream("a")}zFILDES\0`, 20, "\0zPING\0");
      assertAnswer(inSession, ["1: stream: OK\0", "2: No file descriptor received. ERROR\0"]);
    });

    test("obeys nobody who would have it stop, and says who asked (A39)", async () => {
      await using door = await openDoor();
      for (const text of ["zSHUTDOWN\0", "nSHUTDOWN\n", "SHUTDOWN\n", "SHUTDOWN", "QUIT\n", "RELOAD", "zSELFCHECK\0"]) {
        assert.match((await converse(door[transport], text)).text, /^COMMAND UNAVAILABLE[\0\n]$/, text);
      }
      assertAnswer(await converse(door[transport], "zDETSTATS\0"), "");
      const refusals = door.events.filter((event) => event.kind === "clamd-refused");
      assert.equal(refusals.length, 7);
      const peer = transport === "unix" ? /^local$/ : /^127\.0\.0\.1@\d+$/;
      assert.ok(refusals.every((event) => event.reason === "command" && peer.test(event.peer)));
    });

    test("scans no path without roots (A42)", async () => {
      await using door = await openDoor();
      for (const command of ["SCAN", "CONTSCAN", "MULTISCAN", "ALLMATCHSCAN"]) {
        const heard = await converse(door[transport], `z${command} /etc/passwd\0`);
        assertAnswer(heard, "/etc/passwd: Path scanning is not enabled. ERROR\0");
      }
      await using strict = await openDoor({ onError: "found" });
      assertAnswer(await converse(strict[transport], "nSCAN /a\n"), "/a: Heuristics.Clamgate.Forbidden FOUND\n");
      await using silent = await openDoor({ onError: "close" });
      assertAnswer(await converse(silent[transport], "SCAN /a\n"), "/a: Path scanning is not enabled. ERROR\n");
    });

    test("calls no directory clean of which something was not seen (A44)", async () => {
      await using scratch = await scratchDirectory({ "d/a": "clean", "d/b": "error:scan-timeout", "d/c": "clean" });
      await using door = await openDoor({ front: { scanPathRoots: [scratch.path] } });
      const line = `${scratch.path}/d/b: Scan timed out. ERROR\0`;
      for (const command of ["SCAN", "CONTSCAN", "MULTISCAN", "ALLMATCHSCAN"]) {
        assertAnswer(await converse(door[transport], `z${command} ${scratch.path}/d\0`), line);
      }
      await using strict = await openDoor({ onError: "found", front: { scanPathRoots: [scratch.path] } });
      const found = `${scratch.path}/d/b: Heuristics.Clamgate.ScanTimeout FOUND\0`;
      assertAnswer(await converse(strict[transport], `zCONTSCAN ${scratch.path}/d\0`), found);
    });

    test("names a file that is too large as clamd's own limit would, and ends SCAN at its first finding", async () => {
      await using scratch = await scratchDirectory({ "d/a": "a".repeat(maxBytes + 1), "d/b": infected });
      await using door = await openDoor({ front: { scanPathRoots: [scratch.path] } });
      const large = `${scratch.path}/d/a: Heuristics.Limits.Exceeded.MaxFileSize FOUND\0`;
      assertAnswer(await converse(door[transport], `zSCAN ${scratch.path}/d\0`), large);
      assertAnswer(await converse(door[transport], `zMULTISCAN ${scratch.path}/d\0`), [
        large,
        `${scratch.path}/d/b: ${name} FOUND\0`,
      ]);
      const inSession = `zIDSESSION\0zSCAN ${scratch.path}/d/b\0zEND\0`;
      assertAnswer(await converse(door[transport], inSession), `1: ${scratch.path}/d/b: ${name} FOUND\0`);
    });

    test("tells one connection too many that it is one (A48)", async () => {
      await using door = await openDoor({ front: { maxConnections: 2 } });
      const first = [open(door[transport]), open(door[transport])];
      await eventually("both are there", () => door.front.connections() === 2);
      assertAnswer(await converse(door[transport], "zPING\0"), "Too many connections. ERROR\n");
      first[0]?.socket.destroy();
      await eventually("one has gone", () => door.front.connections() === 1);
      assertAnswer(await converse(door[transport], "zPING\0"), "PONG\0");
      first[1]?.socket.destroy();
    });

    test("when it stops answers what is pending, refuses half a body, and ends whoever is idle (A50)", async () => {
      const released = Promise.withResolvers<void>();
      const answer = async ({ bytes }: { readonly bytes: Buffer }) => {
        await released.promise;
        return verdictOf(bytes);
      };
      await using door = await openDoor({ scan: { answer } });
      const pending = open(door[transport]);
      await pending.send(instream(infected));
      const half = open(door[transport]);
      await half.send(`zINSTREAM\0${chunk("abc")}`);
      const session = open(door[transport]);
      await session.send(`zIDSESSION\0${instream("hello")}zINSTREAM\0${chunk("abc")}`);
      const idle = [open(door[transport]), open(door[transport])];
      await idle[1]?.send("zIDSESSION\0");
      await eventually(
        "all are there",
        () => scans(door) === 2 && door.fake.begun.length === 4 && door.front.connections() === 5,
      );
      await door.closeListeners();
      const drained = door.front.drain();
      for (const one of idle) assertAnswer(await one.heard, "");
      assertAnswer(await half.heard, "Gateway is stopping. ERROR\0");
      await session.until("2: Gateway is stopping. ERROR\0");
      released.resolve();
      assertAnswer(await pending.heard, `stream: ${name} FOUND\0`);
      assertAnswer(await session.heard, ["1: stream: OK\0", "2: Gateway is stopping. ERROR\0"]);
      for (const one of [half, session, pending, ...idle]) one.socket.destroy();
      await drained;
    });

    test("keeps nothing of clients that leave in any state (A52)", { timeout: 60_000 }, async () => {
      const answer = async ({ bytes }: { readonly bytes: Buffer }) => {
        await delay(5);
        return verdictOf(bytes);
      };
      await using scratch = await scratchDirectory({ "d/a": "clean", "d/b": infected });
      await using door = await openDoor({ scan: { answer }, front: { scanPathRoots: [scratch.path] } });
      const states = [
        "",
        "z",
        "PI",
        `zINSTREAM\0${length(10)}abc`,
        instream("hello"),
        `zIDSESSION\0${instream("hello").repeat(12)}`,
        `zIDSESSION\0${instream("a".repeat(maxBytes + 5))}`,
        `zCONTSCAN ${scratch.path}/d\0`,
        "zPING\0",
        "zFILDES\0",
      ];
      for (let round = 0; round < 10; round += 1) {
        await Promise.all(
          Array.from({ length: 100 }, async (_, index) => {
            const connection = open(door[transport]);
            connection.socket.on("error", () => {});
            await connection.send(states[index % states.length] ?? "", index % 7);
            if (transport === "tcp" && index % 3 === 0) connection.socket.resetAndDestroy();
            else connection.socket.destroy();
          }),
        );
      }
      await eventually("nothing is left", () => door.front.connections() === 0 && door.fake.held() === 0);
      assertAnswer(await converse(door[transport], instream("hello")), "stream: OK\0");
    });
  });
}

describe("the clamd door", () => {
  test("says no to a peer that it does not know (A46)", async () => {
    await using door = await openDoor();
    const heard: string[] = [];
    // From another address nobody comes here: the front is given what a listener would give it.
    door.front.accept(
      stranger("192.0.2.7", (text) => heard.push(text)),
      { kind: "tcp", onError: "error" },
    );
    assert.deepEqual(heard, ["Access denied. ERROR\n"]);
    assert.deepEqual(
      door.events.filter((event) => event.kind === "clamd-refused").map((event) => event.peer),
      ["192.0.2.7@4711"],
    );
  });

  test("passes the client, its name and its first length on to the scan", async () => {
    await using door = await openDoor();
    await converse(door.tcp, `zINSTREAM\0${length(10)}abc`, 20, `1234567${end}`);
    await converse(door.unix, instream("hello"));
    const [first, second] = door.fake.calls;
    assert.match(first?.name ?? "", /^instream\(127\.0\.0\.1@\d+\)$/);
    assert.deepEqual([first?.client, first?.expectedBytes, first?.via], ["127.0.0.1", 10, "clamd"]);
    assert.deepEqual([second?.name, second?.client, second?.bytes.toString()], ["instream(local)", "local", "hello"]);
  });
});

function textOf(code: ErrorCode): string {
  switch (code) {
    case "too-large":
      return "INSTREAM size limit exceeded";
    case "engine-unavailable":
      return "Scan engine is not available";
    case "backend-lost":
    case "engine-error":
    case "engine-killed":
      return "Scan engine failed";
    case "scan-timeout":
      return "Scan timed out";
    case "queue-full":
    case "queue-timeout":
      return "Scan engine is busy";
    case "unrecorded":
      return "The request cannot be recorded";
    case "spool-full":
      return "No room left for the body";
    case "stopping":
      return "Gateway is stopping";
    case "forbidden":
      return "Access denied";
    case "malformed":
      return "The stream ended early";
    case "source-changed":
      return "The file changed while it was read";
    default:
      return "Internal error";
  }
}

/** Rejects when it has seen the beginning of the body, as a spool without room does. */
function failingAtOnce(): Scan {
  return async (body) => {
    await body[Symbol.asyncIterator]().next();
    throw new ClamgateError("spool-full", "No room");
  };
}

/** A socket of a machine far away. */
function stranger(remoteAddress: string, hear: (text: string) => void): Socket {
  const socket = new Socket();
  Object.defineProperty(socket, "remoteAddress", { value: remoteAddress });
  Object.defineProperty(socket, "remotePort", { value: 4711 });
  socket.end = ((text: string) => {
    hear(text);
    socket.destroy();
    return socket;
  }) as never;
  return socket;
}
