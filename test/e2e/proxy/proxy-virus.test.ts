import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { head, keep, type OriginAct } from "../../fake/origin.ts";
import { residueOf } from "../../fault/harness/residue.ts";
import { ask, type RawAnswer, RawClient, requestText } from "../../front/proxy/raw-client.ts";
import { eventually } from "../../process/stage.ts";
import { eicar, unknownBytes } from "../samples.ts";
import { type DownloadStage, type NginxFront, openDownloads, startNginxFront } from "./proxy-stage.ts";

const virus = eicar.bytes;
const mebibyte = 1024 * 1024;
const places = {
  alone: () => virus,
  start: () => Buffer.concat([virus, unknownBytes(mebibyte).bytes]),
  middle: () => Buffer.concat([unknownBytes(mebibyte / 2).bytes, virus, unknownBytes(mebibyte / 2).bytes]),
  end: () => Buffer.concat([unknownBytes(mebibyte).bytes, virus]),
} as const;
const refusal = '{"detail":"This resource contains a virus!"}';

/** However it reads, an answer is what it got of one; none may be more than a refusal or the cut beginning of something. */
const readers: Readonly<
  Record<string, (port: number, text: (lines?: string[], version?: string) => string) => Promise<RawAnswer>>
> = {
  "all at once": (port, text) => ask(port, text()),
  "over HTTP/1.0": (port, text) => ask(port, text([], "1.0")),
  "in small pieces": async (port, text) => {
    using client = new RawClient(port);
    client.socket.pause();
    client.socket.on("readable", () => {
      while (client.socket.read(1) !== null); // which passes it on as data
    });
    client.send(text());
    return await client.answer();
  },
  "the first half": (port, text) => ask(port, text(["Range: bytes=0-33"])),
  "the second half": (port, text) => ask(port, text(["Range: bytes=34-"])),
  "the last bytes": (port, text) => ask(port, text(["Range: bytes=-68"])),
  "only if it has changed": (port, text) => ask(port, text(['If-None-Match: "other"', "Cache-Control: no-cache"])),
};

