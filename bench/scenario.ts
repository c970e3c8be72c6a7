/** A part of the benchmark that can be run by its name and fills some lines of the table. */

import type { Row } from "./row.ts";
import type { Stage } from "./stage.ts";

export interface Scenario {
  /** As `--only` takes it. */
  readonly name: string;
  /** Null where it can run; else why it cannot here. */
  readonly missing?: () => string | null;
  run(stage: Stage): Promise<readonly Row[]>;
}
