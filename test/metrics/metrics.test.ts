import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { errorCodes } from "../../src/core/errors.ts";
import type { GatewayEvent } from "../../src/core/events.ts";
import { unscannableReasons } from "../../src/core/verdict.ts";
import type { GaugeSnapshot } from "../../src/metrics/gauges.ts";
import { createMetrics, type Metrics, type MetricsOptions } from "../../src/metrics/metrics.ts";
import { everyEvent, scanned, version } from "../log/every-event.ts";
import { countedSamples, type MetricFamily, parseMetrics } from "./parse-metrics.ts";

const now = Date.UTC(2026, 0, 3, 3, 4, 5);
const run = promisify(execFile);

const idle: GaugeSnapshot = {
  slots: { inUse: 0, total: 10 },
  queueLength: 0,
  backends: { up: 1, down: 0, busy: 0, behind: 0, lacking: 0 },
  icapConnections: 0,
  spool: { bodies: 0, memoryBytes: 0, fileBytes: 0 },
  clamdConnections: 0,
  signatures: { builtAt: new Date(now - 86_400_000), isTestOnly: false, keptOut: 0 },
  engine: version,
  lostLogLines: 0,
};

function makeMetrics(options: Partial<MetricsOptions> = {}): Metrics {
  // As a scraper that takes its time: no text is handed out twice.
  let seconds = 0;
  return createMetrics({
    version: "0.1.0",
    gauges: () => idle,
    updateTimes: { success: async () => 1_700_000_000, attempt: async () => 1_700_000_600 },
    children: ["clamd", "freshclam"],
    now: () => now,
    clock: () => {
      seconds += 1;
      return seconds * 1000;
    },
    hasRuntime: false,
    ...options,
  });
}

async function families(metrics: Metrics): Promise<ReadonlyMap<string, MetricFamily>> {
  return parseMetrics((await metrics.expose()).body);
}

