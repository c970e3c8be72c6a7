/** Rules as an operator writes them. */

import assert from "node:assert/strict";
import { type OriginRule, type PrivateRule, parseOriginRule, parsePrivateRule } from "../../../src/codec/origin-rule.ts";

export function origins(...texts: string[]): OriginRule[] {
  return texts.map((text) => {
    const rule = parseOriginRule(text);
    assert.ok(rule !== null, text);
    return rule;
  });
}

export function privates(...texts: string[]): PrivateRule[] {
  return texts.map((text) => {
    const rule = parsePrivateRule(text);
    assert.ok(rule !== null, text);
    return rule;
  });
}
