import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { head, keep } from "../../fake/origin.ts";
import { ask, type RawAnswer, requestText } from "../../front/proxy/raw-client.ts";
import { unknownBytes } from "../samples.ts";
import { type DownloadStage, type NginxFront, openDownloads, startNginxFront } from "./proxy-stage.ts";

const kibibyte = 1024;
const limit = 3 * kibibyte * kibibyte;
const sizes = [
  ...[0, 1, 63, 64, 65, 66, 67, 68, 69, 1023, 1024, 1025],
  ...[64 * kibibyte, kibibyte * kibibyte].flatMap((size) => [size - 1, size, size + 1]),
  ...[limit - 1, limit],
];

/** As an origin may send them: some twice, some in odd case, some with bytes beyond ASCII. */
const originLines = [
  "Date: Tue, 15 Nov 1994 08:12:31 GMT",
  "Server: Origin/1.0 (scripted)",
  'content-type: application/x-custom; charset="utf-8"; q=1',
  'ETag: "abc\\def"',
  "Last-Modified: Tue, 15 Nov 1994 12:45:26 GMT",
  "Cache-Control: max-age=31536000, immutable",
  "Content-Disposition: attachment; filename=\"a b.bin\"; filename*=UTF-8''%e2%82%ac.bin",
  "Vary: Accept",
  "Link: </a>; rel=next",
  "Link: </b>; rel=prev",
  "Docker-Content-Digest: sha256:00",
  "X-PyPI-Last-Serial: 1",
  "npm-notice: caf\u00e9",
  "X-Empty:",
];
/** RFC 9110 §7.6.1; the body's own framing is compared by the body. */
const hopByHop: ReadonlySet<string> = new Set(["connection", "keep-alive", "transfer-encoding"]);
const isOurs = (name: string) => name === "via" || name === "accept-ranges" || name.startsWith("x-clamgate-");

const ways = ["HTTP/1.1", "HTTP/1.0", "nginx by HTTP/1.1", "nginx by HTTP/1.0"] as const;

for (const mode of ["strict", "trickle", "verified-stream"]) {
  describe(`a clean file through the proxy in mode ${mode}`, () => {
    let stage: DownloadStage;
    let nginx: NginxFront;

    before(async () => {
      stage = await openDownloads({ DOWNLOAD_MODE: mode, MAX_FILE_SIZE: String(limit) });
      nginx = await startNginxFront(stage.gateway, stage.base, "True");
      for (const size of sizes) {
        const { bytes } = unknownBytes(size);
        stage.files.set(`/${size}.bin`, () => keep(head(200, ...originLines, `Content-Length: ${size}`), bytes));
      }
    });
    after(async () => {
      await nginx[Symbol.asyncDispose]();
      await stage[Symbol.asyncDispose]();
    });

    const through = (way: (typeof ways)[number], path: string, method = "GET"): Promise<RawAnswer> => {
      const how = { version: way.endsWith("1.0") ? "1.0" : "1.1", method };
      if (way.startsWith("nginx")) return ask(nginx.port, requestText(path, [], how));
      return stage.get(path, ["Cache-Scan: True"], how);
    };

    for (const way of ways) {
      test(`is the origin's in status, headers and bytes over ${way}, the first time and remembered`, async () => {
        for (const size of sizes) {
          const path = `/${size}.bin?${way.length}`;
          const direct = await ask(stage.origin.port, requestText(path));
          for (const turn of ["first", "again"]) {
            const answer = await through(way, path);
            assert.equal(answer.status, 200, `${size} ${turn}`);
            assert.ok(answer.isWhole, `${size} ${turn}`);
            assert.deepEqual(endToEnd(answer), endToEnd(direct), `${size} ${turn}`);
            assert.equal(digest(answer.body), digest(direct.body), `${size} ${turn}`);
          }
        }
      });

      test(`is told by HEAD as the origin tells it over ${way}`, async () => {
        for (const size of [0, 1, 1024, limit]) {
          const direct = await ask(stage.origin.port, requestText(`/${size}.bin`, [], { method: "HEAD" }));
          const answer = await through(way, `/${size}.bin`, "HEAD");
          assert.equal(answer.status, 200);
          assert.deepEqual(endToEnd(answer), endToEnd(direct), `${size}`);
        }
      });
    }

    test("is refused at one byte more than the limit", async () => {
      const { bytes } = unknownBytes(limit + 1);
      stage.files.set("/large.bin", () => keep(head(200, `Content-Length: ${bytes.length}`), bytes));
      for (const way of ways) assert.equal((await through(way, "/large.bin")).status, 413, way);
    });

    test("is cut out of the scanned copy where a part is asked for, nginx or not", async () => {
      const whole = (await ask(stage.origin.port, requestText("/1025.bin"))).body;
      for (const port of [stage.gateway.proxyPort, nginx.port]) {
        const part = async (range: string) => ask(port, stage.text("/1025.bin", ["Cache-Scan: True", `Range: ${range}`]));
        for (const [range, from, to] of [
          ["bytes=0-99", 0, 100],
          ["bytes=1000-", 1000, 1025],
          ["bytes=-1", 1024, 1025],
        ] as const) {
          const answer = await part(range);
          assert.equal(answer.status, 206);
          assert.equal(answer.header("content-range"), `bytes ${from}-${to - 1}/1025`);
          assert.deepEqual(answer.body, whole.subarray(from, to));
        }
        assert.equal((await part("bytes=1025-")).status, 416);
      }
    });
  });
}

/** Names in lower case, values as they are, in an order of their own: nginx has another. */
function endToEnd({ lines }: RawAnswer): readonly string[] {
  return lines
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .filter(([name]) => !hopByHop.has(name) && !isOurs(name))
    .map((line) => line.join(": "))
    .sort();
}

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
