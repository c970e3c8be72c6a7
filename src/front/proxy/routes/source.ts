/** Where a download comes from and under which rules: what `Download-From` or a route stands for. */

import type { DownloadMode } from "../../../core/events.ts";
import type { FetchUpstream } from "../../../egress/fetch-upstream.ts";
import type { RequestHeadersOptions } from "../../../egress/request-headers.ts";
import type { Target } from "../../../egress/target.ts";
import type { Replacement } from "./replace-text.ts";
import type { RouteMatch } from "./routes.ts";

export interface Source {
  /** No other source of the gateway has it. */
  readonly id: string;
  /** With the gate of this source alone. */
  readonly fetch: FetchUpstream;
  /** The same that `fetch` was made with. */
  readonly headers: RequestHeadersOptions;
  readonly mode: DownloadMode;
}

export interface RoutedSource extends Source {
  readonly match: RouteMatch;
  readonly base: Target;
  readonly isCacheOn: boolean;
  /** Done to text bodies before they are scanned; a route that has any is always `strict`. */
  readonly rewrite: readonly Replacement[];
}