async function readSample(metrics: Metrics, sample: string): Promise<number | undefined> {
  return (await families(metrics)).get(sample.replace(/\{.*/, ""))?.samples.get(sample);
}

/** What each event adds to counters, and to nothing else. */
const expected: Record<GatewayEvent["kind"], Record<string, number>> = {
  answered: { 'clamgate_requests_total{route="/v2/scan",status="405"}': 1 },
  scanned: {
    'clamgate_scans_total{verdict="clean",front="rest"}': 1,
    'clamgate_verdict_source_total{source="engine"}': 1,
    clamgate_scanned_bytes_total: 1234,
    clamgate_scan_seconds_sum: 0.004,
    clamgate_scan_seconds_count: 1,
    clamgate_queue_seconds_sum: 0.25,
    clamgate_queue_seconds_count: 1,
  },
  "scan-failed": { 'clamgate_scan_errors_total{code="scan-timeout",front="proxy"}': 1 },
  "access-refused": { 'clamgate_access_refused_total{reason="unknown"}': 1 },
  "keys-changed": {},
  "key-file-failed": { clamgate_key_file_errors_total: 1 },
  "backend-up": {},
  "backend-down": {},
  "child-started": {},
  "child-line": {},
  "child-exited": { 'clamgate_child_restarts_total{child="clamd"}': 1 },
  "signatures-loaded": { 'clamgate_reloads_total{outcome="loaded"}': 1 },
  "signatures-rejected": { 'clamgate_reloads_total{outcome="rejected"}': 1 },
  "signature-file-kept-out": {},
  "signatures-checked": { 'clamgate_signature_checks_total{outcome="up-to-date"}': 1 },
  "cache-failed": { 'clamgate_cache_errors_total{operation="get"}': 1 },
  "scan-awaited": { 'clamgate_flight_waits_total{outcome="lapsed"}': 1 },
  download: {
    'clamgate_downloads_total{outcome="delivered",mode="trickle"}': 1,
    'clamgate_download_cache_total{result="miss"}': 1,
    clamgate_downloaded_bytes_total: 5000,
    clamgate_released_bytes_total: 3,
    clamgate_download_seconds_sum: 1.5,
    clamgate_download_seconds_count: 1,
  },
  "download-denied": { clamgate_downloads_denied_total: 1 },
  icap: {
    'clamgate_icap_requests_total{method="RESPMOD",answer="echo"}': 1,
    clamgate_icap_received_bytes_total: 700,
    clamgate_icap_echoed_bytes_total: 690,
    clamgate_icap_partial_total: 1,
    clamgate_released_bytes_total: 10,
    clamgate_icap_seconds_sum: 0.2500001,
    clamgate_icap_seconds_count: 1,
  },
  "icap-refused": { 'clamgate_icap_connections_refused_total{reason="peer"}': 1 },
  "clamd-command": { 'clamgate_clamd_commands_total{command="INSTREAM"}': 1 },
  "clamd-refused": { 'clamgate_clamd_refused_total{reason="command"}': 1 },
  "clamd-read-timeout": { clamgate_clamd_read_timeouts_total: 1 },
  limited: { 'clamgate_limited_total{policy="requests"}': 1, 'clamgate_limited_total{policy="bytes"}': 1 },
  "quota-unknown": { clamgate_quota_unknown_total: 1 },
  "deprecated-endpoint": { no_of_hits_on_deprecated_scan_endpoint: 1 },
  notice: {},
};

/** What `event` changed, histogram buckets left out. */
async function changesBy(event: GatewayEvent): Promise<Record<string, number>> {
  const metrics = makeMetrics();
  const before = countedSamples(await families(metrics));
  metrics.emit(event);
  const after = countedSamples(await families(metrics));
  assert.deepEqual([...after.keys()], [...before.keys()], "every series was there before");
  const changed = [...after].filter(([sample, value]) => value !== before.get(sample) && !sample.includes("_bucket{"));
  return Object.fromEntries(changed.map(([sample, value]) => [sample, value - (before.get(sample) ?? 0)]));
}

describe("createMetrics", () => {
  for (const event of Object.values(everyEvent)) {
    test(`counts ${event.kind}, and nothing besides`, async () => assert.deepEqual(await changesBy(event), expected[event.kind]));
  }

  test("shows clamav-rest's counters under their bare names, with its help, at 0 before their first event", async () => {
    const all = await families(makeMetrics());
    assert.deepEqual(all.get("no_of_found_viruses"), {
      help: "The total number of found viruses",
      type: "counter",
      samples: new Map([["no_of_found_viruses", 0]]),
    });
    assert.deepEqual(all.get("no_of_hits_on_deprecated_scan_endpoint"), {
      help: "The number of hits on the deprecated /scan endpoint. If this is not 0, inform your clients to adjust their code to use the /v2/scan endpoint instead.",
      type: "counter",
      samples: new Map([["no_of_hits_on_deprecated_scan_endpoint", 0]]),
    });
  });

  test("counts one found virus per infected body, however many signatures it has", async () => {
    const metrics = makeMetrics();
    metrics.emit({ ...scanned, verdict: { kind: "infected", signatures: ["A", "B"] }, isAllowed: false });
    metrics.emit({
      ...scanned,
      via: "proxy",
      source: "cache",
      verdict: { kind: "infected", signatures: ["A"] },
      isAllowed: false,
    });
    metrics.emit(scanned);
    assert.equal(await readSample(metrics, "no_of_found_viruses"), 2);
    assert.equal(await readSample(metrics, 'clamgate_scans_total{verdict="infected",front="proxy"}'), 1);
  });

  test("counts an unscannable body by reason, and those let pass apart", async () => {
    const metrics = makeMetrics();
    for (const [index, reason] of unscannableReasons.entries()) {
      metrics.emit({ ...scanned, verdict: { kind: "unscannable", reason, heuristic: null }, isAllowed: index % 2 === 0 });
    }
    for (const [index, reason] of unscannableReasons.entries()) {
      assert.equal(await readSample(metrics, `clamgate_unscannable_total{reason="${reason}",front="rest"}`), 1);
      assert.equal(await readSample(metrics, `clamgate_unscannable_total{reason="${reason}",front="proxy"}`), 0);
      assert.equal(await readSample(metrics, `clamgate_allowed_unscannable_total{reason="${reason}"}`), index % 2 === 0 ? 1 : 0);
    }
    assert.equal(await readSample(metrics, "no_of_found_viruses"), 0);
  });

  test("renders five in a row, then one a second", async () => {
    let at = 0;
    let looks = 0;
    const gauges = () => {
      looks += 1;
      return idle;
    };
    const metrics = makeMetrics({ gauges, clock: () => at });
    for (let scrape = 0; scrape < 1000; scrape += 1) await metrics.expose();
    assert.equal(looks, 5);
    at = 999;
    await metrics.expose();
    assert.equal(looks, 5);
    at = 1000;
    for (let scrape = 0; scrape < 1000; scrape += 1) await metrics.expose();
    assert.equal(looks, 6);
  });

  test("counts every error code on every front, each there at 0 before", async () => {
    const metrics = makeMetrics();
    for (const code of errorCodes) {
      for (const via of ["rest", "proxy"] as const) {
        const sample = `clamgate_scan_errors_total{code="${code}",front="${via}"}`;
        assert.equal(await readSample(metrics, sample), 0);
        metrics.emit({ ...everyEvent["scan-failed"], code, via });
        assert.equal(await readSample(metrics, sample), 1);
      }
    }
  });

  test("times only the scans that an engine did", async () => {
    for (const source of ["cache", "shared", "blocklist"] as const) {
      const changes = await changesBy({ ...scanned, source, backend: null });
      assert.equal(changes[`clamgate_verdict_source_total{source="${source}"}`], 1);
      assert.equal("clamgate_scan_seconds_count" in changes, false);
      assert.equal("clamgate_queue_seconds_count" in changes, false);
    }
  });

  test("counts the bytes of a shared download once", async () => {
    assert.deepEqual(await changesBy({ ...everyEvent.download, isCollapsed: true, releasedBytes: 0 }), {
      'clamgate_downloads_total{outcome="delivered",mode="trickle"}': 1,
      'clamgate_download_cache_total{result="miss"}': 1,
      clamgate_downloads_collapsed_total: 1,
    });
  });

  test("sorts seconds into fixed buckets from 1 ms to 120 s", async () => {
    const metrics = makeMetrics();
    for (const scanSeconds of [0.001, 0.0011, 120, 121]) metrics.emit({ ...scanned, scanSeconds });
    const samples = (await families(metrics)).get("clamgate_scan_seconds")?.samples ?? new Map();
    const counts = [...samples].filter(([sample]) => sample.includes("_bucket"));
    assert.equal(counts.length, 17);
    assert.deepEqual(counts[0], ['clamgate_scan_seconds_bucket{le="0.001"}', 1]);
    assert.deepEqual(counts[1], ['clamgate_scan_seconds_bucket{le="0.0025"}', 2]);
    assert.deepEqual(counts[15], ['clamgate_scan_seconds_bucket{le="120"}', 3]);
    assert.deepEqual(counts[16], ['clamgate_scan_seconds_bucket{le="+Inf"}', 4]);
    assert.equal(samples.get("clamgate_scan_seconds_count"), 4);
  });

  test("counts a restart only where there will be one, and an unknown child as other", async () => {
    assert.deepEqual(await changesBy({ ...everyEvent["child-exited"], restartInMs: null }), {});
    assert.deepEqual(await changesBy({ ...everyEvent["child-exited"], restartInMs: 0 }), {
      'clamgate_child_restarts_total{child="clamd"}': 1,
    });
    assert.deepEqual(await changesBy({ ...everyEvent["child-exited"], child: "sigtool" }), {
      'clamgate_child_restarts_total{child="other"}': 1,
    });
  });

  test("reads the gauges anew at each scrape", async () => {
    let snapshot = idle;
    const metrics = makeMetrics({ gauges: () => snapshot });
    assert.equal(await readSample(metrics, "clamgate_slots_in_use"), 0);
    snapshot = {
      slots: { inUse: 7, total: 20 },
      queueLength: 3,
      backends: { up: 2, down: 1, busy: 1, behind: 1, lacking: 2 },
      icapConnections: 7,
      spool: { bodies: 4, memoryBytes: 500, fileBytes: 6000 },
      clamdConnections: 9,
      signatures: { builtAt: new Date(now - 1500), isTestOnly: true, keptOut: 2 },
      engine: { ...version, database: 27801, tag: "def456" },
      lostLogLines: 5,
    };
    const all = await families(metrics);
    const value = (sample: string) => all.get(sample.replace(/\{.*/, ""))?.samples.get(sample);
    assert.equal(value("clamgate_slots_in_use"), 7);
    assert.equal(value("clamgate_slots"), 20);
    assert.equal(value("clamgate_queue_length"), 3);
    assert.equal(value('clamgate_backends{state="up"}'), 2);
    assert.equal(value('clamgate_backends{state="down"}'), 1);
    assert.equal(value("clamgate_backends_busy"), 1);
    assert.equal(value("clamgate_backends_behind"), 1);
    assert.equal(value("clamgate_backends_lacking_alerts"), 2);
    assert.equal(value("clamgate_icap_connections"), 7);
    assert.equal(value("clamgate_spool_bodies"), 4);
    assert.equal(value("clamgate_spool_memory_bytes"), 500);
    assert.equal(value("clamgate_spool_file_bytes"), 6000);
    assert.equal(value("clamgate_clamd_connections"), 9);
    assert.equal(value("clamgate_signature_age_seconds"), 1.5);
    assert.equal(value("clamgate_signatures_test_only"), 1);
    assert.equal(value("clamgate_signatures_kept_out"), 2);
    assert.equal(value("clamgate_log_lines_lost_total"), 5);
    assert.deepEqual(
      [...(all.get("clamgate_engine_info")?.samples ?? [])],
      [['clamgate_engine_info{engine="1.4.6",database="27801",tag="def456"}', 1]],
    );
    assert.deepEqual(
      [...(all.get("clamgate_build_info")?.samples ?? [])],
      [[`clamgate_build_info{version="0.1.0",node="${process.versions.node}"}`, 1]],
    );
  });

  test("shows no age and no engine while there is none, and both again afterwards", async () => {
    let snapshot: GaugeSnapshot = { ...idle, signatures: { builtAt: null, isTestOnly: false, keptOut: 0 }, engine: null };
    const metrics = makeMetrics({ gauges: () => snapshot });
    for (const name of ["clamgate_signature_age_seconds", "clamgate_engine_info"]) {
      assert.equal((await families(metrics)).get(name)?.samples.size, 0);
    }
    snapshot = idle;
    assert.equal(await readSample(metrics, "clamgate_signature_age_seconds"), 86_400);
    assert.equal((await families(metrics)).get("clamgate_engine_info")?.samples.size, 1);
  });

  test("asks for the update times at each scrape and shows whole seconds under the names of clamav-rest", async () => {
    let success = 1_700_000_000.9;
    const metrics = makeMetrics({ updateTimes: { success: async () => success, attempt: async () => 0 } });
    const all = await families(metrics);
    const family = all.get("clamav_database_last_update_success_timestamp_seconds");
    assert.equal(family?.type, "gauge");
    assert.equal(family?.help, "Unix timestamp of the most recently modified ClamAV signature database file.");
    assert.equal(family?.samples.get("clamav_database_last_update_success_timestamp_seconds"), 1_700_000_000);
    assert.equal(all.get("clamav_database_last_update_attempt_timestamp_seconds")?.type, "gauge");
    assert.equal(await readSample(metrics, "clamav_database_last_update_attempt_timestamp_seconds"), 0);
    success = 1_800_000_000;
    assert.equal(await readSample(metrics, "clamav_database_last_update_success_timestamp_seconds"), 1_800_000_000);
  });

  test("shows 0 for an update time that cannot be told, and all the rest", async () => {
    const unreadable = async () => {
      throw new Error("permission denied");
    };
    const metrics = makeMetrics({ updateTimes: { success: unreadable, attempt: async () => Number.NaN } });
    assert.equal(await readSample(metrics, "clamav_database_last_update_success_timestamp_seconds"), 0);
    assert.equal(await readSample(metrics, "clamav_database_last_update_attempt_timestamp_seconds"), 0);
    assert.equal(await readSample(metrics, "clamgate_slots"), 10);
  });

  test("rejects a scrape whose gauges cannot be read", async () => {
    const metrics = makeMetrics({
      gauges: () => {
        throw new Error("no snapshot");
      },
    });
    await assert.rejects(metrics.expose(), /no snapshot/);
  });

  test("names the text format 0.0.4", async () => {
    assert.equal((await makeMetrics().expose()).contentType, "text/plain; version=0.0.4; charset=utf-8");
  });

  test("follows Prometheus in its own names: counters end in _total, each family says what it is", async () => {
    for (const [name, { help, type }] of await families(makeMetrics())) {
      assert.ok(help.length > 0, `${name} has a help text`);
      if (name.startsWith("clamgate_")) assert.equal(name.endsWith("_total"), type === "counter");
    }
  });

  test("keeps two gateways in one process apart", async () => {
    const [one, other] = [makeMetrics(), makeMetrics()];
    one.emit(everyEvent["deprecated-endpoint"]);
    assert.equal(await readSample(one, "no_of_hits_on_deprecated_scan_endpoint"), 1);
    assert.equal(await readSample(other, "no_of_hits_on_deprecated_scan_endpoint"), 0);
  });

  test("answers scrapes at the same time", async () => {
    const metrics = makeMetrics();
    const bodies = await Promise.all(Array.from({ length: 5 }, async () => (await metrics.expose()).body));
    assert.equal(new Set(bodies).size, 1);
  });

  test("has nothing left after close, and still takes events", async () => {
    const metrics = makeMetrics();
    metrics.close();
    for (const event of Object.values(everyEvent)) metrics.emit(event);
    assert.equal((await metrics.expose()).body.trim(), "");
  });

  test("adds process_* and nodejs_* to the same registry, and lets the process end with it open or closed", async () => {
    const metricsModule = new URL("../../src/metrics/metrics.ts", import.meta.url).href;
    const script = `
      const { createMetrics } = await import(${JSON.stringify(metricsModule)});
      const never = async () => 0;
      const gauges = () => (${JSON.stringify({ ...idle, signatures: { builtAt: null, isTestOnly: false, keptOut: 0 } })});
      const make = () => createMetrics({ version: "0.1.0", gauges, updateTimes: { success: never, attempt: never }, children: [] });
      const [open, closed] = [make(), make()];
      const { body } = await open.expose();
      await closed.expose();
      closed.close();
      process.stdout.write(body);`;
    // The process gets no signal and no exit: it ends because nothing keeps it, or the time limit fails the test.
    const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script], { timeout: 30_000 });
    const all = parseMetrics(stdout);
    for (const name of ["process_resident_memory_bytes", "process_cpu_seconds_total", "nodejs_eventloop_lag_p99_seconds"]) {
      assert.ok(all.has(name), name);
    }
    assert.ok(all.has("clamgate_scans_total"));
  });
});
