import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { clean, form, formType, infected, upload } from "./form.ts";
import { exchange, type RestServer, request, startRest } from "./rest-server.ts";

const evil = "virus:Hidden";
/** Nothing that the scan finds anything in, before something that it does. */
const cover = "ID3\x03";
const head = (name: string, end = "\r\n") =>
  `Content-Disposition: form-data; name="f"; filename="${name}"${end}Content-Type: application/octet-stream${end}`;
const part = (name: string, data: string, end = "\r\n", mark = "--A") => `${mark}${end}${head(name, end)}${end}${data}${end}`;
const ok = part("ok.txt", "hello");
const close = "--A--\r\n";
const two = `${part("evil.exe", evil)}${close}${part("ok.txt", "hello", "\r\n", "--B")}--B--\r\n`;
const inner = (end = "\r\n", mark = "--A") => part("evil.exe", evil, end, mark).trimEnd();
const A = "multipart/form-data; boundary=A";

/** What busboy, formidable, multiparty, Werkzeug, Django, Python's email and cgi, Rack, PHP or commons-fileupload reads otherwise. */
const forms: readonly (readonly [title: string, contentType: string, body: string, why: RegExp])[] = [
  ["a starred boundary", `${A}; boundary*=us-ascii''B`, two, /boundary more than once/],
  ["a continued boundary", `${A}; boundary*0=B`, two, /boundary more than once/],
  ["a boundary inside a value", 'multipart/form-data; x="; boundary=A;"; boundary=B', two, /boundary more than once/],
  ["a boundary of 71 characters", `multipart/form-data; boundary=${"a".repeat(71)}`, two, /more than 70 characters/],
  ["a boundary that ends in a blank", 'multipart/form-data; boundary="A "', two, /characters that readers take differently/],
  ["a delimiter in the preamble", A, `x${part("evil.exe", evil)}${ok}${close}`, /does not begin with its boundary/],
  ["a file in the preamble", A, `${part("evil.exe", evil, "\r\n", "--C")}${ok}${close}`, /does not begin with its boundary/],
  ["a file behind the end", A, `${ok}${close}${part("evil.exe", evil)}${close}`, /behind the closing boundary/],
  ["LF before a delimiter", A, `${part("song.mp3", `${cover}\n${inner()}`)}${close}`, /within a part \(part 1, byte \d+\)/],
  ["a form in LF within data", A, `${part("song.mp3", `${cover}\n${inner("\n")}`)}${close}`, /within a part/],
  ["CR before a delimiter", A, `${part("song.mp3", `${cover}\r${inner("\r")}`)}${close}`, /within a part/],
  ["a delimiter within data", A, `${part("song.mp3", cover + inner())}${close}`, /within a part/],
  [
    "a padded delimiter",
    A,
    `${part("song.mp3", `${cover}\r\n${inner("\r\n", "--A ")}`)}${close}`,
    /neither a line end nor two dashes/,
  ],
  ["LF LF behind the headers", A, `--A\r\n${head("x").trimEnd()}\n\n${cover}: junk\r\n\r\n${evil}\r\n${close}`, /ends otherwise/],
  ["CRLF LF behind the headers", A, `--A\r\n${head("x")}\n${cover}: junk\r\n\r\n${evil}\r\n${close}`, /ends otherwise/],
  ["CRLF CRLF in a form of LF", A, `--A\n${head("x", "\n")}\n${cover}\r\n\r\n${evil}\n--A--\n`, /CR LF CR LF/],
  [
    "a multipart within a multipart",
    A,
    `--A\r\nContent-Disposition: form-data; name="f"; filename="n"\r\nContent-Type: multipart/mixed; boundary=N\r\n\r\n${cover}\r\n--N\r\n${head("evil.exe")}\r\n${evil}\r\n--N--\r\n\r\n${close}`,
    /a part is of a multipart type itself \(part 1, /,
  ],
  [
    "two types of one part",
    A,
    `--A\r\n${head("x")}content-type: text/plain\r\n\r\n${evil}\r\n${close}`,
    /content-type more than once/,
  ],
  ["a folded header", A, `--A\r\n${head("x")} Content-Transfer-Encoding: base64\r\n\r\nZm9v\r\n${close}`, /folded/],
  ["a length that ends early", A, `--A\r\n${head("x")}Content-Length: 3\r\n\r\nfoo${evil}\r\n${close}`, /Content-Length 3/],
];

function assertRefused(server: RestServer, status: number, body: string, why: RegExp): void {
  assert.equal(status, 400, body);
  assert.match(body, /"Status":"ERROR","Description":"Malformed multipart body: /);
  assert.match(body, why);
  assert.deepEqual(server.fake.held(), 0);
}

describe("a form that others read otherwise", () => {
  for (const [title, contentType, body, why] of forms) {
    test(`is 400 and says why: ${title}`, async () => {
      await using server = await startRest();
      for (const path of ["/v2/scan", "/scan"]) {
        const answer = await exchange(server.port, upload(path, Buffer.from(body, "latin1"), { "content-type": contentType }));
        assertRefused(server, answer.status, answer.body, why);
      }
    });
  }

  const twice = /Content-Type is there more than once/;
  for (const second of [formType, "multipart/form-data; boundary=A", "text/plain"]) {
    test(`is 400 with a second Content-Type: ${second}`, async () => {
      await using server = await startRest();
      const whole = upload("/v2/scan", form(clean), { "content-type": `${formType}\r\nCONTENT-TYPE: ${second}` });
      const answer = await exchange(server.port, whole);
      assertRefused(server, answer.status, answer.body, twice);
      assert.deepEqual(server.fake.begun, []);
    });
  }

  test("is 400 with a second Content-Type over HTTP/2", async () => {
    await using server = await startRest();
    const socket = connect(server.port, "127.0.0.1");
    const headers = [
      [":method", "POST"],
      [":scheme", "http"],
      [":path", "/v2/scan"],
      [":authority", "gateway.test"],
      ["content-type", formType],
      ["content-type", formType],
    ] as const;
    const block = Buffer.concat(headers.flatMap(([name, value]) => [Buffer.of(0), literal(name), literal(value)]));
    const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    socket.write(Buffer.concat([preface, frame(4, 0, 0, ""), frame(1, 4, 1, block), frame(0, 1, 1, form(infected))]));
    let received = "";
    while (!twice.test(received)) {
      const [chunk] = (await once(socket, "data")) as [Buffer];
      received += chunk.toString("latin1");
      assert.doesNotMatch(received, /"FOUND"|"OK"/);
    }
    socket.destroy();
    assert.deepEqual(server.fake.begun, []);
  });

  test("is told by its first fault, behind the verdicts before it", async () => {
    await using server = await startRest();
    const body = `${part("evil.exe", evil)}${part("x", `${cover}--A`)}${close}`;
    const answer = await exchange(server.port, upload("/v2/scan", Buffer.from(body), { "content-type": A }));
    assert.equal(answer.status, 406);
    assert.match(answer.body, /"FOUND".*"ERROR".*part 2, byte \d+/);
  });

  test("does not spoil the next one on the connection", async () => {
    await using server = await startRest();
    const first = request("POST /v2/scan", { "content-type": A, connection: "keep-alive" }, `x${ok}${close}`);
    const socket = connect(server.port, "127.0.0.1");
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.write(Buffer.concat([first, upload("/v2/scan", form(infected))]));
    await once(socket, "close");
    const statuses = Buffer.concat(chunks)
      .toString()
      .match(/HTTP\/1\.1 \d+/g);
    assert.deepEqual(statuses, ["HTTP/1.1 400", "HTTP/1.1 406"]);
  });
});

/** RFC 7541 §5.2, without Huffman; shorter than 127 bytes. */
function literal(text: string): Buffer {
  return Buffer.concat([Buffer.of(text.length), Buffer.from(text)]);
}

/** RFC 9113 §4.1 */
function frame(type: number, flags: number, stream: number, payload: string | Buffer): Buffer {
  const bytes = Buffer.from(payload as string);
  const header = Buffer.alloc(9);
  header.writeUIntBE(bytes.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, bytes]);
}
