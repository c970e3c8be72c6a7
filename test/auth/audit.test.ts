import assert from "node:assert/strict";
import { readFile, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { type AuditOptions, createAudit } from "../../src/auth/audit.ts";
import { openAuditFile } from "../../src/auth/audit-file.ts";
import type { GatewayEvent } from "../../src/core/events.ts";
import { everyEvent, scanned } from "../log/every-event.ts";
import { scratchDirectory } from "../scratch-directory.ts";

const now = () => Date.parse("2026-01-02T03:04:05.678Z");
const answered = { ...everyEvent.answered, who: "7hq2m4xd", route: "/v3/scan", status: 200 } as const;

function linesOf(events: readonly GatewayEvent[], names: AuditOptions["names"] = "plain"): readonly Record<string, unknown>[] {
  const lines: string[] = [];
  const audit = createAudit({ write: (line) => lines.push(line) > 0, names, now });
  for (const event of events) audit.emit(event);
  return lines.map((line) => {
    assert.ok(line.endsWith("\n") && line.indexOf("\n") === line.length - 1);
    return JSON.parse(line);
  });
}

describe("createAudit", () => {
  test("says of a scan who sent what from where, what it was, and how it was answered", () => {
    assert.deepEqual(linesOf([scanned, answered]), [
      {
        time: "2026-01-02T03:04:05.678Z",
        event: "scan",
        id: "r-1",
        via: "rest",
        who: "7hq2m4xd",
        from: "192.0.2.7",
        method: "POST",
        route: "/v3/scan",
        status: 200,
        name: "report.pdf",
        sha256: "ab".repeat(32),
        size: 1234,
        verdict: "clean",
        allowedBy: "clean",
      },
    ]);
  });

  test("says by what a body may pass, and by what it may not", () => {
    const of = (verdict: (typeof scanned)["verdict"], isAllowed: boolean) =>
      linesOf([{ ...scanned, verdict, isAllowed }, answered]).map((line) => [
        line.verdict,
        line.allowedBy,
        line.signatures ?? line.reason,
      ]);
    assert.deepEqual(of({ kind: "infected", signatures: ["A", "B"] }, false), [["infected", null, ["A", "B"]]]);
    const encrypted = { kind: "unscannable", reason: "encrypted", heuristic: null } as const;
    assert.deepEqual(of(encrypted, false), [["unscannable", null, "encrypted"]]);
    assert.deepEqual(of(encrypted, true), [["unscannable", "policy", "encrypted"]]);
  });

  test("has a line for each file of a form, with the status of all", () => {
    const lines = linesOf([scanned, { ...scanned, name: "b" }, { ...answered, status: 406 }]);
    assert.deepEqual(
      lines.map(({ name, status }) => [name, status]),
      [
        ["report.pdf", 406],
        ["b", 406],
      ],
    );
  });

  test("says of a request that was not let in why", () => {
    const refused = { kind: "access-refused", requestId: "r-1", reason: "expired", detail: null } as const;
    const [line, next] = linesOf([refused, { ...answered, status: 401 }, { ...answered, requestId: "r-9" }]);
    assert.deepEqual([line?.event, line?.status, line?.reason, line?.who], ["request", 401, "expired", "7hq2m4xd"]);
    assert.equal(next?.reason, undefined);
  });

  test("says what came over the other doors", () => {
    const [one, two, three, four] = linesOf([
      { ...scanned, via: "proxy", requestId: "r-3" },
      { ...everyEvent.download, who: "mmmmmmmm" },
      { ...everyEvent.download, requestId: "r-4", status: 401 },
      { ...scanned, via: "clamd" },
      { ...scanned, via: "icap" },
      everyEvent.icap,
    ]);
    assert.deepEqual([one?.via, one?.who, one?.status, one?.verdict], ["proxy", "mmmmmmmm", 200, "clean"]);
    assert.deepEqual([two?.event, two?.status, two?.name], ["request", 401, "https://files.example/a.whl"]);
    assert.deepEqual([three?.via, three?.verdict], ["clamd", "clean"]);
    assert.deepEqual([four?.via, four?.answer], ["icap", "echo"]);
  });

  test("tells of changes of who may ask, and of signatures", () => {
    const kinds = ["keys-changed", "key-file-failed", "signatures-loaded", "signatures-rejected"] as const;
    const lines = linesOf(kinds.map((kind) => everyEvent[kind]));
    assert.deepEqual(
      lines.map(({ event }) => event),
      kinds,
    );
    assert.deepEqual(lines[0]?.added, ["7hq2m4xd"]);
  });

  test("writes names as AUDIT_NAMES has it", () => {
    const hostile = { ...scanned, name: 'a"\n{"event":"scan"}\u2028\u001b[31m' };
    assert.equal(linesOf([hostile, answered])[0]?.name, hostile.name, "one line, whatever is in it");
    assert.match(String(linesOf([scanned, answered], "hash")[0]?.name), /^[0-9a-f]{64}$/);
    for (const events of [[scanned, answered], [everyEvent.download], [everyEvent.icap]]) {
      assert.ok(!("name" in (linesOf(events, "none")[0] ?? {})));
    }
  });

  test("knows what it could not write, and says so once it can", () => {
    const lines: string[] = [];
    let isFull = true;
    const write = (line: string) => !isFull && lines.push(line) > 0;
    const audit = createAudit({ write, names: "plain", now });
    audit.emit(answered);
    assert.equal(audit.wasRecorded(), false);
    assert.equal(audit.canRecord(), false);
    isFull = false;
    assert.equal(audit.canRecord(), true);
    audit.emit(answered);
    assert.equal(audit.wasRecorded(), true);
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).event),
      ["lines-lost", "request"],
    );
  });

  test("keeps no more of what is never answered than there is room for", () => {
    const many = Array.from({ length: 5_000 }, (_, at) => ({ ...scanned, requestId: `r${at}` }));
    assert.equal(linesOf(many).length, 5_000 - 4_096);
  });
});

describe("openAuditFile", () => {
  test("adds to what is there, for its owner's eyes alone, and begins anew where it was moved", async () => {
    await using directory = await scratchDirectory();
    const path = join(directory.path, "audit.jsonl");
    const file = openAuditFile(path);
    assert.ok(file.write("one\n"));
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    await rename(path, `${path}.1`);
    assert.ok(file.write("two\n"));
    file.reopen();
    assert.ok(file.write("three\n"));
    file.close();
    assert.equal(file.write("late\n"), false);
    assert.equal(await readFile(`${path}.1`, "utf8"), "one\ntwo\n");
    assert.equal(await readFile(path, "utf8"), "three\n");
    const again = openAuditFile(path);
    again.write("four\n");
    again.close();
    assert.equal(await readFile(path, "utf8"), "three\nfour\n");
  });

  test("says where the system takes nothing", () => {
    const full = openAuditFile("/dev/full");
    assert.equal(full.write("one\n"), false);
    full.close();
    assert.throws(() => openAuditFile("/nowhere/audit.jsonl"), /ENOENT/);
  });
});
