/** A gateway for the campaigns that need one: real clamd, one allowed origin, a witness that must never be called, a root of paths. */

import assert from "node:assert/strict";
import { createServer } from "node:net";
import { type GatewayProcess, startGatewayProcess } from "../../e2e/gateway-process.ts";
import { head, keep, type OriginAct, startFakeOrigin } from "../../fake/origin.ts";
import { assertNothingLeft } from "../../fault/harness/invariants.ts";
import { type Residue, residueOf } from "../../fault/harness/residue.ts";
import { testDatabase } from "../../fault/test-database.ts";
import { listening } from "../../listening.ts";
import { mebibyte } from "../../live/clamd.ts";
import { archives } from "../archives.ts";
import { bombs } from "../bombs.ts";
import { clamdReplies } from "../clamd-replies.ts";
import { brokenContainers, containers } from "../containers.ts";
import { downloadUrls } from "../download-urls.ts";
import { forgedDigests } from "../forged-digests.ts";
import { codedUploads } from "../forms/coded-uploads.ts";
import { fileNames } from "../forms/file-names.ts";
import { multipartBodies, uploads } from "../forms/multipart-bodies.ts";
import { httpHeads } from "../http-heads.ts";
import { icapRequests } from "../icap-requests.ts";
import { originAnswers } from "../origin-answers.ts";
import { pathStage, scanPaths } from "../scan-paths.ts";
import { proxySmuggling, restSmuggling } from "../smuggling.ts";
import { unsupportedBodies, unsupportedFormats } from "../unsupported-formats.ts";
import type { Campaign } from "./campaign.ts";
import { openClient } from "./client.ts";
import { downloadFront, type Origin, restFront } from "./fronts.ts";
import { scanLog } from "./scan-log.ts";
import { sizes } from "./sizes.ts";

export interface FuzzStage extends AsyncDisposable {
  readonly gateway: GatewayProcess;
  readonly campaigns: readonly Campaign[];
  /** Rejects where the gateway holds more than before the first campaign, or has written anything but JSON. */
  closingLook(): Promise<Residue>;
}

const maxFileBytes = 4 * mebibyte;
/** What the origin keeps for downloads that are under way. */
const mostFiles = 16;

export async function openFuzzStage(): Promise<FuzzStage> {
  await using opened = new AsyncDisposableStack();
  const database = opened.use(await testDatabase());
  const paths = opened.use(await pathStage());
  const files = new Map<string, OriginAct>();
  const missing = keep(head(404, "Content-Length: 0"));
  const origin = opened.use(await startFakeOrigin((request) => files.get(request.path) ?? missing));
  const witness = opened.use(await startWitness());
  const gateway = opened.use(
    await startGatewayProcess({
      args: ["serve"],
      env: {
        DATABASE_DIRECTORY: database.path,
        SCAN_PATH_ROOTS: paths.root,
        DOWNLOAD_ORIGINS: `http://127.0.0.1:${origin.port}`,
        DOWNLOAD_ALLOW_PRIVATE: `127.0.0.1:${origin.port}`,
        DOWNLOAD_IDLE_TIMEOUT: "2s",
        DOWNLOAD_TIMEOUT: "15s",
        ICAP_PORT: "0",
        ICAP_ON_ERROR: "reset,proxy=page,told=status",
        ICAP_IDLE_TIMEOUT: "2s",
        MAX_FILE_SIZE: String(maxFileBytes),
        MAX_SCAN_SIZE: "16M",
        // clamd goes through a zip's directory once for each of its entries.
        MAX_SCAN_TIME: "3s",
        UNSUPPORTED_FORMATS: unsupportedFormats,
        VERDICT_CACHE: "memory:",
      },
    }),
  );
  await gateway.ready();
  const served: Origin = {
    base: `http://127.0.0.1:${origin.port}/`,
    serve(path, act) {
      files.set(path, act);
      const [oldest] = files.keys();
      if (files.size > mostFiles && oldest !== undefined) files.delete(oldest);
    },
  };
  const client = opened.use(openClient());
  const rest = restFront(client, gateway.url);
  const proxy = downloadFront(client, gateway.proxyUrl, served);
  const log = scanLog(gateway.lines);
  const before = await residueOf(gateway);
  const icapPort = Number(/icap:\/\/127\.0\.0\.1:(\d+)/.exec(await gateway.line("ICAP on "))?.[1]);
  const owned = opened.move();
  return {
    gateway,
    campaigns: [
      clamdReplies,
      multipartBodies,
      uploads(client, gateway.url),
      codedUploads(client, gateway.url),
      fileNames(client, gateway.url),
      httpHeads(restSmuggling(rest, gateway.port, log)),
      httpHeads(proxySmuggling(proxy, gateway.proxyPort, origin)),
      icapRequests(icapPort),
      scanPaths(client, gateway.url, paths.root),
      ...[rest, proxy].flatMap((front) => [
        archives(front),
        containers(front),
        brokenContainers(front),
        bombs(front),
        sizes(front, maxFileBytes),
        forgedDigests(front, log),
        unsupportedBodies(front),
      ]),
      originAnswers({ client, proxyUrl: gateway.proxyUrl, origin: served }),
      downloadUrls({
        proxyPort: gateway.proxyPort,
        originPort: origin.port,
        witnessPort: witness.port,
        witnessed: witness.called,
      }),
    ],
    async closingLook() {
      assert.equal(witness.called(), 0, "the witness was called, after the campaign");
      // What the client keeps alive for its next request is no leak of the gateway's.
      await client.disconnect();
      const after = await assertNothingLeft(gateway, { before });
      for (const line of gateway.lines) {
        assert.doesNotThrow(() => JSON.parse(line), `no JSON: ${line}`);
        assert.doesNotMatch(line, /\p{Cc}|[\u2028\u2029\u202a-\u202e]/u);
      }
      return after;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

interface Witness extends AsyncDisposable {
  readonly port: number;
  called(): number;
}

async function startWitness(): Promise<Witness> {
  let called = 0;
  const server = createServer((socket) => {
    called += 1;
    socket.on("error", () => {}); // it is only counted
    socket.end("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nwitness");
  });
  const port = await listening(server);
  return {
    port,
    called: () => called,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
