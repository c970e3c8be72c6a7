/** The sources of a gateway: one for `Download-From`, one for each route, none of which can reach what another may (download-proxy.md S9, S10, S13). */

import type { OriginRule } from "../../../codec/origin-rule.ts";
import type { DownloadMode } from "../../../core/events.ts";
import type { FetchUpstream } from "../../../egress/fetch-upstream.ts";
import type { RequestHeadersOptions } from "../../../egress/request-headers.ts";
import type { Target } from "../../../egress/target.ts";
import { createUpstream, type Upstream, type UpstreamOptions } from "../../../egress/upstream.ts";
import type { Replacement } from "./replace-text.ts";
import type { Route, RouteMatch } from "./routes.ts";

export interface Source {
  /** No other source of the gateway has it. */
  readonly id: string;
  /** These two with the gate of this source alone. */
  readonly lookUp: Upstream["lookUp"];
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

export interface SourcesOptions {
  readonly routes: readonly Route[];
  /** `DOWNLOAD_MODE`: of `Download-From`, and of routes that name none. */
  readonly mode: DownloadMode;
  /** For `Download-From`. A route has the same but for its origins and headers; private addresses are only those that it lists itself. */
  readonly upstream: UpstreamOptions;
}

export interface Sources {
  readonly source: Source;
  readonly routes: readonly RoutedSource[];
  /** Ends every connection; what is still being fetched fails with `stopping`. */
  close(): Promise<void>;
}

export function createSources({ routes, mode, upstream }: SourcesOptions): Sources {
  const opened: Upstream[] = [];
  const open = (options: UpstreamOptions): Pick<Source, "lookUp" | "fetch" | "headers"> => {
    const made = createUpstream(options);
    opened.push(made);
    return { lookUp: made.lookUp, fetch: made.fetch, headers: options.headers };
  };
  return {
    source: { id: "Download-From", ...open(upstream), mode },
    routes: routes.map((route, place) => ({
      id: `route ${place}`,
      ...open({
        ...upstream,
        origins: [ruleOf(route.base)],
        redirectOrigins: [...upstream.redirectOrigins, ...route.redirectOrigins],
        allowPrivate: route.allowPrivate,
        carryHeaders: route.carryHeaders,
        headers: {
          gatewayId: upstream.headers.gatewayId,
          forwardAuthorization: route.forwardAuthorization,
          forwardHeaders: route.forwardHeaders,
        },
      }),
      match: route.match,
      base: route.base,
      isCacheOn: route.isCacheOn,
      mode: route.rewrite.length > 0 ? "strict" : (route.mode ?? mode),
      rewrite: route.rewrite,
    })),
    async close() {
      await Promise.all(opened.map((one) => one.close()));
    },
  };
}

/** Named, so its port and even an internal name are allowed; where the name leads is still for `allowPrivate` to say. */
function ruleOf({ scheme, host, port }: Target): OriginRule {
  return { kind: "origin", schemes: [scheme], host: { kind: "exact", name: host }, port, prefix: "/" };
}
