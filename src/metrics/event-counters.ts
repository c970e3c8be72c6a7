/** Counts what happened. Every series of a closed set is there at 0 before its first event. */

import type { Registry } from "@prometheus-io/client";
import { commandNames } from "../codec/clamd/request.ts";
import { errorCodes } from "../core/errors.ts";
import { accessRefusals, type Emit, type GatewayEvent, routes } from "../core/events.ts";
import { unscannableReasons } from "../core/verdict.ts";
import { counter, counterBy, counterByBoth, type Series, type SeriesName, timings } from "./series.ts";

// Each a whole union of core: a member that is missing here is a type error where its series is looked up.
const fronts = ["rest", "proxy", "icap", "clamd"] as const;
const verdictKinds = ["clean", "infected", "unscannable"] as const;
const sources = ["engine", "cache", "shared", "blocklist"] as const;
const waitOutcomes = ["verdict", "released", "lapsed", "overdue", "failed"] as const;
const cacheOperations = ["open", "get", "set", "close"] as const;
const answerStatuses = [
  "200",
  "307",
  "400",
  "401",
  "403",
  "404",
  "405",
  "406",
  "408",
  "412",
  "413",
  "415",
  "417",
  "422",
  "429",
  "431",
  "500",
  "501",
  "503",
  "other",
] as const;
const downloadModes = ["strict", "trickle", "verified-stream"] as const;
const downloadOutcomes = ["delivered", "bodiless", "blocked", "cut", "gone", "failed"] as const;
const icapMethods = ["OPTIONS", "REQMOD", "RESPMOD", "other"] as const;
const icapAnswers = [
  "options",
  "204",
  "echo",
  "block",
  "page",
  "reset",
  "cut",
  "gone",
  "400",
  "404",
  "408",
  "418",
  "500",
  "501",
  "503",
  "505",
] as const;
const icapRefusals = ["limit", "peer", "tls"] as const;
const limitPolicies = ["requests", "bytes", "concurrent", "quota-bytes"] as const;
const updateOutcomes = ["updated", "up-to-date", "rate-limited", "blocked", "failed"] as const;

export interface EventCountersOptions {
  readonly registry: Registry;
  /** The label values of `clamgate_child_restarts_total`; any other child counts as `other`. */
  readonly children: readonly string[];
}

export function countEvents({ registry, children }: EventCountersOptions): Emit {
  const ours = (name: string, help: string): SeriesName => ({ registry, name: `clamgate_${name}`, help });
  const countScanned = scanCounters(registry, ours);
  const released = counter(ours("released_bytes_total", "Bytes that were sent before their verdict was known."));
  const countDownload = downloadCounters(ours, released);
  const countIcap = icapCounters(ours, released);
  const refused = counterBy(
    ours("icap_connections_refused_total", "Connections to the ICAP port that were reset at once."),
    "reason",
    icapRefusals,
  );
  const commands = counterBy<string>(ours("clamd_commands_total", "Commands to the clamd door."), "command", [
    ...commandNames,
    "other",
  ]);
  const refusals = counterBy(
    ours("clamd_refused_total", "Connections and commands that the clamd door refused; unknown commands count as `command`."),
    "reason",
    ["peer", "connections", "command"],
  );
  const readTimeouts = counter(ours("clamd_read_timeouts_total", "Clients of the clamd door that sent too little for too long."));
  const denied = counter(ours("downloads_denied_total", "Downloads from origins that are not allowed."));
  const deprecatedHits = counter({
    registry,
    name: "no_of_hits_on_deprecated_scan_endpoint",
    help: "The number of hits on the deprecated /scan endpoint. If this is not 0, inform your clients to adjust their code to use the /v2/scan endpoint instead.",
  });
  const errors = counterByBoth(ours("scan_errors_total", "Scans without a verdict."), ["code", "front"], errorCodes, fronts);
  const reloads = counterBy(ours("reloads_total", "Sets of signatures that were tried."), "outcome", ["loaded", "rejected"]);
  const checks = counterBy(ours("signature_checks_total", "Runs of freshclam."), "outcome", updateOutcomes);
  const cacheErrors = counterBy(ours("cache_errors_total", "Faults of the verdict cache."), "operation", cacheOperations);
  const waits = counterBy(
    ours("flight_waits_total", "Waits for a scan that another gateway had begun: all but those for a `verdict` ended in a scan."),
    "outcome",
    waitOutcomes,
  );
  const limited = counterBy(
    ours("limited_total", "Requests that were refused because their client had had all that it may have, by what it was."),
    "policy",
    limitPolicies,
  );
  const quotaUnknown = counter(
    ours("quota_unknown_total", "Requests that went on although nobody could tell what is left of their client's quota."),
  );
  const restarts = counterBy(ours("child_restarts_total", "Children that ended and are started again."), "child", [
    ...new Set([...children, "other"]),
  ]);

  const keyFileErrors = counter(
    ours("key_file_errors_total", "Looks at API_KEYS_FILE that found it unusable: the keys of before stay."),
  );
  const refusedAccess = counterBy(
    ours("access_refused_total", "Requests over HTTP that were not let in."),
    "reason",
    accessRefusals,
  );
  const answers = counterByBoth(
    ours("requests_total", "Requests to the REST endpoints, by their answers."),
    ["route", "status"],
    routes,
    answerStatuses,
  );

  return (event) => {
    switch (event.kind) {
      case "answered":
        return answers[event.route][answerStatuses.find((status) => status === String(event.status)) ?? "other"].inc();
      case "access-refused":
        return refusedAccess[event.reason].inc();
      case "key-file-failed":
        return keyFileErrors.inc();
      case "scanned":
        return countScanned(event);
      case "scan-failed":
        return errors[event.code][event.via].inc();
      case "child-exited":
        return event.restartInMs === null ? undefined : (restarts[event.child] ?? restarts.other)?.inc();
      case "signatures-loaded":
        return reloads.loaded.inc();
      case "signatures-rejected":
        return reloads.rejected.inc();
      case "signatures-checked":
        return checks[event.outcome].inc();
      case "cache-failed":
        return cacheErrors[event.operation].inc();
      case "limited":
        for (const policy of event.policies) limited[policy].inc();
        return;
      case "quota-unknown":
        return quotaUnknown.inc();
      case "scan-awaited":
        return waits[event.outcome].inc();
      case "download":
        return countDownload(event);
      case "download-denied":
        return denied.inc();
      case "icap":
        return countIcap(event);
      case "icap-refused":
        return refused[event.reason].inc();
      case "deprecated-endpoint":
        return deprecatedHits.inc();
      case "clamd-command":
        return (commands[event.command] ?? commands.other)?.inc();
      case "clamd-refused":
        return refusals[event.reason === "unknown" ? "command" : event.reason].inc();
      case "clamd-read-timeout":
        return readTimeouts.inc();
      // Told by gauges at each scrape, or by the log alone.
      case "backend-up":
      case "backend-down":
      case "keys-changed":
      case "child-started":
      case "child-line":
      case "signature-file-kept-out":
      case "notice":
        return undefined;
    }
  };
}

