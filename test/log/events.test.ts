import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { errorCodes } from "../../src/core/errors.ts";
import type { GatewayEvent } from "../../src/core/events.ts";
import { logEvents } from "../../src/log/events.ts";
import { capturedLog } from "./captured-log.ts";
import { everyEvent, scanned } from "./every-event.ts";

/** The one line that a event makes. */
function lineOf(event: GatewayEvent): Record<string, unknown> {
  const { log, only } = capturedLog();
  const emit = logEvents(log);
  emit(event);
  // Its line waits for the answer to its request.
  if ("via" in event && event.via === "rest") emit({ ...everyEvent.answered, requestId: event.requestId });
  const { time, ...line } = only();
  assert.equal(time, "2026-01-02T03:04:05.678Z");
  return line;
}

const expected: Record<GatewayEvent["kind"], Record<string, unknown>> = {
  scanned: {
    level: "info",
    msg: "scanned",
    id: "r-1",
    via: "rest",
    name: "report.pdf",
    digest: "ab".repeat(32),
    size: 1234,
    verdict: "clean",
    allowed: true,
    source: "engine",
    backend: "local",
    seconds: 0.254321,
    client: "192.0.2.7",
    method: "POST",
    route: "/v2/scan",
    status: 405,
  },
  answered: { level: "warn", msg: "refused", id: "r-1", client: "192.0.2.7", method: "POST", route: "/v2/scan", status: 405 },
  "scan-failed": {
    level: "error",
    msg: "scan failed",
    id: "r-2",
    via: "proxy",
    name: "big.iso",
    code: "scan-timeout",
    detail: "no answer within 60 s",
    seconds: 60,
  },
  "access-refused": { level: "debug", msg: "not let in", id: "r-1", reason: "unknown", detail: "signature verification failed" },
  "keys-changed": { level: "info", msg: "keys changed", added: ["7hq2m4xd"], removed: [], changed: ["aaaaaaaa"] },
  "key-file-failed": {
    level: "error",
    msg: "API_KEYS_FILE cannot be used, the keys stay as they were",
    reason: "line 3 is not JSON",
  },
  "backend-up": {
    level: "info",
    msg: "backend up",
    backend: "local",
    engine: "1.4.6",
    database: 27800,
    databaseDate: "Fri Jan  2 03:04:05 2026",
    tag: "abc123",
  },
  "backend-down": { level: "error", msg: "backend down", backend: "local", reason: "connection refused" },
  "child-started": { level: "info", msg: "child started", child: "clamd", pid: 42 },
  "child-line": { level: "debug", msg: "SelfCheck: Database status OK.", child: "clamd" },
  "child-exited": { level: "error", msg: "child exited", child: "clamd", reason: "signal SIGKILL", restartInMs: 500 },
  "signatures-loaded": { level: "info", msg: "signatures loaded", set: "epoch-3", files: 4, isTestOnly: false, seconds: 12.5 },
  "signatures-rejected": { level: "error", msg: "signatures rejected", set: "epoch-4", reason: "malformed database" },
  "signature-file-kept-out": {
    level: "error",
    msg: "signature file kept out",
    file: "bad.ndb",
    reason: "Malformed database",
  },
  "signatures-checked": { level: "info", msg: "signatures checked", outcome: "up-to-date", detail: "exit code 0", seconds: 1.5 },
  "cache-failed": { level: "warn", msg: "cache failed", operation: "get", detail: "database is locked" },
  "scan-awaited": { level: "debug", msg: "waited for another gateway's scan", outcome: "lapsed", seconds: 3 },
  download: {
    level: "info",
    msg: "download",
    id: "r-3",
    client: "192.0.2.9",
    method: "GET",
    url: "https://files.example/a.whl",
    status: 200,
    outcome: "delivered",
    code: null,
    detail: null,
    mode: "trickle",
    cache: "miss",
    collapsed: false,
    size: 5000,
    released: 3,
    downloadSeconds: 1.5,
    scanSeconds: 0.25,
    seconds: 2,
  },
  "download-denied": {
    level: "warn",
    msg: "download denied",
    id: "r-4",
    peer: "192.0.2.7",
    host: "inside.example",
    detail: "a private address",
  },
  icap: {
    level: "info",
    msg: "icap",
    id: "r-4",
    peer: "10.0.0.1",
    tls: true,
    client: "10.0.0.9",
    user: null,
    method: "RESPMOD",
    service: "proxy",
    httpMethod: "GET",
    httpStatus: 200,
    url: "http://files.example/a.zip",
    size: 700,
    digest: "ab".repeat(32),
    verdict: "clean",
    allowedFor: null,
    answer: "echo",
    code: null,
    detail: null,
    preview: 500,
    ieof: false,
    allow204: false,
    partial: true,
    echoed: 690,
    released: 10,
    seconds: 0.25,
  },
  "icap-refused": { level: "warn", msg: "icap connection refused", reason: "peer", peer: "10.0.0.2" },
  "clamd-command": { level: "debug", msg: "clamd command", command: "INSTREAM" },
  "clamd-refused": { level: "warn", msg: "clamd command refused", peer: "192.0.2.7@4711", detail: "SHUTDOWN" },
  "clamd-read-timeout": { level: "info", msg: "clamd client timed out", peer: "192.0.2.7@4711" },
  limited: { level: "info", msg: "client limited", client: "7hq2m4xd", policies: "requests bytes" },
  "quota-unknown": { level: "warn", msg: "quota unknown", client: "7hq2m4xd" },
  "deprecated-endpoint": { level: "info", msg: "DEPRECATED ENDPOINT: Migrate from /scan to /v2/scan" },
  notice: { level: "info", msg: "listening" },
};

