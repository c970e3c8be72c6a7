/** The library's types are those of /v3's schemas: `npm run check` fails where one of them has gone ahead. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Static } from "typebox";
import { type EngineInfo, parseReport, parseStatus, type Report, type Status } from "../../client/src/report.ts";
import { EngineInfo as EngineInfoSchema, Report as ReportSchema } from "../../src/front/rest/v3/report.ts";
import { State } from "../../src/front/rest/v3/routes.ts";

/** A schema says nothing of who may write. */
type Readonlys<T> = T extends object ? { readonly [Key in keyof T]: Readonlys<T[Key]> } : T;
type Fits<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;
/** Assignable both ways, with the same keys: one that may be missing is assignable to none. */
type Same<A, B> = Fits<[Readonlys<A>, keyof A], [Readonlys<B>, keyof B]>;
/** What a clamd does not tell, and a gateway always does. */
type OfGateway = "slots" | "queued" | "cache" | "maxBytes";
type GatewayStatus = { readonly [Key in keyof Status]: Key extends OfGateway ? NonNullable<Status[Key]> : Status[Key] };

const isSame: {
  readonly report: Same<Static<typeof ReportSchema>, Report>;
  readonly engine: Same<Static<typeof EngineInfoSchema>, EngineInfo>;
  readonly status: Same<Static<typeof State>, GatewayStatus>;
  /** Shows that a difference would be seen. */
  readonly other: Same<Static<typeof ReportSchema>, Omit<Report, "cached">>;
} = { report: true, engine: true, status: true, other: false };

describe("/v3's schemas and the library's types", () => {
  test("are the same, each key required and nothing else", () => {
    const { report, engine, status } = isSame;
    assert.deepEqual([report, engine, status], [true, true, true]);
    const keys = (value: object) => Object.keys(value).sort();
    const { examples } = ReportSchema as { readonly examples?: readonly unknown[] };
    const example = examples?.[0];
    const parsed = parseReport(example);
    assert.deepEqual(parsed, example);
    assert.deepEqual(keys(parsed), keys(ReportSchema.properties));
    assert.deepEqual(keys(parsed.engine), keys(EngineInfoSchema.properties));
    assert.deepEqual(keys(parseStatus({ warnings: [] })), keys(State.properties));
  });
});