function scanCounters(registry: Registry, ours: (name: string, help: string) => SeriesName) {
  const found = counter({ registry, name: "no_of_found_viruses", help: "The total number of found viruses" });
  const scans = counterByBoth(
    ours("scans_total", "Verdicts, from wherever they came."),
    ["verdict", "front"],
    verdictKinds,
    fronts,
  );
  const unscannable = counterByBoth(
    ours("unscannable_total", "Bodies the engine could not see all of."),
    ["reason", "front"],
    unscannableReasons,
    fronts,
  );
  const allowed = counterBy(
    ours("allowed_unscannable_total", "Unscannable bodies that ON_UNSCANNABLE let pass."),
    "reason",
    unscannableReasons,
  );
  const verdictSources = counterBy(
    ours(
      "verdict_source_total",
      "Verdicts by how they were come by: `cache` is a cache hit, `shared` a scan that was in flight already.",
    ),
    "source",
    sources,
  );
  const bytes = counter(ours("scanned_bytes_total", "Bytes of bodies that got a verdict."));
  const scanSeconds = timings(ours("scan_seconds", "Seconds in the engine, for verdicts it was asked for."));
  const queueSeconds = timings(
    ours("queue_seconds", "Seconds of waiting for an engine slot, for verdicts the engine was asked for."),
  );

  return (event: Extract<GatewayEvent, { readonly kind: "scanned" }>): void => {
    const { verdict, via, source } = event;
    scans[verdict.kind][via].inc();
    verdictSources[source].inc();
    bytes.inc(event.size);
    // One per infected body: clamav-rest adds a second for the response (rest.md 54, not copied).
    if (verdict.kind === "infected") found.inc();
    if (verdict.kind === "unscannable") {
      unscannable[verdict.reason][via].inc();
      if (event.isAllowed) allowed[verdict.reason].inc();
    }
    if (source !== "engine") return;
    scanSeconds.observe(event.scanSeconds);
    queueSeconds.observe(event.queueSeconds);
  };
}

function icapCounters(ours: (name: string, help: string) => SeriesName, released: Series) {
  const requests = counterByBoth(
    ours("icap_requests_total", "Requests over ICAP; `cut` are connections reset after bytes of a body had been sent."),
    ["method", "answer"],
    icapMethods,
    icapAnswers,
  );
  const received = counter(ours("icap_received_bytes_total", "Bytes of bodies that came over ICAP."));
  const echoed = counter(ours("icap_echoed_bytes_total", "Bytes of bodies that were sent back over ICAP."));
  const partial = counter(ours("icap_partial_total", "Messages that held a part of a file, which is never seen whole."));
  const seconds = timings(ours("icap_seconds", "Seconds from the head of a REQMOD or RESPMOD to the end of its answer."));

  return (event: Extract<GatewayEvent, { readonly kind: "icap" }>): void => {
    requests[event.method][event.answer].inc();
    received.inc(event.size);
    echoed.inc(event.echoedBytes);
    released.inc(event.releasedBytes);
    if (event.isPartial) partial.inc();
    if (event.method === "REQMOD" || event.method === "RESPMOD") seconds.observe(event.seconds);
  };
}

function downloadCounters(ours: (name: string, help: string) => SeriesName, released: Series) {
  const downloads = counterByBoth(
    ours("downloads_total", "Requests to the download proxy; `cut` are connections reset after bytes had been sent."),
    ["outcome", "mode"],
    downloadOutcomes,
    downloadModes,
  );
  const addresses = counterBy(
    ours("download_cache_total", "Requests to the download proxy by whether the address's verdict was known."),
    "result",
    ["hit", "miss", "off"],
  );
  const collapsed = counter(ours("downloads_collapsed_total", "Requests that were answered with another request's download."));
  const bytes = counter(ours("downloaded_bytes_total", "Bytes of bodies that came whole from their origins."));
  const downloadSeconds = timings(ours("download_seconds", "Seconds from the request to the origin to the end of its body."));

  return (event: Extract<GatewayEvent, { readonly kind: "download" }>): void => {
    downloads[event.outcome][event.mode].inc();
    addresses[event.cache].inc();
    released.inc(event.releasedBytes);
    // What was shared is counted with the request that began it.
    if (event.isCollapsed) {
      collapsed.inc();
      return;
    }
    bytes.inc(event.size);
    if (event.size > 0) downloadSeconds.observe(event.downloadSeconds);
  };
}
