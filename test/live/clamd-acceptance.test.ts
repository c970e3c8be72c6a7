/** The acceptance cases of the clamd door, asked of the installed clamd: what we say of clamd is true, and where it differs is written down. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { describe, test } from "node:test";
import { acceptanceCases, acceptanceFiles } from "../front/clamd/acceptance.ts";
import { type DoorAddress, open } from "../front/clamd/door-client.ts";
import { scratchDirectory } from "../scratch-directory.ts";
import { marker, markerName, startRealClamd } from "./clamd.ts";

describe("clamd itself", () => {
  for (const listens of ["unix", "tcp"] as const) {
    test(`answers over ${listens} as the door does, but where the contract says so`, async (context) => {
      await using scratch = await scratchDirectory(acceptanceFiles(marker));
      await mkdir(scratch.at("empty"));
      execFileSync("mkfifo", [scratch.at("fifo")]);
      await using clamd = await startRealClamd({ listens, conf: "AllowAllMatchScan yes\n" });
      const { address } = clamd;
      const at: DoorAddress = address.kind === "unix" ? { path: address.path } : { host: address.host, port: address.port };
      for (const { id, send, finishes, answer, clamd: own } of acceptanceCases({
        infected: marker,
        name: markerName,
        root: scratch.path,
      })) {
        if (own === null) continue;
        await context.test(`${id}: ${JSON.stringify(send.join("")).slice(0, 60)}`, { timeout: 20_000 }, async () => {
          const connection = open(at);
          await connection.send(...send);
          if (finishes) connection.finish();
          const { text } = await connection.heard;
          const expected = own ?? answer;
          if (typeof expected === "string") assert.equal(text, expected);
          else if (expected instanceof RegExp) assert.match(text, expected);
          else assert.deepEqual(text.split(/(?<=[\0\n])/).toSorted(), [...expected].toSorted());
        });
      }
    });
  }
});
