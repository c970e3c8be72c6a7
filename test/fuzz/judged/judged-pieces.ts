/** Files that a client puts together from ranges, while the origin's copy changes from request to request: what comes of it was one copy, scanned. */

import fc from "fast-check";
import type { fetch } from "undici";
import { head, keep, type OriginAct, type OriginRequest } from "../../fake/origin.ts";
import type { DownloadProgram } from "../download-programs.ts";
import { type Campaign, campaign } from "../harness/campaign.ts";
import type { Client } from "../harness/client.ts";
import type { JudgedDownloads } from "./judged-downloads.ts";

/** Of a marker, what a copy holds: none of them but the last is itself found. */
const halves = ["first half", "second half", "none", "whole"] as const;
type Half = (typeof halves)[number];

export interface ChangingFile {
  /** What the origin has at its first, second, … request; the last one stays. */
  readonly copies: readonly Half[];
  readonly pad: number;
  /** Where the marker is cut, counted from its start. */
  readonly cut: number;
  readonly tag: "same" | "same, weak" | "of the copy" | "none";
  readonly date: "same" | "of the copy" | "none";
  readonly ranges: "ignored" | "honoured" | "unasked" | "told on a 200" | "in multipart";
  readonly way: "by hand" | "curl" | "wget" | "aria2c" | "aria2c, in four pieces";
  /** Of the second request, by hand. */
  readonly condition: "none" | "If-Range, tag" | "If-Range, date" | "If-Match" | "If-Unmodified-Since" | "If-None-Match";
  readonly secondRange: "open" | "closed" | "suffix";
  /** Whether the tail is asked for first, by hand. */
  readonly backwards: boolean;
}

const changingFiles: fc.Arbitrary<ChangingFile> = fc.record({
  copies: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom<Half[][]>(["first half", "second half"], ["second half", "first half"]) },
    { weight: 1, arbitrary: fc.constant<Half[]>(["whole"]) },
    { weight: 2, arbitrary: fc.array(fc.constantFrom(...halves), { minLength: 1, maxLength: 5 }) },
  ),
  pad: fc.oneof(fc.nat(40), fc.nat(5_000)),
  cut: fc.integer({ min: 1, max: 20 }),
  tag: fc.constantFrom("same", "same", "same, weak", "of the copy", "none"),
  date: fc.constantFrom("same", "of the copy", "none"),
  ranges: fc.constantFrom("ignored", "ignored", "honoured", "honoured", "unasked", "told on a 200", "in multipart"),
  way: fc.oneof(
    { weight: 16, arbitrary: fc.constant("by hand" as const) },
    { weight: 4, arbitrary: fc.constantFrom("curl" as const, "wget" as const) },
    { weight: 1, arbitrary: fc.constantFrom("aria2c" as const, "aria2c, in four pieces" as const) },
  ),
  condition: fc.constantFrom(
    "none",
    "none",
    "If-Range, tag",
    "If-Range, date",
    "If-Match",
    "If-Unmodified-Since",
    "If-None-Match",
  ),
  secondRange: fc.constantFrom("open", "closed", "suffix"),
  backwards: fc.boolean(),
});

const usual: ChangingFile = {
  copies: ["first half", "second half"],
  pad: 7,
  cut: 10,
  tag: "same",
  date: "none",
  ranges: "ignored",
  way: "by hand",
  condition: "none",
  secondRange: "open",
  backwards: false,
};

const misleadingFiles: readonly ChangingFile[] = [
  usual,
  { ...usual, condition: "If-Range, tag" },
  { ...usual, condition: "If-Match", tag: "of the copy" },
  { ...usual, ranges: "honoured" },
  { ...usual, ranges: "told on a 200" },
  { ...usual, ranges: "unasked" },
  { ...usual, way: "curl" },
  { ...usual, way: "wget" },
  { ...usual, way: "aria2c" },
  { ...usual, way: "aria2c, in four pieces" },
  { ...usual, copies: ["whole"] },
  { ...usual, copies: ["whole"], way: "curl" },
  { ...usual, copies: ["whole"], way: "wget" },
  { ...usual, copies: ["whole"], way: "aria2c, in four pieces" },
];

