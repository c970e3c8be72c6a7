/** The stage of the differential campaigns: a gateway before an engine that remembers, one origin, other people's readers. */

import { startGatewayProcess } from "../../e2e/gateway-process.ts";
import { head, keep, type OriginAct, type OriginRequest, startFakeOrigin } from "../../fake/origin.ts";
import { table } from "../../load/table.ts";
import { openDownloadPrograms } from "../download-programs.ts";
import type { Campaign } from "../harness/campaign.ts";
import { openClient } from "../harness/client.ts";
import { openPoster } from "../harness/raw-post.ts";
import { startWitnessEngine } from "../harness/witness-engine.ts";
import { openJudge } from "./judge.ts";
import { codedDownloads } from "./judged-downloads.ts";
import { changingPieces } from "./judged-pieces.ts";
import { codedUploads, formUploads } from "./judged-uploads.ts";
import { type KnownReader, openReaders, type ReaderChoice } from "./readers.ts";

export interface ScriptedOrigin {
  /** Download-From */
  readonly base: string;
  /** One that was never asked for. */
  nextPath(): string;
  /** Until another path is served. */
  serve(path: string, act: (request: OriginRequest) => OriginAct): void;
}

export interface Judges extends AsyncDisposable {
  readonly campaigns: readonly Campaign[];
  readonly readers: readonly KnownReader[];
  /** Each reader with its version, and how many files with a marker it has taken out of what the gateway called clean. */
  account(): string;
}

export async function openJudges(choice: ReaderChoice): Promise<Judges> {
  await using opened = new AsyncDisposableStack();
  const readers = opened.use(await openReaders(choice));
  const downloads = opened.use(await openDownloadPrograms(choice === "all" ? ["curl", "wget", "aria2c"] : ["curl"]));
  const engine = opened.use(await startWitnessEngine());
  const scripts = new Map<string, (request: OriginRequest) => OriginAct>();
  const missing = keep(head(404, "Content-Length: 0"));
  const server = opened.use(await startFakeOrigin((request) => scripts.get(request.path)?.(request) ?? missing));
  const gateway = opened.use(
    await startGatewayProcess({
      args: ["serve"],
      env: {
        CLAMD_PORT: `tcp://127.0.0.1:${engine.address.port}`,
        DOWNLOAD_ORIGINS: `http://127.0.0.1:${server.port}`,
        DOWNLOAD_ALLOW_PRIVATE: `127.0.0.1:${server.port}`,
        DOWNLOAD_IDLE_TIMEOUT: "5s",
        VERDICT_CACHE: "memory:",
      },
    }),
  );
  await gateway.ready();
  const poster = opened.use(openPoster(gateway.port));
  const client = opened.use(openClient());
  const judge = openJudge(engine, () => {
    gateway.lines.length = 0; // half an hour of them would be a lot
  });
  let paths = 0;
  const origin: ScriptedOrigin = {
    base: `http://127.0.0.1:${server.port}/`,
    nextPath() {
      paths += 1;
      return `/file-${paths}`;
    },
    serve(path, act) {
      scripts.clear();
      scripts.set(path, act);
    },
  };
  const known = [...readers.known, ...downloads.known];
  const uploads = { poster, readers, judge };
  const fetched = { proxyUrl: gateway.proxyUrl, origin, readers, downloads, judge };
  const owned = opened.move();
  return {
    readers: known,
    campaigns: [formUploads(uploads), codedUploads(uploads), codedDownloads(fetched), changingPieces({ ...fetched, client })],
    account: () =>
      table(
        ["Reader of", "Name", "Version", "Marked files, all scanned"],
        known.map(({ kind, name, version }) => [kind, name, version ?? "MISSING", judge.files.get(name) ?? 0]),
      ),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