describe("logEvents", () => {
  for (const event of Object.values(everyEvent)) {
    test(`makes one line of ${event.kind}`, () => assert.deepEqual(lineOf(event), expected[event.kind]));
  }

  test("warns of a cache's fault once, and keeps its repetitions for who wants to see all", () => {
    const fault = { kind: "cache-failed", operation: "set", detail: "OOM" } as const;
    assert.equal(lineOf(fault).level, "warn");
    assert.equal(lineOf({ ...fault, isRepeated: true }).level, "debug");
  });

  test("warns of an infected body and names its signatures", () => {
    const line = lineOf({ ...scanned, verdict: { kind: "infected", signatures: ["A", "B"] }, isAllowed: false });
    assert.equal(line.level, "warn");
    assert.equal(line.verdict, "infected");
    assert.deepEqual(line.signatures, ["A", "B"]);
    assert.equal(line.allowed, false);
  });

  test("warns of an unscannable body and says why, also when it was let pass", () => {
    const verdict = { kind: "unscannable", reason: "encrypted", heuristic: "Heuristics.Encrypted.Zip" } as const;
    const line = lineOf({ ...scanned, verdict, isAllowed: true });
    assert.equal(line.level, "warn");
    assert.equal(line.verdict, "unscannable");
    assert.equal(line.reason, "encrypted");
    assert.equal(line.heuristic, "Heuristics.Encrypted.Zip");
    assert.equal(line.allowed, true);
  });

  test("says where a remembered verdict came from", () => {
    const line = lineOf({ ...scanned, source: "cache", backend: null });
    assert.equal(line.source, "cache");
    assert.equal("backend" in line, false);
  });

  test("cuts names after 200 characters and details after 1000", () => {
    assert.equal(lineOf({ ...scanned, name: "n".repeat(200) }).name, "n".repeat(200));
    assert.equal(lineOf({ ...scanned, name: "n".repeat(65_536) }).name, "n".repeat(200));
    assert.equal(lineOf({ ...everyEvent["scan-failed"], name: "n".repeat(201) }).name, "n".repeat(200));
    assert.equal(lineOf({ ...everyEvent["scan-failed"], detail: "d".repeat(1001) }).detail, "d".repeat(1000));
    assert.equal(lineOf({ ...everyEvent["child-line"], line: "l".repeat(1001) }).msg, "l".repeat(1000));
  });

  for (const format of ["json", "text"] as const) {
    test(`keeps a name with CR, LF, ESC, NUL and U+2028 on one line of ${format}`, () => {
      const { log, written } = capturedLog({ format });
      logEvents(log)({ ...scanned, via: "proxy", name: "a\r\nlevel=error\u001b[2J\0\u2028b" });
      assert.equal(written.length, 1);
      assert.match(written[0] ?? "", /^[^\p{Cc}\u2028]+\n$/u);
      assert.match(written[0] ?? "", /\\u2028b/);
    });
  }

  test("writes a line for each scan of a request when it is answered, with who asked, what and the status, by the client's own id", () => {
    const { log, written } = capturedLog();
    const emit = logEvents(log);
    emit(scanned);
    emit({ ...scanned, requestId: "r-9", name: "of another request" });
    emit({ ...everyEvent["scan-failed"], via: "rest", requestId: "r-1" });
    assert.equal(written.length, 0);
    emit({ ...everyEvent.answered, givenId: "order-7", status: 503 });
    const lines = written.map((line) => JSON.parse(line));
    const answer = { id: "order-7", client: "192.0.2.7", method: "POST", route: "/v2/scan", status: 503 };
    assert.deepEqual(
      lines.map(({ msg, id, client, method, route, status }) => ({ msg, id, client, method, route, status })),
      [
        { msg: "scanned", ...answer },
        { msg: "scan failed", ...answer },
      ],
    );
    emit({ ...everyEvent.answered, requestId: "r-9", status: 200 });
    assert.equal(JSON.parse(written[2] ?? "").name, "of another request");
  });

  test("says nothing of an answer without a scan unless it is a refusal", () => {
    const { log, written } = capturedLog();
    const emit = logEvents(log);
    emit({ ...everyEvent.answered, status: 200 });
    emit({ ...everyEvent.answered, status: 404, route: "other" });
    const lines = written.map((line) => JSON.parse(line));
    assert.deepEqual(
      lines.map(({ level, msg }) => `${level} ${msg}`),
      ["debug answered", "warn refused"],
    );
  });

  test("keeps few lines of one request, and of all together, waiting for their answers", () => {
    const { log, written } = capturedLog();
    const emit = logEvents(log);
    for (let part = 0; part < 20; part += 1) emit(scanned);
    assert.equal(written.length, 18, "nine at a time");
    for (let request = 0; request < 5_000; request += 1) emit({ ...scanned, requestId: `${request}` });
    assert.ok(written.length > 900 && written.length < 960, `${written.length}`);
  });

  test("has a line of no more than 420 bytes for a scan", () => {
    const { log, written } = capturedLog();
    const emit = logEvents(log);
    const requestId = "12345678-1234-1234-1234-123456789012";
    emit({ ...scanned, requestId, size: 12_345_678, name: "a-report-of-the-year.pdf" });
    emit({
      ...everyEvent.answered,
      requestId,
      client: "203.0.113.200",
      route: "/scanHandlerBody",
      status: 200,
    });
    assert.ok((written[0] ?? "").length <= 420, `${written[0]?.length}`);
  });

  test("has a line of no more than 420 bytes for a finding that is remembered", () => {
    const { log, written } = capturedLog();
    const emit = logEvents(log);
    const requestId = "12345678-1234-1234-1234-123456789012";
    const verdict = { kind: "infected", signatures: ["Eicar-Test-Signature.UNOFFICIAL"] } as const;
    emit({ ...scanned, requestId, name: "f.txt", verdict, isAllowed: false, source: "cache", backend: null });
    emit({ ...everyEvent.answered, requestId, status: 406 });
    assert.ok((written[0] ?? "").length <= 420, `${written[0]?.length}`);
  });

  test("keeps whatever a stranger may have sent within its own field of a scan's line", () => {
    const hostile = `a","x":"b\\\r\n\u2028\u202e\u0085\ud800é`;
    const { log, written } = capturedLog();
    const emit = logEvents(log);
    const verdict = { kind: "infected", signatures: [hostile] } as const;
    emit({ ...scanned, requestId: hostile, name: hostile, verdict, backend: hostile });
    emit({ ...everyEvent.answered, requestId: hostile, client: hostile, method: hostile });
    assert.match(written.join(""), /^[^\p{Cc}\p{Cf}\u2028]+\n$/u);
    const { id, name, signatures, backend, client, method, ...rest } = JSON.parse(written[0] ?? "");
    assert.deepEqual([id, name, signatures[0], backend, client, method], Array(6).fill(hostile));
    assert.equal("x" in rest, false);
  });

  test("has a level for every error: the client's going is no news, faults of ours are errors", () => {
    const levelOf = (code: (typeof errorCodes)[number]) => lineOf({ ...everyEvent["scan-failed"], code }).level;
    assert.equal(levelOf("client-gone"), "info");
    for (const code of ["too-large", "malformed", "client-slow", "forbidden", "queue-full"] as const)
      assert.equal(levelOf(code), "warn");
    for (const code of ["internal", "engine-error", "backend-lost", "engine-unavailable", "spool-full"] as const) {
      assert.equal(levelOf(code), "error");
    }
    for (const code of errorCodes) assert.ok(["info", "warn", "error"].includes(String(levelOf(code))));
  });

  test("warns of clamd's peers and connections that are refused, and keeps unknown commands for who wants to see all", () => {
    const refused = { ...everyEvent["clamd-refused"], detail: "x".repeat(100) };
    assert.equal(lineOf({ ...refused, reason: "peer" }).level, "warn");
    assert.equal(lineOf({ ...refused, reason: "connections" }).level, "warn");
    const unknown = lineOf({ ...refused, reason: "unknown" });
    assert.deepEqual([unknown.level, unknown.detail], ["debug", "x".repeat(40)]);
  });

  test("raises a child's line to a warning only where the child itself complains", () => {
    const levelOf = (line: string) => lineOf({ ...everyEvent["child-line"], line }).level;
    assert.equal(levelOf("ERROR: Can't open file"), "warn");
    assert.equal(levelOf("WARNING: Ignoring deprecated option"), "warn");
    assert.equal(levelOf("LibClamAV Error: cli_loaddbdir(): No supported database files found"), "warn");
    assert.equal(levelOf("see: LibClamAV Error"), "debug");
    assert.equal(levelOf("instream(local): OK"), "debug");
  });

  test("warns of test signatures, of a failed check, and not of a child that ends for good", () => {
    assert.equal(lineOf({ ...everyEvent["signatures-loaded"], isTestOnly: true }).level, "warn");
    for (const outcome of ["rate-limited", "blocked", "failed"] as const) {
      assert.equal(lineOf({ ...everyEvent["signatures-checked"], outcome }).level, "warn");
    }
    assert.equal(lineOf({ ...everyEvent["signatures-checked"], outcome: "updated" }).level, "info");
    assert.equal(lineOf({ ...everyEvent["child-exited"], restartInMs: null }).level, "info");
  });

  test("warns of a download that was blocked, cut or failed, and not of one whose client went", () => {
    for (const outcome of ["blocked", "cut", "failed"] as const)
      assert.equal(lineOf({ ...everyEvent.download, outcome }).level, "warn");
    for (const outcome of ["delivered", "bodiless", "gone"] as const)
      assert.equal(lineOf({ ...everyEvent.download, outcome }).level, "info");
  });

  test("gives a notice its own level", () => {
    for (const level of ["info", "warn", "error"] as const) assert.equal(lineOf({ ...everyEvent.notice, level }).level, level);
  });

  test("makes no line of a clean scan when the log is set to warn", () => {
    const { log, written } = capturedLog({ level: "warn" });
    logEvents(log)(scanned);
    assert.deepEqual(written, []);
  });
});
