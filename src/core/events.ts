/** What happened, for logs and metrics: the events, and the function that takes them. */

import type { ErrorCode } from "./errors.ts";
import type { EngineVersion, UnscannableReason, Verdict } from "./verdict.ts";
import type { WaitOutcome } from "./verdict-cache.ts";

export type FrontName = "rest" | "proxy" | "icap" | "clamd";

/** Of the REST front: `other` is a path without a route, `none` what is no request. */
export const routes = [
  "/v2/scan",
  "/scan",
  "/scanHandlerBody",
  "/scanFile",
  "/scanPath",
  "/version",
  "/",
  "/v3/scan",
  "/v3/verdicts/:sha256",
  "/v3/status",
  "other",
  "none",
] as const;

export type Route = (typeof routes)[number];

export type GatewayEvent =
  | {
      readonly kind: "scanned";
      readonly via: FrontName;
      readonly requestId: string;
      /** The sender's name for the body, unsanitised. */
      readonly name: string;
      readonly sha256: string;
      readonly size: number;
      readonly verdict: Verdict;
      readonly isAllowed: boolean;
      /** How the verdict was come by. */
      readonly source: "engine" | "cache" | "shared" | "blocklist";
      readonly backend: string | null;
      readonly queueSeconds: number;
      readonly scanSeconds: number;
      readonly seconds: number;
    }
  | {
      readonly kind: "scan-failed";
      readonly via: FrontName;
      readonly requestId: string;
      readonly name: string;
      readonly code: ErrorCode;
      readonly detail: string;
      readonly seconds: number;
    }
  /** One request over HTTP: its answer is decided, and not sent yet. */
  | {
      readonly kind: "answered";
      readonly requestId: string;
      /** What the client calls it. */
      readonly givenId: string | null;
      /** As `clientAddress`. */
      readonly client: string;
      /** The id of a client that has shown who it is; null where nobody was asked, or it is not certain. */
      readonly who: string | null;
      /** Null for what is no request. */
      readonly method: string | null;
      readonly route: Route;
      readonly status: number;
    }
  /** A request was not let in; its answer follows. */
  | {
      readonly kind: "access-refused";
      readonly requestId: string;
      readonly reason: AccessRefusal;
      /** What is wrong with its token; null where there is none. */
      readonly detail: string | null;
    }
  /** API_KEYS_FILE has other entries than before, by their ids. */
  | {
      readonly kind: "keys-changed";
      readonly added: readonly string[];
      readonly removed: readonly string[];
      readonly changed: readonly string[];
    }
  /** API_KEYS_FILE cannot be used as it is: the entries of before stay. */
  | { readonly kind: "key-file-failed"; readonly reason: string; readonly isRepeated: boolean }
  | { readonly kind: "backend-up"; readonly backend: string; readonly version: EngineVersion }
  | { readonly kind: "backend-down"; readonly backend: string; readonly reason: string }
  | { readonly kind: "child-started"; readonly child: string; readonly pid: number }
  | { readonly kind: "child-line"; readonly child: string; readonly line: string }
  | { readonly kind: "child-exited"; readonly child: string; readonly reason: string; readonly restartInMs: number | null }
  | {
      readonly kind: "signatures-loaded";
      readonly set: string;
      readonly files: number;
      readonly isTestOnly: boolean;
      readonly seconds: number;
    }
  | { readonly kind: "signatures-rejected"; readonly set: string; readonly reason: string }
  /** One file that does not load, or not whole, and what is said of it. */
  | { readonly kind: "signature-file-kept-out"; readonly file: string; readonly reason: string }
  | { readonly kind: "signatures-checked"; readonly outcome: UpdateOutcome; readonly detail: string; readonly seconds: number }
  | {
      readonly kind: "cache-failed";
      readonly operation: "open" | "get" | "set" | "close";
      readonly detail: string;
      /** One more of what was told a short while ago: to be counted, not read. */
      readonly isRepeated?: true;
    }
  /** A scan that another gateway had begun was waited for. */
  | { readonly kind: "scan-awaited"; readonly outcome: WaitOutcome; readonly seconds: number }
  /** One request to the download proxy, when its answer has ended. */
  | {
      readonly kind: "download";
      readonly requestId: string;
      /** Of the connection. */
      readonly peer: string;
      /** As `answered` has it. */
      readonly who: string | null;
      readonly method: string;
      /** Without credentials, query and fragment; null where none could be made out. */
      readonly url: string | null;
      /** What the client was told; 0 where it was told nothing. */
      readonly status: number;
      readonly outcome: DownloadOutcome;
      /** Of `failed` and `cut`, where an error was the reason. */
      readonly code: ErrorCode | null;
      /** For the log only. */
      readonly detail: string | null;
      readonly mode: DownloadMode;
      /** Whether the verdict of the address was known; `off` where it may not be remembered. */
      readonly cache: "hit" | "miss" | "off";
      /** The answer was that of a download which another request had begun. */
      readonly isCollapsed: boolean;
      /** Bytes of the origin's body; 0 where there was none or it did not end. */
      readonly size: number;
      /** Bytes of the object that were sent before its verdict was known. */
      readonly releasedBytes: number;
      readonly downloadSeconds: number;
      /** From the last byte of the download to the verdict. */
      readonly scanSeconds: number;
      readonly seconds: number;
    }
  /** Somebody asked for an origin that is not allowed. */
  | {
      readonly kind: "download-denied";
      readonly requestId: string;
      readonly peer: string;
      readonly host: string;
      readonly detail: string;
    }
  /** One request over ICAP, when its answer has been given. */
  | {
      readonly kind: "icap";
      readonly requestId: string;
      readonly peer: string;
      readonly isTls: boolean;
      readonly method: IcapRequestMethod;
      /** Its path, without the first slash and the query. */
      readonly service: string;
      /** Whom the client acts for: an address, or null. */
      readonly client: string | null;
      readonly user: string | null;
      readonly httpMethod: string | null;
      readonly httpStatus: number | null;
      /** Without credentials, query and fragment; null where none could be made out. */
      readonly url: string | null;
      /** Bytes of the encapsulated body that came. */
      readonly size: number;
      /** Null where there is no verdict on a body. */
      readonly sha256: string | null;
      readonly verdict: Verdict | null;
      /** The relaxation that let it pass. */
      readonly relaxedFor: UnscannableReason | null;
      readonly answer: IcapAnswer;
      /** Where there is no verdict. */
      readonly code: ErrorCode | null;
      /** For the log only. */
      readonly detail: string | null;
      /** Bytes that came in the preview; null where there was none. */
      readonly previewBytes: number | null;
      /** The preview was the whole body. */
      readonly isInPreview: boolean;
      readonly allows204: boolean;
      /** Part of a file that is never seen whole. */
      readonly isPartial: boolean;
      /** Bytes of the body that were sent back after its verdict. */
      readonly echoedBytes: number;
      /** Bytes of the body that were sent before its verdict was known. */
      readonly releasedBytes: number;
      readonly seconds: number;
    }
  /** A connection to the ICAP port that was reset before anything was read. */
  | { readonly kind: "icap-refused"; readonly reason: IcapRefusal; readonly peer: string }
  /** A request of a client that has had all that it may have for now. */
  | { readonly kind: "limited"; readonly client: string; readonly policies: readonly LimitPolicy[] }
  /** What a client has used of its quota could not be learned: its request went on. */
  | { readonly kind: "quota-unknown"; readonly client: string }
  /** Somebody still posts to `/scan`, whatever came of the request (rest.md 34). */
  | { readonly kind: "deprecated-endpoint" }
  /** One command to the clamd door, by its name; `other` is none that it knows. */
  | { readonly kind: "clamd-command"; readonly command: string }
  /** What the clamd door would not do. */
  | {
      readonly kind: "clamd-refused";
      readonly reason: ClamdRefusal;
      readonly peer: string;
      /** The beginning of what was sent, unsanitised; empty for a connection. */
      readonly detail: string;
    }
  /** A client of the clamd door has sent too little for too long. */
  | { readonly kind: "clamd-read-timeout"; readonly peer: string }
  | { readonly kind: "notice"; readonly level: "info" | "warn" | "error"; readonly message: string };

