/** A client process: takes orders over IPC, one at a time, and ends with its parent. */

import { sendArrivals } from "./arrivals.ts";
import type { ClientOrder, ClientReply } from "./client-work.ts";
import { Crowd } from "./crowd.ts";
import { downloadStreams } from "./download-streams.ts";
import { Flood } from "./flood.ts";
import { Hoard } from "./hoard.ts";
import { workBeside } from "./others.ts";
import { uploadAtOnce } from "./uploads.ts";

let crowd: Crowd | null = null;
let hoard: Hoard | null = null;
let flood: Flood | null = null;

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
      return present(crowd).state();
    case "disperse":
      return present(crowd).disperse();
    case "hoard":
      hoard = new Hoard(given.order);
      return await hoard.gather();
    case "hoarded":
      return present(hoard).state();
    case "release":
      return present(hoard).release();
    case "others":
      return await workBeside(given.order);
    case "flood":
      flood = new Flood(given.order);
      return flood.begin();
    case "ebb":
      return present(flood).end();
  }
}

function present<T>(gathered: T | null): T {
  if (gathered === null) throw new Error("there is none");
  return gathered;
}
