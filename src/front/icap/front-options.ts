/** What the ICAP front is made with. */

import type { AgingMap } from "../../core/aging-map.ts";
import type { Clock } from "../../core/clock.ts";
import type { Emit } from "../../core/events.ts";
import type { Policy, Scan } from "../../core/scan.ts";
import type { TricklePace } from "../../core/trickle.ts";
import type { FailureAnswers } from "./failures.ts";
import type { Istag } from "./istag.ts";

export interface IcapFrontOptions {
  readonly scan: Scan;
  readonly policy: Policy;
  readonly istag: Istag;
  /** Whether an engine is there: with the word `status` OPTIONS tells. */
  readonly isReady: () => boolean;
  /** Bytes of the largest body. */
  readonly maxBytes: number;
  /** Parts of one form. */
  readonly maxParts: number;
  /** Paths without their first slash; null: every path. */
  readonly services: ReadonlySet<string> | null;
  /** Bytes of the preview that clients are asked for; null where none is. */
  readonly preview: number | null;
  readonly maxConnections: number;
  readonly onError: FailureAnswers;
  /** Null: no byte goes back before the verdict. */
  readonly trickle: TricklePace | null;
  /** Addresses, as digests, whose trickle was cut: the next answer of theirs does not trickle, so that its client is told why. */
  readonly cutUrls: AgingMap<true>;
  /** For a head, from its first byte, and for the first byte of a connection. */
  readonly headTimeoutMs: number;
  /** Between requests, and between bytes of a body. */
  readonly idleTimeoutMs: number;
  /** How long a client may take no byte of its answer, and how long what nobody needs is read. */
  readonly patienceMs: number;
  readonly retryAfterSeconds: number;
  readonly uniqueId: () => string;
  readonly clock: Clock;
  readonly emit: Emit;
}
