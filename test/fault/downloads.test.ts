/** F13-F16 of the download proxy: origins that break off, stall, drip or flood, clients that read slowly or leave. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type DownloadStage, openDownloads } from "../e2e/proxy/proxy-stage.ts";
import { clamavTestFiles } from "../e2e/samples.ts";
import { end, head, keep, type OriginAct, ok, reset, stall } from "../fake/origin.ts";
import { marker } from "../live/clamd.ts";
import { eventually } from "../process/stage.ts";
import { countingClient } from "./harness/counting-client.ts";
import { assertDownloadInvariants, type DownloadAccount, openDownloadAccount } from "./harness/download-account.ts";
import { assertNothingLeft } from "./harness/invariants.ts";
import { type Random, seededRandom } from "./harness/random.ts";
import { type Residue, residueOf } from "./harness/residue.ts";
import { type Subject, type SubjectSource, subject, subjectSource } from "./harness/subjects.ts";
import { hostileArchives } from "./hostile-archives.ts";

interface Misdeed {
  readonly act: (file: Subject) => OriginAct;
  /** What a client is told in place of the file. */
  readonly status: 413 | 502 | 504;
  /** The head promises a whole answer of 200: a trickle may have begun with it, and then there is no status any more, but a cut. */
  readonly isLikeWhole?: boolean;
}

/** What an origin may do with a file; each is a fault that no client may see as a whole answer of 200. */
const misdeeds: Readonly<Record<string, Misdeed>> = {
  "resets in mid-body": {
    act: ({ bytes }) => reset(lengthOf(bytes), bytes.subarray(0, bytes.length >> 1)),
    status: 502,
    isLikeWhole: true,
  },
  "ends in mid-body": {
    act: ({ bytes }) => end(lengthOf(bytes), bytes.subarray(0, bytes.length >> 1)),
    status: 502,
    isLikeWhole: true,
  },
  "ends a byte short": { act: ({ bytes }) => end(lengthOf(bytes), bytes.subarray(0, -1)), status: 502, isLikeWhole: true },
  "leaves out the last chunk": { act: ({ bytes }) => end(chunked, chunk(bytes)), status: 502, isLikeWhole: true },
  "resets before the last chunk": { act: ({ bytes }) => reset(chunked, chunk(bytes)), status: 502, isLikeWhole: true },
  "sends a part unasked": {
    act: ({ bytes }) => keep(head(206, `Content-Length: ${bytes.length}`, `Content-Range: bytes 0-1/2`), bytes),
    status: 502,
  },
  "says two lengths": {
    act: ({ bytes }) => end(head(200, `Content-Length: ${bytes.length}`, "Content-Length: 3"), bytes),
    status: 502,
  },
  "says length and chunks": {
    act: ({ bytes }) =>
      end(head(200, `Content-Length: ${bytes.length}`, "Transfer-Encoding: chunked"), chunk(bytes), "0\r\n\r\n"),
    status: 502,
  },
  "never answers": { act: () => stall(), status: 504 },
  "stalls in the head": { act: () => stall("HTTP/1.1 200 OK\r\nContent-"), status: 504 },
  "stalls in mid-body": {
    act: ({ bytes }) => stall(lengthOf(bytes), bytes.subarray(0, bytes.length >> 1)),
    status: 504,
    isLikeWhole: true,
  },
  "drips its head": { act: () => ({ kind: "drip", head: "HTTP/1.1 200 OK\r\nX-Slow: ", everyMs: 50 }), status: 504 },
  "drips its body": {
    act: () => ({ kind: "drip", head: head(200, "Content-Length: 100000"), everyMs: 50 }),
    status: 504,
    isLikeWhole: true,
  },
  "is no web server": { act: () => end("220 mail.example ESMTP\r\n"), status: 502 },
  "closes at once": { act: () => end(), status: 502 },
};

/** Ended by MAX_FILE_SIZE. */
const flood: Misdeed = {
  act: () => ({ kind: "flood", head: head(200), chunk: Buffer.alloc(65_536, 7) }),
  status: 413,
  isLikeWhole: true,
};

/** Each download ends within DOWNLOAD_TIMEOUT; the rest is leeway for a busy machine. */
const leewayMs = 7_000;
/** For misdeeds that only the time ends. */
const hasty = { idle: "1s", total: "3s", misdeedMs: 3_000 + leewayMs };
/** For all others: a machine that is busy elsewhere must not be taken for an origin that stalls. */
const patient = { idle: "30s", total: "40s", misdeedMs: 40_000 + leewayMs };

/** Ways in which a clean file turns into one with a virus of the same length: nothing but the bytes can tell. */
const turnings: Readonly<Record<string, (clean: Buffer, random: Random) => number>> = {
  "at its beginning": () => 0,
  "somewhere in it": ({ length }, random) => random.below(length - marker.length),
  "at its end": ({ length }) => length - marker.length,
};