/** aria2 cuts nothing below a mebibyte. */
const aQuarter = 1024 * 1024;

export function changingPieces({
  proxyUrl,
  origin,
  downloads,
  judge,
  client,
}: JudgedDownloads & { readonly client: Client }): Campaign {
  return campaign({
    name: "pieces of changing copies before other readers",
    testRuns: 60,
    arbitrary: changingFiles,
    corpus: misleadingFiles,
    least: { "put together": 0.05 },
    async check(file, note) {
      judge.begin();
      const path = origin.nextPath();
      const marker = judge.markers.next();
      const isLarge = file.way === "aria2c, in four pieces";
      const before = isLarge ? 2 * aQuarter - file.cut : file.pad;
      const after = isLarge ? 2 * aQuarter - marker.length + file.cut : file.pad;
      const bodies = file.copies.map((half) => copyOf(half, marker, file.cut, before, after));
      let served = -1;
      origin.serve(path, (request) => {
        served += 1;
        const at = Math.min(served, bodies.length - 1);
        return answerOf(file, request, bodies[at] ?? Buffer.alloc(0), at);
      });
      const order = { url: `${proxyUrl}${path}`, headers: { "Download-From": origin.base } };
      const joined = await putTogether({
        file,
        order,
        joint: before + file.cut,
        size: bodies[0]?.length ?? 0,
        programs: downloads.programs,
        fetch: client.fetch,
      });
      if (joined === null) return;
      const readings = new Map([[joined.by, [joined.bytes]]]);
      if (judge.compare(readings, () => `${joined.told}\nfor ${JSON.stringify(file)}`) > 0) note("put together");
    },
  });
}

function copyOf(half: Half, marker: string, cut: number, before: number, after: number): Buffer {
  const head = half === "first half" || half === "whole" ? marker.slice(0, cut) : "j".repeat(cut);
  const tail = half === "second half" || half === "whole" ? marker.slice(cut) : "k".repeat(marker.length - cut);
  return Buffer.from(`${"a".repeat(before)}${head}${tail}${"z".repeat(after)}`);
}

const dates = ["Sat, 22 Nov 2025 10:00:00 GMT", "Sat, 22 Nov 2025 11:00:00 GMT", "Sat, 22 Nov 2025 12:00:00 GMT"];

function answerOf({ tag, date, ranges }: ChangingFile, request: OriginRequest, body: Buffer, copy: number): OriginAct {
  const tags = { same: '"same"', "same, weak": 'W/"same"', "of the copy": `"copy-${copy}"`, none: "" };
  const stamps = { same: dates[0], "of the copy": dates[copy % dates.length], none: "" };
  const lines = [
    ...(tags[tag] === "" ? [] : [`ETag: ${tags[tag]}`]),
    ...(stamps[date] === "" ? [] : [`Last-Modified: ${stamps[date]}`]),
  ];
  const whole = (...more: string[]) => keep(head(200, `Content-Length: ${body.length}`, ...lines, ...more), body);
  const [, from = "", to = ""] = /^bytes=(\d*)-(\d*)$/.exec(request.header("range") ?? "") ?? [];
  const start = from === "" ? Math.max(0, body.length - Number(to)) : Number(from);
  const end = from === "" || to === "" ? body.length - 1 : Math.min(body.length - 1, Number(to));
  const isAsked = from !== "" || to !== "";
  const range = `bytes ${start}-${end}/${body.length}`;
  const part = body.subarray(start, end + 1);
  switch (ranges) {
    case "ignored":
      return whole();
    case "honoured":
      return isAsked
        ? keep(head(206, `Content-Length: ${part.length}`, `Content-Range: ${range}`, ...lines), part)
        : whole("Accept-Ranges: bytes");
    case "unasked":
      return keep(
        head(206, `Content-Length: ${body.length}`, `Content-Range: bytes 0-${body.length - 1}/${body.length}`, ...lines),
        body,
      );
    case "told on a 200":
      return whole(`Content-Range: ${range}`);
    case "in multipart": {
      const text = `--R\r\nContent-Range: ${range}\r\n\r\n${part.toString("latin1")}\r\n--R--\r\n`;
      const type = "Content-Type: multipart/byteranges; boundary=R";
      return isAsked ? keep(head(206, `Content-Length: ${text.length}`, type, ...lines), text) : whole();
    }
  }
}

