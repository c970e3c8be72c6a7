/** Coded bodies of an origin, fetched through the download proxy by the clients that people use: what a client has in its hands was scanned just so. */

import fc from "fast-check";
import { ok } from "../../fake/origin.ts";
import { bytesOf, codedBodies, headerLines, misleadingBodies } from "../coded-bodies.ts";
import type { DownloadPrograms, Order } from "../download-programs.ts";
import { type Campaign, campaign } from "../harness/campaign.ts";
import { assertEachHas, type Judge } from "./judge.ts";
import type { ScriptedOrigin } from "./judges.ts";
import type { Readings } from "./reader-process.ts";
import type { Readers } from "./readers.ts";

export interface JudgedDownloads {
  readonly proxyUrl: string;
  readonly origin: ScriptedOrigin;
  readonly readers: Readers;
  readonly downloads: DownloadPrograms;
  readonly judge: Judge;
}

export function codedDownloads({ proxyUrl, origin, readers, downloads, judge }: JudgedDownloads): Campaign {
  const { programs } = downloads;

  /** What the clients of npm and Python get, all of them, and what these programs get. */
  async function readingsOf(order: Order, chosen: typeof programs): Promise<Readings> {
    const readings = new Map(await readers.read("download", order.url, Buffer.from(JSON.stringify(order.headers))));
    for (const program of chosen) {
      const file = await program.fetch(order);
      readings.set(program.name, file === null ? [] : [file]);
    }
    return readings;
  }

  return campaign({
    name: "coded downloads before other readers",
    testRuns: 30,
    arbitrary: fc.record({ coded: codedBodies, program: fc.nat({ max: 11 }) }),
    corpus: misleadingBodies.map((coded, program) => ({ coded, program })),
    least: { delivered: 0.1 },
    async before() {
      const path = origin.nextPath();
      const file = Buffer.from(judge.markers.next());
      origin.serve(path, () => ok(file));
      const readings = await readingsOf({ url: `${origin.base}${path.slice(1)}`, headers: {} }, programs);
      assertEachHas(file, readings, [...readers.known, ...downloads.known], "download");
    },
    async check({ coded, program }, note) {
      judge.begin();
      const path = origin.nextPath();
      const body = bytesOf({ ...coded, transfer: "" }, judge.markers);
      const lines = headerLines(coded).map((name) => `Content-Encoding: ${name}`);
      origin.serve(path, () => ok(body, ...lines));
      const order = { url: `${proxyUrl}${path}`, headers: { "Download-From": origin.base } };
      const describe = () => `an origin's body (base64) ${body.toString("base64")}\nwith ${lines.join(" | ") || "no coding"}`;
      // A process each: one of them will do.
      const chosen = programs.filter((_, index) => index === program % programs.length);
      if (judge.compare(await readingsOf(order, chosen), describe) > 0) note("delivered");
    },
  });
}
