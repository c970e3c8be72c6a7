/** `/v3`'s one shape of a report, and of a form's answer (product.md S1, S2). The library's types are checked against these schemas. */

import { type Static, type TSchema, Type } from "typebox";
import type { Decision } from "../../../core/scan.ts";
import { type EngineVersion, type UnscannableReason, unscannableReasons, type Verdict } from "../../../core/verdict.ts";
import { Problem } from "./problems.ts";

const nullable = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()]);

const VerdictSchema = Type.Union([
  Type.Object({ kind: Type.Literal("clean") }),
  Type.Object({ kind: Type.Literal("infected"), signatures: Type.Array(Type.String()) }),
  Type.Object({
    kind: Type.Literal("unscannable"),
    reason: Type.Unsafe<UnscannableReason>(Type.Union(unscannableReasons.map((reason) => Type.Literal(reason)))),
    heuristic: nullable(Type.String({ description: "ClamAV's name for it, or the gateway's" })),
  }),
]);

export const EngineInfo = Type.Object({
  engine: Type.String({ examples: ["1.4.6"] }),
  database: Type.Integer({ description: "Number of the daily database; 0 when none is loaded" }),
  databaseTime: nullable(Type.String({ format: "date-time" })),
  tag: Type.String({ description: "One short id of engine, signatures and limits" }),
  testOnly: Type.Boolean({ description: "Only built-in test signatures are loaded: they find test files, and nothing else" }),
});

export const Report = Type.Object(
  {
    allowed: Type.Boolean({ description: "All that has to be read: whether the bytes may pass" }),
    allowedBy: nullable(Type.Union([Type.Literal("clean"), Type.Literal("policy"), Type.Literal("allow-list")])),
    verdict: VerdictSchema,
    name: nullable(Type.String({ description: "As the sender named it" })),
    type: nullable(Type.String({ description: "Media type by the first bytes; null where it is not known" })),
    size: nullable(Type.Integer({ description: "Bytes; null where only the digest was given" })),
    sha256: Type.String({ pattern: "^[0-9a-f]{64}$" }),
    engine: EngineInfo,
    cached: Type.Boolean({ description: "True when no engine was asked for this verdict" }),
    elapsedMs: Type.Number(),
  },
  {
    examples: [
      {
        allowed: false,
        allowedBy: null,
        verdict: { kind: "infected", signatures: ["Win.Test.EICAR_HDB-1"] },
        name: "a.zip",
        type: null,
        size: 184,
        sha256: "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f",
        engine: { engine: "1.4.6", database: 27800, databaseTime: "2026-11-27T08:24:00.000Z", tag: "a4c1", testOnly: false },
        cached: false,
        elapsedMs: 12,
      },
    ],
  },
);
export type Report = Static<typeof Report>;

/** Of a part that has no verdict. */
const Unscanned = Type.Object({ name: nullable(Type.String()), problem: Problem });

export const FormAnswer = Type.Object({
  allowed: Type.Boolean({ description: "True when every part is allowed" }),
  results: Type.Array(Type.Union([Report, Unscanned])),
});
export type FormAnswer = Static<typeof FormAnswer>;

export interface ReportParts {
  readonly verdict: Verdict;
  readonly decision: Decision;
  readonly name: string | null;
  readonly size: number | null;
  readonly sha256: string;
  readonly engine: EngineVersion;
  readonly isTestOnly: boolean;
  readonly isCached: boolean;
  readonly elapsedMs: number;
}

export function reportOf({
  verdict,
  decision,
  name,
  size,
  sha256,
  engine,
  isTestOnly,
  isCached,
  elapsedMs,
}: ReportParts): Report {
  const allowedBy = !decision.isAllowed ? null : verdict.kind === "clean" ? "clean" : "policy";
  return {
    allowed: decision.isAllowed,
    allowedBy,
    verdict: verdict.kind === "infected" ? { kind: "infected", signatures: [...verdict.signatures] } : verdict,
    name,
    type: null,
    size,
    sha256,
    engine: engineInfoOf(engine, isTestOnly),
    cached: isCached,
    elapsedMs: Math.round(elapsedMs * 1000) / 1000,
  };
}

export function engineInfoOf(
  { engine, database, databaseTime, tag }: EngineVersion,
  isTestOnly: boolean,
): Static<typeof EngineInfo> {
  return { engine, database, databaseTime: databaseTime?.toISOString() ?? null, tag, testOnly: isTestOnly };
}