/** The peer may not come in, too many are there, nobody may have such a command obeyed, or it is no command. */
export type ClamdRefusal = "peer" | "connections" | "command" | "unknown";

/** conflict: two keys that differ; certificate: no entry names it; network: an address that the client may not come from; unavailable: the keys that tokens are checked with cannot be had. */
export type AccessRefusal = (typeof accessRefusals)[number];

export const accessRefusals = [
  "no-credentials",
  "conflict",
  "unknown",
  "expired",
  "certificate",
  "network",
  "scope",
  "unavailable",
] as const;

/** What limits a client; the names are those of the RateLimit fields. */
export type LimitPolicy = "requests" | "bytes" | "concurrent" | "quota-bytes";

export type DownloadMode = "strict" | "trickle" | "verified-stream";

export type DownloadOutcome = "delivered" | "bodiless" | "blocked" | "cut" | "gone" | "failed";

export type IcapRequestMethod = "OPTIONS" | "REQMOD" | "RESPMOD" | "other";

/**
 * echo: the message was sent back as it came; block: a page in its place; page: a page that says that it could not be scanned; reset:
 * the connection was reset, no byte was sent; cut: it was reset after some bytes had been; gone: the client was not there any more.
 * The numbers are statuses.
 */
export type IcapAnswer =
  | "options"
  | "204"
  | "echo"
  | "block"
  | "page"
  | "reset"
  | "cut"
  | "gone"
  | "400"
  | "404"
  | "408"
  | "418"
  | "500"
  | "501"
  | "503"
  | "505";

/** limit: too many connections; peer: an address that may not connect; tls: no handshake, or no certificate that we know. */
export type IcapRefusal = "limit" | "peer" | "tls";

export type UpdateOutcome = "updated" | "up-to-date" | "rate-limited" | "blocked" | "failed";

export type Emit = (event: GatewayEvent) => void;
