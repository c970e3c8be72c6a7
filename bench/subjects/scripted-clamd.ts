/** A clamd that takes the same time for every scan and no processor for it: what its number makes of a rate can be told on any machine. */

import { setTimeout as delay } from "node:timers/promises";
import { clean, startFakeClamd } from "../../test/fake/clamd.ts";

const scanMs = Number(process.argv[2]);

const { address } = await startFakeClamd({
  async scan() {
    await delay(scanMs);
    return clean;
  },
});
console.log(`listening on tcp://${address.host}:${address.port}`);
process.on("SIGTERM", () => process.exit());
