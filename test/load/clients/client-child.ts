/** A client process: takes orders over IPC, one at a time, and ends with its parent. */

import { sendArrivals } from "./arrivals.ts";
import type { ClientOrder, ClientReply } from "./client-work.ts";
import { Crowd } from "./crowd.ts";
import { downloadStreams } from "./download-streams.ts";
import { uploadAtOnce } from "./uploads.ts";

let crowd: Crowd | null = null;

process.on("message", (order: ClientOrder) => {
  const answer = (reply: ClientReply) => process.send?.(reply);
  work(order).then(
    (result) => answer({ kind: "done", result }),
    (error: unknown) => answer({ kind: "failed", reason: error instanceof Error ? `${error.stack}` : String(error) }),
  );
});
process.on("disconnect", () => process.exit());

async function work(given: ClientOrder) {
  switch (given.kind) {
    case "arrivals":
      return await sendArrivals(given.order);
    case "uploads":
      return await uploadAtOnce(given.order);
    case "streams":
      return await downloadStreams(given.order);
    case "gather":
      crowd = new Crowd(given.order);
      return await crowd.gather();
    case "count":
      return present().state();
    case "disperse":
      return present().disperse();
  }
}

function present(): Crowd {
  if (crowd === null) throw new Error("there is no crowd");
  return crowd;
}
