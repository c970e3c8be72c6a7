/** The lines a person sees. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createProgress } from "../../setup/progress.mjs";

/** @param {boolean} isVerbose */
function recorded(isVerbose) {
  let [text, clock] = ["", 0];
  const progress = createProgress({
    write: (piece) => {
      text += piece;
    },
    now: () => clock,
    isVerbose,
  });
  const work = async () => {
    clock += 12_345;
    return 7;
  };
  return { progress, work, text: () => text };
}

describe("createProgress", () => {
  test("gives each step one line with its time", async () => {
    const { progress, work, text } = recorded(false);
    assert.equal(await progress.step("installing a, b", work), 7);
    progress.note("by the way");
    assert.equal(text(), "set-up: installing a, b ... done in 12.3 s\nset-up: by the way\n");
  });

  test("shows a failure as one, thrown or returned", async () => {
    const { progress, work, text } = recorded(false);
    const failing = async () => {
      await work();
      throw new Error("no");
    };
    await assert.rejects(progress.step("a", failing), { message: "no" });
    await progress.step("b", work, (result) => result === 0);
    assert.equal(text(), "set-up: a ... failed after 12.3 s\nset-up: b ... failed after 12.3 s\n");
  });

  test("leaves room for the tools' own lines when verbose", async () => {
    const { progress, work, text } = recorded(true);
    await progress.step("a", work);
    assert.equal(text(), "set-up: a\nset-up: a: done in 12.3 s\n");
  });
});
