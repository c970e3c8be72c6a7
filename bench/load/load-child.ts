/** The load process: takes orders over IPC, one at a time, and ends with its parent. */

import { randomBytes } from "node:crypto";
import { messageOf } from "../../src/core/errors.ts";
import type { LoadOrder, LoadReply } from "./load.ts";
import { runLoad } from "./run-load.ts";

process.on("message", (order: LoadOrder) => {
  const answer = (reply: LoadReply) => process.send?.(reply);
  runLoad(order, randomBytes(4).toString("hex")).then(
    (result) => answer({ kind: "done", result }),
    (error: unknown) => answer({ kind: "failed", reason: messageOf(error) }),
  );
});
process.on("disconnect", () => process.exit());
