import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { emitToAll } from "../../src/app/emit-to-all.ts";
import type { GatewayEvent } from "../../src/core/events.ts";
import { everyEvent } from "../log/every-event.ts";

describe("emitToAll", () => {
  test("tells every listener, in order", () => {
    const told: [string, GatewayEvent][] = [];
    const emit = emitToAll(
      (event) => told.push(["first", event]),
      (event) => told.push(["second", event]),
    );
    emit(everyEvent.notice);
    assert.deepEqual(told, [
      ["first", everyEvent.notice],
      ["second", everyEvent.notice],
    ]);
  });

  test("keeps what one throws from the others and from the caller", () => {
    const told: GatewayEvent[] = [];
    const emit = emitToAll(
      () => {
        throw new Error("broken listener");
      },
      (event) => told.push(event),
    );
    for (const event of Object.values(everyEvent)) emit(event);
    assert.equal(told.length, Object.keys(everyEvent).length);
  });

  test("does without listeners", () => {
    emitToAll()(everyEvent.notice);
  });
});
