/** The promises of one request: each is an allocation and a turn of the microtask queue, and a step that a reader has to follow. */

import { spreadOf } from "../load/statistics.ts";
import type { Row } from "../row.ts";
import type { Scenario } from "../scenario.ts";
import { type CountedWalk, countRequests } from "../walk/count-requests.ts";

const most: Readonly<Record<CountedWalk["request"], number | null>> = {
  "new upload": 40,
  "repeated upload": 15,
  "strict download": null,
};

export const walk: Scenario = {
  name: "walk",
  async run(stage) {
    await stage.clear();
    return (await countRequests()).map(({ request, walk }): Row => {
      const atMost = most[request];
      return {
        scenario: this.name,
        what: `${request} of 1 KiB: promises`,
        target: atMost === null ? null : { atMost },
        measured: spreadOf([walk.promises]),
        unit: "promises",
        isOneShot: true,
        figures: (["functions", "files", "timers"] as const).map((name) => ({ name, unit: "", spread: spreadOf([walk[name]]) })),
      };
    });
  },
};
