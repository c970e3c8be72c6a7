import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { RequestReader } from "../../../src/codec/clamd/request.ts";

/** Events as short texts, the data of one body together: `z PING`, `n SCAN /a`, `z unknown`, `body hello of 5`, `end`. */
function eventsOf(pieces: readonly Buffer[], { endsPlain = false } = {}): string[] {
  const reader = new RequestReader();
  const events: string[] = [];
  let data: Buffer[] = [];
  let announced = 0;
  for (const piece of pieces) {
    reader.push(Buffer.from(piece));
    if (read()) return events;
  }
  if (endsPlain) {
    reader.endPlain();
    read();
  }
  if (data.length > 0) events.push(`part ${Buffer.concat(data).toString("latin1")} of ${announced}`);
  return events;

  /** True where nothing behind it may be read. */
  function read(): boolean {
    for (let event = reader.next(); event !== null; event = reader.next()) {
      switch (event.kind) {
        case "command": {
          const { form, name, path } = event.command;
          events.push(path === null ? `${form} ${name}` : `${form} ${name} ${path.toString("latin1")}`);
          break;
        }
        case "unknown":
          events.push(`${event.form} unknown`);
          return true;
        case "data":
          data.push(Buffer.from(event.bytes));
          announced = event.announcedBytes;
          break;
        case "body-end":
          events.push(`body ${Buffer.concat(data).toString("latin1")} of ${announced}`);
          data = [];
          announced = 0;
      }
    }
    return false;
  }
}

function chunk(text: string): string {
  return `${length(text.length)}${text}`;
}

function length(bytes: number): string {
  const header = Buffer.alloc(4);
  header.writeUInt32BE(bytes);
  return header.toString("latin1");
}

const end = length(0);

const vectors: readonly (readonly [sent: string, events: readonly string[]])[] = [
  ["zPING\0", ["z PING"]],
  ["nPING\n", ["n PING"]],
  ["nPING\r\n", ["n PING"]],
  ["nPING\r\r\n", ["n PING"]],
  ["PING\n", ["plain PING"]],
  ["PING\r\n", ["plain PING"]],
  ["zVERSION\0", ["z VERSION"]],
  ["nVERSIONCOMMANDS\n", ["n VERSIONCOMMANDS"]],
  ["nSTATS\n", ["n STATS"]],
  ["zSHUTDOWN\0", ["z SHUTDOWN"]],
  ["QUIT\n", ["plain QUIT"]],
  ["FILDES\n", ["plain FILDES"]],
  ["nDETSTATSCLEAR\n", ["n DETSTATSCLEAR"]],
  ["zSELFCHECK\0", ["z SELFCHECK"]],
  // Names are upper case and exact, and one without an argument has nothing behind it.
  ["zPING x\0", ["z unknown"]],
  ["zPING \0", ["z unknown"]],
  ["zping\0", ["z unknown"]],
  ["z\0", ["z unknown"]],
  ["n\n", ["n unknown"]],
  ["\n", ["plain unknown"]],
  ["zPING\r\n\0", ["z unknown"]],
  ["zPING\n\0", ["z unknown"]],
  ["zSTREAM\0", ["z unknown"]],
  ["zRAWSCAN /x\0", ["z unknown"]],
  ["zPINGPING\0", ["z unknown"]],
  ["n__proto__\n", ["n unknown"]],
  // Not in the old style.
  ["STATS\n", ["plain unknown"]],
  ["INSTREAM\n", ["plain unknown"]],
  ["VERSIONCOMMANDS\n", ["plain unknown"]],
  ["IDSESSION\n", ["plain unknown"]],
  ["ALLMATCHSCAN /x\n", ["plain unknown"]],
  ["GET / HTTP/1.1\r\nzINSTREAM\0", ["plain unknown"]],
  ["\x16\x03\x01\x02\0\x01\n", ["plain unknown"]],
  // Paths are bytes as they are.
  ["zSCAN /a\0", ["z SCAN /a"]],
  ["SCAN /a b\r\n", ["plain SCAN /a b"]],
  ["zCONTSCAN /a\nb\r\n\0", ["z CONTSCAN /a\nb\r\n"]],
  ["nMULTISCAN  /\xff\xe9 \n", ["n MULTISCAN  /\xff\xe9 "]],
  ["zALLMATCHSCAN x\0", ["z ALLMATCHSCAN x"]],
  ["zSCAN\0", ["z unknown"]],
  ["zSCAN \0", ["z unknown"]],
  ["zSCAN\t/a\0", ["z unknown"]],
  ["nSCAN \r\n", ["n unknown"]],
  // Bodies, and what comes behind them.
  [`zINSTREAM\0${chunk("hello")}${end}`, ["z INSTREAM", "body hello of 5"]],
  [`nINSTREAM\n${end}`, ["n INSTREAM", "body  of 0"]],
  [`zINSTREAM\0${chunk("zPI")}${chunk("NG\0")}${chunk("!")}${end}`, ["z INSTREAM", "body zPING\0! of 7"]],
  [`zINSTREAM\0${chunk("a\0\0\0\0b")}${end}zPING\0`, ["z INSTREAM", "body a\0\0\0\0b of 6", "z PING"]],
  ["zIDSESSION\0nPING\nzVERSION\0zEND\0", ["z IDSESSION", "n PING", "z VERSION", "z END"]],
  [`zINSTREAM\0${end}nINSTREAM\n${chunk("x")}${end}`, ["z INSTREAM", "body  of 0", "n INSTREAM", "body x of 1"]],
];

