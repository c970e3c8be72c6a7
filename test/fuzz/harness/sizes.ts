/** B13: bodies of nothing, of next to nothing, and of the limit give or take a byte. The limit is exact, and the same through either front. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { marker, markerName } from "../../live/clamd.ts";
import { type Campaign, campaign } from "./campaign.ts";
import type { Front } from "./fronts.ts";

interface Sized {
  readonly size: number;
  readonly isInfected: boolean;
}

/** @param limit MAX_FILE_SIZE in bytes. */
export function sizes(front: Front, limit: number): Campaign {
  const edges = [0, 1, 5, 6, marker.length, limit - 1, limit, limit + 1, 2 * limit];
  return campaign({
    name: `sizes, through ${front.name} (B13)`,
    testRuns: 20,
    arbitrary: fc.record<Sized>({
      size: fc.oneof(fc.nat(100), fc.integer({ min: limit - 10, max: limit + 10 })),
      isInfected: fc.boolean(),
    }),
    corpus: edges.flatMap((size) => [false, true].map((isInfected): Sized => ({ size, isInfected }))),
    async check({ size, isInfected }) {
      const evil = isInfected ? Buffer.from(marker) : Buffer.alloc(0);
      // At the very end: a byte too few would show.
      // Its own for each front and size: no verdict but this one's is known.
      const filling = Buffer.alloc(Math.max(0, size - evil.length), `${front.name} ${size} some filling\n`);
      const bytes = Buffer.concat([filling, evil]).subarray(0, size);
      const { status, isClean, found, label } = await front.judge(bytes);
      assert.equal(status === 413, size > limit, `${label} for ${size} bytes`);
      if (size > limit) return;
      assert.equal(isClean, !bytes.includes(marker), `${label} for ${size} bytes`);
      // Not by the limit.
      assert.equal(found, isClean ? "" : markerName, `${label} for ${size} bytes`);
    },
  });
}
