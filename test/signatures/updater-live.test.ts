import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { canaryBytes, epochOf } from "../../src/signatures/canary.ts";
import { freshclamConf } from "../../src/signatures/freshclam/freshclam-conf.ts";
import type { LoadEpoch } from "../../src/signatures/set-loader.ts";
import { mirror, status } from "./mirror.ts";
import { clamscan, realChild } from "./real-child.ts";
import { container, scratch, textSignature, writeFiles } from "./scratch.ts";
import { updaterStage } from "./updater-stage.ts";

describe("keepSignatures with the real freshclam and the real engine", () => {
  test("fetches, has the canary confirm, and keeps the old set when a new one does not load", async (t) => {
    const stage = await updaterStage(t);
    const source = await scratch(t);
    const own = join(source, "own.ndb");
    const body = join(source, "body");
    await writeFile(own, textSignature("Clamgate.Test.Marker-1", "CLAMGATE-INFECTED-MARKER-0001"));
    await writeFiles(source, { body: "CLAMGATE-INFECTED-MARKER-0001", canary: canaryBytes });
    const server = await mirror(t, status(404));
    const settings = {
      databaseDirectory: stage.database,
      databaseOwner: userInfo().username,
      mirror: server.url,
      customUrls: [`file://${own}`],
      proxy: null,
      connectTimeoutSeconds: 2,
      receiveTimeoutSeconds: 2,
      maxAttempts: 1,
    };
    const configPath = join(source, "freshclam.conf");
    await writeFile(configPath, freshclamConf(settings), { mode: 0o600 });
    const epochs = await stage.epochs();
    const load: LoadEpoch = async (epoch) => {
      const former = await epochs.current();
      await epochs.activate(epoch);
      try {
        const [line = ""] = await clamscan(epochs.currentPath, join(source, "canary"));
        if (epochOf(/: (\S+) FOUND$/.exec(line)?.[1] ?? "") === epoch.id) return { ok: true, faults: [] };
        return { ok: false, reason: line, blame: "set" };
      } catch (error) {
        if (former !== null) await epochs.activate(former);
        return { ok: false, reason: String(error), blame: "set" };
      }
    };
    const freshclam = {
      run: realChild,
      configPath,
      usesDns: false,
      hasCustomUrls: true,
      bounds: { fileBytes: 1024 ** 3, memoryBytes: 1024 ** 3 },
      timeoutMs: 30_000,
    };
    const updater = await stage.updater({ epochs, load, freshclam, firstUpdateMs: 60_000 });
    await updater.start();
    const first = updater.status();
    assert.deepEqual(
      first.set?.files.map(({ name }) => name),
      ["own.ndb"],
    );
    assert.match(first.lastAttempt?.detail ?? "", /custom databases updated: own\.ndb/);
    assert.match((await clamscan(epochs.currentPath, body)).join(), /Clamgate\.Test\.Marker-1\.UNOFFICIAL FOUND$/);

    // Put there by hand: nobody has tested it, and it holds no database at all.
    await writeFile(join(stage.database, "daily.cvd"), container(27001, new Date("2026-11-22T10:00:00Z")));
    await stage.poll();
    await stage.poll();
    assert.match(JSON.stringify(stage.events.at(-1)), /signatures-rejected.*Can't load .*daily\.cvd/);
    assert.equal(updater.status().set?.id, first.set?.id);
    assert.match((await clamscan(epochs.currentPath, body)).join(), /FOUND$/);
  });
});
