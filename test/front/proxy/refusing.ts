/** Asserts that something fails with an error of ours, and that the client learns nothing else from it. */

import assert from "node:assert/strict";
import { ClamgateError, type ErrorCode } from "../../../src/core/errors.ts";

export function failsWith(code: ErrorCode, publicMessage?: string): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof ClamgateError, String(error));
    assert.equal(error.code, code, error.message);
    if (publicMessage !== undefined) assert.equal(error.publicMessage, publicMessage);
    assert.doesNotMatch(error.publicMessage, /\d+\.\d+\.\d+\.\d+|ECONN|ENOTFOUND|UND_ERR|HPE_/);
    return true;
  };
}

/** S16: one text for everything that is not allowed. */
export const isRefused = failsWith("forbidden", "This origin is not allowed");