function turned({ name, bytes }: Subject, at: number): Subject {
  const evil = Buffer.from(bytes);
  evil.write(marker, at);
  return subject(`${name} turned at ${at}`, evil, "infected");
}

const maxScanBytes = 30 * 1024 * 1024;
const maxFiles = 1_000;
const hostile = hostileArchives({ maxScanBytes, maxFiles });

const chunked = head(200, "Transfer-Encoding: chunked");
const lengthOf = (bytes: Buffer) => head(200, `Content-Length: ${bytes.length}`);

function chunk(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]);
}

for (const [mode, mayRelease] of [
  ["strict", 0],
  ["trickle", 64],
  ["verified-stream", 0],
] as const) {
  describe(`the download proxy in mode ${mode}, over origins and clients that misbehave`, () => {
    let stage: DownloadStage;
    let hastyStage: DownloadStage;
    let baseline: Residue;
    let hastyBaseline: Residue;
    let account: DownloadAccount;
    let random: Random;
    let subjects: SubjectSource;

    before(async () => {
      const env = ({ idle, total }: typeof hasty) => ({
        DOWNLOAD_MODE: mode,
        DOWNLOAD_IDLE_TIMEOUT: idle,
        DOWNLOAD_TIMEOUT: total,
        DOWNLOAD_TRICKLE_AFTER: "100ms",
        DOWNLOAD_TRICKLE_INTERVAL: "20ms",
        MAX_FILE_SIZE: "16M",
        MAX_SCAN_SIZE: String(maxScanBytes),
        MAX_FILES: String(maxFiles),
        CLIENT_IDLE_TIMEOUT: "2s",
        SPOOL_MEMORY: "64K",
      });
      [stage, hastyStage] = await Promise.all([openDownloads(env(patient)), openDownloads(env(hasty))]);
      random = seededRandom(13);
      subjects = subjectSource(random);
      baseline = await residueOf(stage.gateway);
      hastyBaseline = await residueOf(hastyStage.gateway);
    });
    after(() => Promise.all([stage, hastyStage].map((one) => one[Symbol.asyncDispose]())));

    interface FetchOptions {
      readonly signal?: AbortSignal;
      /** As in DownloadAccount. */
      readonly before?: Subject;
      /** Whose gateway is asked. */
      readonly of?: DownloadStage;
    }

    const fetchFile = async (path: string, file: Subject | null, { signal, before, of = stage }: FetchOptions = {}) => {
      using client = countingClient(of.gateway.proxyUrl);
      const headers = { "download-from": of.base, "cache-scan": "true" };
      const message = { method: "GET", path, headers, ...(signal === undefined ? {} : { signal }) };
      return await account.request(file, () => client.send(message), before);
    };

    /** Where a trickle had begun there is no status any more, but the cut. */
    function honestly({ truth }: Subject): readonly (number | undefined)[] {
      if (truth === "clean") return [200];
      return mode === "trickle" ? [409, undefined] : [409];
    }

    /** The misdeed twice, and then the file itself at the same address: but where a trickle was cut, which is 409 for its time whatever comes. */
    async function suffer(what: string, { act, status, isLikeWhole = false }: Misdeed): Promise<void> {
      const [of, { misdeedMs }] = status === 504 ? [hastyStage, hasty] : [stage, patient];
      const files = [subjects.infected(90_000), subjects.clean(90_000), subjects.infected(300), subjects.clean(300)];
      const serve = async (file: Subject, index: number) => {
        const path = `/${encodeURIComponent(what)}-${index}`;
        of.files.set(path, () => act(file));
        let wasCut = false;
        for (let turn = 0; turn < 2; turn += 1) {
          const { answer, elapsedMs } = await fetchFile(path, null, { of });
          const isCut: boolean = !wasCut && answer === null && mode === "trickle" && isLikeWhole;
          assert.ok(answer?.status === (wasCut ? 409 : status) || isCut, `${what}, turn ${turn}: ${answer?.status}`);
          wasCut ||= isCut;
          assert.ok(elapsedMs < misdeedMs, `${what}, turn ${turn}: ${elapsedMs} ms`);
        }
        of.files.set(path, () => ok(file.bytes));
        const { answer } = await fetchFile(path, file, { of });
        const expected = wasCut ? [409] : honestly(file);
        assert.ok(expected.includes(answer?.status), `${what}, then nothing wrong: ${answer?.status}`);
      };
      await Promise.all(files.map(serve));
    }

    test("no client gets a byte of an infected file, nor less than the file for a whole answer (F13, F14)", async (context) => {
      account = openDownloadAccount({ mayRelease });
      await suffer("never ends", flood);
      await Promise.all(Object.entries(misdeeds).map(([what, misdeed]) => suffer(what, misdeed)));
      const { cut, slowestMs, statuses } = account.totals();
      context.diagnostic(`${JSON.stringify(statuses)}, the slowest ${Math.round(slowestMs)} ms`);
      assertDownloadInvariants(account, { withinMs: patient.misdeedMs });
      if (mode === "strict") assert.equal(cut, 0);
      await assertNothingLeft(stage.gateway, { before: baseline });
      await assertNothingLeft(hastyStage.gateway, { before: hastyBaseline });
    });

    for (const [where, placeIn] of Object.entries(turnings)) {
      test(`a clean file that turns infected ${where} lets nothing out but what was scanned, and then nothing at all`, async () => {
        account = openDownloadAccount({ mayRelease });
        const plain = subjectSource(random, { isPlain: true });
        for (const [index, size] of [300, 65_536, 65_537, 200_000, 700_000].entries()) {
          const path = `/turning-${index}-${encodeURIComponent(where)}`;
          const clean = plain.clean(size);
          stage.files.set(path, () => ok(clean.bytes));
          for (let turn = 0; turn < 2; turn += 1) assert.equal((await fetchFile(path, clean)).answer?.status, 200);
          const at = placeIn(clean.bytes, random);
          const evil = turned(clean, at);
          stage.files.set(path, () => ok(evil.bytes));
          const { answer, cutBody } = await fetchFile(path, evil, mode === "verified-stream" ? { before: clean } : {});
          if (answer !== null) assert.equal(answer.status, 409);
          if (mode === "verified-stream") assert.ok((cutBody?.length ?? 0) <= at, `${cutBody?.length} bytes, the virus at ${at}`);
          assert.equal((await fetchFile(path, evil)).answer?.status, 409);
        }
        assertDownloadInvariants(account, { withinMs: 30_000 });
      });
    }

    test("ClamAV's own test files are refused in each of their wrappings (B10)", async () => {
      account = openDownloadAccount({ mayRelease });
      for (const { name, bytes } of await clamavTestFiles()) {
        stage.files.set(`/${name}`, () => ok(bytes));
        const { answer } = await fetchFile(`/${name}`, subject(name, bytes, "infected"));
        assert.ok(honestly(subject(name, bytes, "infected")).includes(answer?.status), `${name}: ${answer?.status}`);
      }
      assertDownloadInvariants(account, { withinMs: 30_000 });
    });

    test("archives that wear a scanner out, or hide what is in them, are refused (B8, B11)", async () => {
      account = openDownloadAccount({ mayRelease });
      const fetching = hostile.map(async (one) => {
        stage.files.set(`/${one.name}`, () => ok(one.bytes));
        for (let turn = 0; turn < 2; turn += 1) {
          const { answer } = await fetchFile(`/${one.name}`, one);
          assert.ok(honestly(one).includes(answer?.status), `${one.name}: ${answer?.status}`);
        }
      });
      await Promise.all(fetching);
      assertDownloadInvariants(account, { withinMs: 60_000 });
    });

    test("clients that leave leave nothing behind (F16)", async (context) => {
      account = openDownloadAccount({ mayRelease });
      const file = subjects.clean(900_000);
      stage.files.set("/left", () => ok(file.bytes));
      const leaving = Array.from({ length: 60 }, async (_, index) => {
        const leave = new AbortController();
        const one = fetchFile(`/left?${index % 20}`, file, { signal: leave.signal });
        await delay(random.below(150)); // somewhere in its download, its scan or its delivery
        leave.abort();
        await one;
      });
      await Promise.all(leaving);
      context.diagnostic(JSON.stringify(account.totals().statuses));
      assertDownloadInvariants(account, { withinMs: 30_000 });
      await assertNothingLeft(stage.gateway, { before: baseline });
    });

    test("clients that do not read are cut, and hold nothing any more (F15)", async (context) => {
      // More than the sockets of both ends take.
      const file = subjects.clean(15_000_000);
      stage.files.set("/unread", () => ok(file.bytes));
      const sockets = Array.from({ length: 5 }, (_, index) => {
        const socket = connect(stage.gateway.proxyPort, "127.0.0.1");
        socket.on("error", () => {}); // cut
        socket.pause();
        socket.write(stage.text(`/unread?${index}`));
        return socket;
      });
      try {
        const asked = () => stage.origin.requests.filter(({ path }) => path.startsWith("/unread")).length;
        await eventually("all are being fetched", () => asked() === sockets.length);
        const fetchedAt = performance.now();
        // They stay, but the gateway is done with them.
        await assertNothingLeft(stage.gateway, { before: baseline, withinMs: 30_000 });
        context.diagnostic(`cut after ${Math.round(performance.now() - fetchedAt)} ms`);
      } finally {
        for (const socket of sockets) socket.destroy();
      }
    });
  });
}