describe("RequestReader", () => {
  for (const [sent, events] of vectors) {
    test(`reads ${JSON.stringify(sent)} whole, byte by byte, and with bytes behind it`, () => {
      const bytes = Buffer.from(sent, "latin1");
      assert.deepEqual(eventsOf([bytes]), events);
      // Bytes that are a command without a line end are one, and the rest is the next.
      const isEarly = /^(PING|QUIT|VERSIONCOMMANDS)\r?\n$/.exec(sent);
      const early = [`plain ${isEarly?.[1]?.slice(0, "VERSION".length)}`, "plain unknown"];
      assert.deepEqual(eventsOf([...bytes].map((byte) => Buffer.of(byte))), isEarly === null ? events : early);
      const isUnknown = events.at(-1)?.endsWith("unknown");
      const more = isUnknown ? [] : ["z VERSION"];
      assert.deepEqual(eventsOf([Buffer.concat([bytes, Buffer.from("zVERSION\0")])]), [...events, ...more]);
    });
  }

  test("takes an old-style command without a line end for whole only where it can be no other, or is told so", () => {
    for (const name of ["PING", "VERSION", "RELOAD", "QUIT", "SHUTDOWN"]) {
      assert.deepEqual(eventsOf([Buffer.from(name)]), [`plain ${name}`]);
    }
    for (const text of ["PI", "SCAN /a", "STATS", "GET / HTTP/1.1", "PINGPING"])
      assert.deepEqual(eventsOf([Buffer.from(text)]), []);
    assert.deepEqual(eventsOf([Buffer.from("PI"), Buffer.from("NG\n")]), ["plain PING"]);
    assert.deepEqual(eventsOf([Buffer.from("SCAN /a")], { endsPlain: true }), ["plain SCAN /a"]);
    assert.deepEqual(eventsOf([Buffer.from("PI")], { endsPlain: true }), ["plain unknown"]);
    // That is not said of the other forms.
    assert.deepEqual(eventsOf([Buffer.from("zPING")], { endsPlain: true }), []);
  });

  test("takes commands of 4,104 bytes and none longer, however they come", () => {
    for (const [form, terminator] of [
      ["z", "\0"],
      ["n", "\n"],
      ["", "\n"],
    ] as const) {
      const path = `/${"a".repeat(4_104 - `${form}SCAN /`.length)}`;
      const longest = Buffer.from(`${form}SCAN ${path}${terminator}`);
      const kind = form === "" ? "plain" : form;
      for (const size of [1, 1_000, 10_000]) {
        assert.deepEqual(eventsOf(cut(longest, size)), [`${kind} SCAN ${path}`]);
        assert.deepEqual(eventsOf(cut(Buffer.from(`${form}SCAN ${path}a${terminator}`), size)), [`${kind} unknown`]);
        assert.deepEqual(eventsOf(cut(Buffer.from(`${form}SCAN ${path}aaaaaa`), size)), [`${kind} unknown`]);
      }
    }
  });

  test("tells how long a body says it is before its data has come", () => {
    const reader = new RequestReader();
    reader.push(Buffer.from(`zINSTREAM\0${chunk("abc")}${length(0xffffffff)}`, "latin1"));
    assert.equal(reader.next()?.kind, "command");
    assert.deepEqual(reader.next(), { kind: "data", bytes: Buffer.from("abc"), announcedBytes: 0xffffffff + 3 });
    assert.equal(reader.next(), null);
    assert.equal(reader.isInBody, true);
    reader.push(Buffer.from("zPING\0"));
    assert.deepEqual(reader.next(), { kind: "data", bytes: Buffer.from("zPING\0"), announcedBytes: 0xffffffff + 3 });
  });

  test("keeps what is pushed while events are left", () => {
    const reader = new RequestReader();
    reader.push(Buffer.from("zPING\0zVER"));
    assert.equal(reader.next()?.kind, "command");
    reader.push(Buffer.from("SION\0zPI"));
    const event = reader.next();
    assert.deepEqual(event, { kind: "command", command: { form: "z", name: "VERSION", path: null } });
    assert.equal(reader.next(), null);
    assert.equal(reader.isInCommand, true);
  });

  test("gives the bytes of a body as they were sent, whatever its chunks and wherever it is cut", () => {
    const body = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 12 });
    fc.assert(
      fc.property(
        fc.array(body, { minLength: 1, maxLength: 3 }),
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }),
        (bodies, sizes) => {
          const sent = bodies.map(
            (chunks) => `zINSTREAM\0${chunks.map((bytes) => chunk(Buffer.from(bytes).toString("latin1"))).join("")}${end}`,
          );
          const expected = bodies.flatMap((chunks) => {
            const text = Buffer.concat(chunks).toString("latin1");
            return ["z INSTREAM", `body ${text} of ${text.length}`];
          });
          const pieces: Buffer[] = [];
          for (let rest = Buffer.from(sent.join(""), "latin1"), turn = 0; rest.length > 0; turn += 1) {
            const size = sizes[turn % sizes.length] ?? 1;
            pieces.push(rest.subarray(0, size));
            rest = rest.subarray(size);
          }
          assert.deepEqual(eventsOf(pieces), expected);
        },
      ),
    );
  });
});

function cut(bytes: Buffer, size: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}
