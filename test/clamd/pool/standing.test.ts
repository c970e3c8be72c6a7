import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { foremost } from "../../../src/clamd/standing.ts";
import { type FakeBackend, type FakeBackendOptions, fakeBackend } from "../../fake/backend.ts";

const named = (name: string, options: Partial<FakeBackendOptions>) => fakeBackend({ name, onChange: () => {}, ...options });
const names = (backends: readonly FakeBackend[]) => foremost(backends).map(({ name }) => name);

describe("foremost", () => {
  test("is all of those that are alike, in their order", () => {
    assert.deepEqual(names([named("a", {}), named("b", {}), named("c", { isUp: false })]), ["a", "b"]);
    assert.deepEqual(names([]), []);
  });

  test("leaves out whose database or release is older, and takes it again when it is alone", () => {
    const old = named("old", { version: { database: 1 } });
    const fresh = named("fresh", { version: { database: 2 } });
    assert.deepEqual(names([old, fresh, old]), ["fresh"]);
    fresh.setUp(false);
    assert.deepEqual(names([old, fresh]), ["old"]);
    const ninth = named("ninth", { version: { engine: "1.4.9" } });
    const tenth = named("tenth", { version: { engine: "1.4.10-rc" } });
    assert.deepEqual(names([ninth, tenth]), ["tenth"]);
  });

  test("leaves out who has not loaded yet what its directory holds", () => {
    const late = named("late", { isSettled: false, version: { database: 2 } });
    const ready = named("ready", { version: { database: 1 } });
    assert.deepEqual(names([late, ready]), ["ready"]);
    assert.deepEqual(names([late]), ["late"]);
  });

  test("counts what a clamd.conf lacks before the age of its database, and that before the release", () => {
    const lax = named("lax", { lacking: ["AlertExceedsMax yes"], version: { database: 9, engine: "9.0.0" } });
    const old = named("old", { version: { database: 1, engine: "1.5.0" } });
    const fresh = named("fresh", { version: { database: 2, engine: "1.4.6" } });
    assert.deepEqual(names([lax, old]), ["old"]);
    assert.deepEqual(names([lax, old, fresh]), ["fresh"]);
  });
});
