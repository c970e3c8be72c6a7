import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { startGatewayProcess } from "../../e2e/gateway-process.ts";
import { eventually } from "../../process/stage.ts";
import { scratchDirectory } from "../../scratch-directory.ts";
import { textSignature, writeFiles } from "../../signatures/scratch.ts";

describe("managedEngine", () => {
  test("starts no clamd when it is stopped while the first set is made ready", async () => {
    await using database = await scratchDirectory();
    // Each is copied: that takes longer than the signal to arrive.
    const names = Array.from({ length: 1_000 }, (_, index) => `own-${index}.ndb`);
    await writeFiles(database.path, Object.fromEntries(names.map((name) => [name, textSignature(name, name)])));
    await using gateway = await startGatewayProcess({ args: ["serve"], env: { DATABASE_DIRECTORY: database.path } });
    const isBegun = async () => (await readdir(join(gateway.state, "epochs"))).some((name) => name.startsWith(".new-"));
    await eventually("the set is being made ready", isBegun);
    gateway.signal("SIGTERM");
    assert.equal(await gateway.ended, 0);
    assert.deepEqual(
      gateway.lines.filter((line) => /"child started"|could not be loaded/.test(line)),
      [],
    );
    await using again = await startGatewayProcess({ args: ["serve"], env: { DATABASE_DIRECTORY: database.path } });
    await again.ready();
  });
});
