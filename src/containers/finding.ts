/** What the gateway says of a body that clamd does not open or opens only in part: a closed list of names, each with its reason. */

import type { Unscannable, UnscannableReason } from "../core/verdict.ts";

/** docs/containers.md says of each what it stands for. */
const reasons = {
  "Zip.Method": "unsupported",
  "Zip.Headers": "unsupported",
  "Zip.Descriptor": "unsupported",
  "Zip.Zip64": "unsupported",
  "Zip.Directory": "unsupported",
  "Zip.NoDirectory": "unsupported",
  "Zip.TwoDirectories": "unsupported",
  "Zip.Front": "unsupported",
  "Zip.Behind": "unsupported",
  "7Zip.Coder": "unsupported",
  "7Zip.Header": "unsupported",
  "7Zip.Cut": "unsupported",
  "7Zip.Behind": "unsupported",
  "Pdf.Filter": "unsupported",
  "Ar.Header": "unsupported",
  "Rpm.Header": "unsupported",
  "Makeself.Payload": "unsupported",
  "Zstd.Stream": "unsupported",
  "Smime.Content": "unsupported",
  "Encrypted.Zip": "encrypted",
  "Encrypted.7Zip": "encrypted",
  "Encrypted.Office": "encrypted",
  "Encrypted.OpenDocument": "encrypted",
  "Encrypted.Arj": "encrypted",
  "Encrypted.Rar": "encrypted",
  "Encrypted.Smime": "encrypted",
  "Encrypted.OpenPgp": "encrypted",
} as const satisfies Record<string, UnscannableReason>;

export type FindingName = keyof typeof reasons;

export const findingNames = Object.keys(reasons) as readonly FindingName[];

export function finding(name: FindingName): Unscannable {
  return { kind: "unscannable", reason: reasons[name], heuristic: `Heuristics.Clamgate.${name}` };
}