for (const mode of ["strict", "trickle", "verified-stream"]) {
  describe(`a virus in mode ${mode}`, () => {
    let stage: DownloadStage;
    let nginx: NginxFront;
    before(async () => {
      const trickle = { DOWNLOAD_TRICKLE_AFTER: "100ms", DOWNLOAD_TRICKLE_INTERVAL: "5ms" };
      stage = await openDownloads({ DOWNLOAD_MODE: mode, ...trickle });
      nginx = await startNginxFront(stage.gateway, stage.base, "True");
    });
    after(async () => {
      await nginx[Symbol.asyncDispose]();
      await stage[Symbol.asyncDispose]();
    });

    const put = (path: string, bytes: Buffer, lines: readonly string[] = []) =>
      stage.files.set(path, () => keep(head(200, `Content-Length: ${bytes.length}`, 'ETag: "same"', ...lines), bytes));

    for (const [place, make] of Object.entries(places)) {
      test(`never arrives, ${place}, cached or not, however the client reads`, async () => {
        for (const cacheScan of ["True", "False"]) {
          const path = `/${place}-${cacheScan}`;
          put(path, make());
          const answers: RawAnswer[] = [];
          for (const [reader, read] of Object.entries(readers)) {
            for (const port of [stage.gateway.proxyPort, nginx.port]) {
              const answer = await read(port, (lines = [], version = "1.1") =>
                stage.text(path, [`Cache-Scan: ${cacheScan}`, ...lines], { version }),
              );
              answers.push(answer);
              // What the machine is too busy to judge in time has begun in that mode, and is cut.
              if (mode === "trickle" && answer.status === 200) assert.ok(!answer.isWhole && answer.body.length <= 64, reader);
              else assert.deepEqual([answer.status, answer.body.toString()], [409, refusal], reader);
            }
          }
          assertNoVirus(answers);
        }
      });
    }

    test("gives away no more than 64 bytes before its end has come, and then breaks off", async () => {
      for (const length of ["declared", "chunked"]) {
        for (const version of ["1.1", "1.0"]) {
          const path = `/slow-${length}-${version}`;
          const { act, arrived, finish } = slowly(places.start(), length === "declared");
          stage.files.set(path, act);
          const before = await stage.gateway.metric("clamgate_released_bytes_total");
          using client = new RawClient(stage.gateway.proxyPort);
          client.send(stage.text(path, [], { version }));
          await arrived;
          const mayTrickle = mode === "trickle" && (length === "declared" || version === "1.1");
          // One byte a chunk, and six with its frame.
          if (mayTrickle) await client.until((received) => bodyOf(received).length === 64 * (length === "declared" ? 1 : 6));
          finish();
          const answer = await client.answer();
          if (mayTrickle) {
            assert.deepEqual([answer.status, answer.isWhole, await client.closed()], [200, false, "reset"]);
            assert.deepEqual(answer.body, virus.subarray(0, 64));
          } else {
            assert.deepEqual([answer.status, answer.body.toString()], [409, refusal]);
          }
          await eventually("what was released is counted", async () => (await released(before)) === (mayTrickle ? 64 : 0));
          if (length === "declared") put(path, places.start());
          const rest = await ask(stage.gateway.proxyPort, stage.text(path, ["Range: bytes=64-67"], { version }));
          if (length === "declared") assert.equal(rest.status, 409);
          assertNoVirus([answer, rest]);
        }
      }
      async function released(since: number): Promise<number> {
        return (await stage.gateway.metric("clamgate_released_bytes_total")) - since;
      }
    });

    test("is a broken download to a client of nginx, not a short one", async () => {
      const { act, arrived, finish } = slowly(places.start(), true);
      stage.files.set("/behind-nginx", act);
      using client = new RawClient(nginx.port);
      client.send(requestText("/behind-nginx"));
      await arrived;
      if (mode === "trickle") await client.until((received) => received.includes(virus.subarray(0, 64)));
      finish();
      const answer = await client.answer();
      if (mode === "trickle") assert.deepEqual([answer.status, answer.isWhole], [200, false]);
      else assert.equal(answer.status, 409);
      assertNoVirus([answer]);
    });

    for (const [place, make] of Object.entries(places)) {
      test(`is not delivered under the address of what was clean before, ${place}`, async () => {
        const bytes = make();
        const path = `/was-clean-${place}`;
        for (const [port, way] of [
          [stage.gateway.proxyPort, "direct"],
          [nginx.port, "nginx"],
        ] as const) {
          for (const difference of [0, 1]) {
            const name = `${path}-${way}-${difference}`;
            const text = stage.text(name, ["Cache-Scan: True"]);
            put(name, unknownBytes(bytes.length + difference).bytes);
            assert.equal((await ask(port, text)).status, 200);
            const again = await ask(port, text);
            assert.deepEqual([again.status, again.isWhole], [200, true]);
            put(name, bytes);
            const answers = [await ask(port, text), await ask(port, text), await ask(port, text)];
            assertNoVirus(answers);
            for (const answer of answers) assert.ok(answer.status === 409 || !answer.isWhole, `${name}: ${answer.status}`);
            assert.equal(answers.at(-1)?.status, 409);
          }
        }
      });
    }

    test("leaves nothing in the spool", async () => {
      await eventually("the spool is empty", async () => {
        const { spoolFiles, spoolBodies } = await residueOf(stage.gateway);
        return spoolFiles + spoolBodies === 0;
      });
    });
  });
}

/** Sends all but the end, and that when it is told. */
function slowly(body: Buffer, isDeclared: boolean) {
  const arrival = Promise.withResolvers<void>();
  const end = Promise.withResolvers<Uint8Array>();
  const framed = (bytes: Buffer) =>
    isDeclared ? bytes : Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]);
  const length = isDeclared ? `Content-Length: ${body.length}` : "Transfer-Encoding: chunked";
  const tail = Buffer.concat([framed(body.subarray(-10)), Buffer.from(isDeclared ? "" : "0\r\n\r\n")]);
  return {
    arrived: arrival.promise,
    finish: () => end.resolve(tail),
    act(): OriginAct {
      arrival.resolve();
      return { kind: "send", pieces: [head(200, length), framed(body.subarray(0, -10)), end.promise], after: "keep" };
    },
  };
}

function bodyOf(received: Buffer): Buffer {
  const headEnd = received.indexOf("\r\n\r\n");
  return headEnd < 0 ? Buffer.alloc(0) : received.subarray(headEnd + 4);
}

/** Not even if a client puts together all that it got. */
function assertNoVirus(answers: readonly RawAnswer[]): void {
  const bodies = answers.filter(({ status }) => status !== 409).map(({ body }) => body);
  for (const body of [...bodies, Buffer.concat(bodies)]) assert.ok(!body.includes(virus));
}
