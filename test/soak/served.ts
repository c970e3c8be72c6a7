import type { Exchange } from "../fault/harness/counting-client.ts";

/** One request of steady traffic, as its client saw it. */
export interface Served {
  /** Of what was sent, or asked for. */
  readonly name: string;
  readonly elapsedMs: number;
  /** It got no answer, or one that says that there is none now. */
  readonly isRefused: boolean;
}

export function isRefused({ answer, hasLeft }: Exchange): boolean {
  return !hasLeft && (answer === null || answer.status >= 500);
}
