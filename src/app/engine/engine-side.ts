/** What the gateway needs of its engine's side, whether clamd is ours or given. */

import type { ReadinessState } from "../../front/ops/readiness.ts";
import type { UpdateTimes } from "../../metrics/update-gauges.ts";
import type { KeptOut } from "../../signatures/set-loader.ts";

export interface EngineSide {
  /** Resolves when an engine has proved itself, or with nothing to be had for now; rejects when there is no point in going on. */
  start(): Promise<void>;
  /** Looks the addresses of given engines up now; an own one follows its files by itself. */
  reload(): Promise<void>;
  /** Resolves when nothing of it is left. */
  stop(): Promise<void>;
  /** Ends it at once. */
  kill(): void;
  signatures(): SignatureState;
  /** How many backends there should be. */
  expectedBackends(): number;
  /** For the metrics that clamav-rest has. */
  readonly updateTimes: UpdateTimes;
}

export interface SignatureState {
  readonly isLoaded: boolean;
  /** True when nothing but the built-in test signatures is loaded. */
  readonly isTestOnly: boolean;
  readonly builtAt: Date | null;
  /** As `ReadinessState.signatures.files`. */
  readonly files: ReadinessState["signatures"]["files"];
  /** What should be in use and is not; names no path. */
  readonly keptOut: readonly KeptOut[];
  /** One line for people. */
  readonly description: string;
}
