import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { GatewayEvent } from "../../src/core/events.ts";
import { logEvents } from "../../src/log/events.ts";
import { capturedLog } from "./captured-log.ts";
import { everyEvent } from "./every-event.ts";

function parsed(written: readonly string[]): readonly Record<string, unknown>[] {
  return written.map((line): Record<string, unknown> => ({ ...JSON.parse(line) }));
}

const failed: GatewayEvent = { ...everyEvent["scan-failed"], code: "client-gone" };

describe("lines that clients cause at will", () => {
  test("are written as far as five in a second, and then as one that counts the others", (context) => {
    context.mock.timers.enable({ apis: ["setTimeout"] });
    const { log, written } = capturedLog();
    const emit = logEvents(log);
    for (let index = 0; index < 1_000; index += 1) emit(failed);
    assert.equal(written.length, 5);
    context.mock.timers.tick(1_000);
    const { level, msg, via, code, lines } = parsed(written)[5] ?? {};
    assert.deepEqual(
      { level, msg, via, code, lines },
      { level: "info", msg: "scan failed: lines left out", via: "proxy", code: "client-gone", lines: 995 },
    );
    for (let index = 0; index < 5; index += 1) emit(failed);
    context.mock.timers.tick(1_000);
    assert.equal(written.length, 11);
  });

  test("are counted each kind for itself, and what was counted is told when the log ends", () => {
    const { log, written } = capturedLog();
    const emit = logEvents(log);
    for (let index = 0; index < 7; index += 1) {
      emit(failed);
      emit({ ...everyEvent["scan-failed"], code: "queue-full" });
      emit(everyEvent["download-denied"]);
      emit(everyEvent["deprecated-endpoint"]);
      emit({ ...everyEvent.download, outcome: "failed", code: "forbidden" });
      emit({ ...everyEvent.download, outcome: "gone" });
    }
    assert.equal(written.length, 30);
    log.flush();
    const counts = parsed(written).filter(({ lines }) => lines === 2);
    assert.equal(counts.length, 6);
    log.flush();
    assert.equal(written.length, 36);
  });

  test("do not hide verdicts, nor what was given of a download", () => {
    const { log, written } = capturedLog();
    const emit = logEvents(log);
    for (let index = 0; index < 10; index += 1) {
      emit(everyEvent.scanned);
      emit({ ...everyEvent.answered, status: 200 });
      emit(everyEvent.download);
      emit({ ...everyEvent.download, outcome: "blocked" });
      emit({ ...everyEvent.download, outcome: "cut" });
    }
    assert.equal(written.length, 40);
  });
});
