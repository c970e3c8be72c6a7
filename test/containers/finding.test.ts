import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { finding, findingNames } from "../../src/containers/finding.ts";

describe("the names of what is found", () => {
  test("stand in docs/containers.md with their reasons, and no others", async () => {
    const text = await readFile(new URL("../../docs/containers.md", import.meta.url), "utf8");
    const rows = [...text.matchAll(/^\| `(Heuristics\.Clamgate\.[\w.]+)` \| (\w+) \|/gm)].map(([, name, reason]) => [
      name,
      reason,
    ]);
    assert.deepEqual(
      rows,
      findingNames.map(finding).map(({ heuristic, reason }) => [heuristic, reason]),
    );
  });
});