interface Assembly {
  readonly file: ChangingFile;
  readonly order: { readonly url: string; readonly headers: Readonly<Record<string, string>> };
  /** Where the first piece ends and the second begins. */
  readonly joint: number;
  readonly size: number;
  readonly programs: readonly DownloadProgram[];
  readonly fetch: typeof fetch;
}

interface Assembled {
  readonly bytes: Buffer;
  readonly by: string;
  readonly told: string;
}

/** null where nothing came of it, or the program is not there. */
async function putTogether({ file, order, joint, size, programs, fetch }: Assembly): Promise<Assembled | null> {
  if (file.way === "by hand") return byHand({ file, order, joint, size, programs, fetch });
  const [name] = file.way.split(",");
  const program = programs.find((one) => one.name === name);
  if (program === undefined) return null;
  const bytes = file.way === "aria2c, in four pieces" ? await program.fetch(order) : await program.resume(order, joint);
  return bytes === null ? null : { bytes, by: program.name, told: `${file.way} from ${joint} on` };
}

async function byHand({ file, order, joint, size, fetch }: Assembly): Promise<Assembled | null> {
  const tails = { open: `bytes=${joint}-`, closed: `bytes=${joint}-${size - 1}`, suffix: `bytes=-${size - joint}` };
  const ranges = [`bytes=0-${joint - 1}`, tails[file.secondRange]];
  const [one = "", two = ""] = file.backwards ? ranges.toReversed() : ranges;
  const get = async (range: string, more: Readonly<Record<string, string>>) => {
    const headers = { ...order.headers, "Accept-Encoding": "identity", Range: range, ...more };
    const answer = await fetch(order.url, { headers, signal: AbortSignal.timeout(10_000), redirect: "manual" });
    return { status: answer.status, headers: answer.headers, bytes: Buffer.from(await answer.arrayBuffer()) };
  };
  const first = await get(one, {});
  const tag = first.headers.get("etag");
  const date = first.headers.get("last-modified");
  const conditions: Readonly<Record<ChangingFile["condition"], readonly [string, string | null]>> = {
    none: ["", null],
    "If-Range, tag": ["If-Range", tag],
    "If-Range, date": ["If-Range", date],
    "If-Match": ["If-Match", tag],
    "If-Unmodified-Since": ["If-Unmodified-Since", date],
    "If-None-Match": ["If-None-Match", '"other"'],
  };
  const [name, value] = conditions[file.condition];
  const second = await get(two, value === null ? {} : { [name]: value });
  const told = [first, second]
    .map(({ status, headers }) => `${status} ${headers.get("content-range")} ${headers.get("etag")}`)
    .join(", then ");
  const by = "ranges by hand";
  if (second.status === 200) {
    // Some take what says where it belongs for a part, whatever its status.
    const isPart = first.status !== 416 && second.headers.has("content-range");
    return { bytes: isPart ? joinedAt([first, second], size) : second.bytes, by, told };
  }
  if (first.status === 200) return { bytes: first.bytes, by, told };
  if (first.status !== 206 || second.status !== 206) return null;
  return { bytes: joinedAt([first, second], size), by, told };
}

interface PieceGiven {
  readonly headers: { get(name: string): string | null };
  readonly bytes: Buffer;
}

/** Each where its Content-Range says. */
function joinedAt(pieces: readonly PieceGiven[], size: number): Buffer {
  const file = Buffer.alloc(size);
  for (const { headers, bytes } of pieces)
    bytes.copy(file, Number(/bytes (\d+)-/.exec(headers.get("content-range") ?? "")?.[1] ?? 0));
  return file;
}
