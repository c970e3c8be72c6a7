/** The one contract of the Engine port, on pools over fake and real clamd servers, reached in every way there is. */

import assert from "node:assert/strict";
import { longestPrefixBytes } from "../../src/clamd/overlooked.ts";
import { describeDetection, describeEngine, type EngineHarness } from "../contract/engine.ts";
import { type Act, answer, clean, type FakeClamd, found, startFakeClamd } from "../fake/clamd.ts";
import { marker, mebibyte, type RealClamdOptions, startRealClamd } from "../live/clamd.ts";
import { openPool, type PoolStage } from "./stage.ts";

const limits = { maxFileSize: 5 * mebibyte, maxScanSize: 16 * mebibyte, maxFiles: 500, maxRecursion: 17 };

describeEngine("a pool over one fake clamd", () => fakes(1));
describeEngine("a pool over two fake clamds", () => fakes(2));

const real = {
  "clamd on a unix socket, by INSTREAM": () => reals({ listens: "unix" }, { sharesSpool: false }),
  "clamd on a unix socket, files by SCAN": () => reals({ listens: "unix" }, { sharesSpool: true }),
  "clamd on TCP": () => reals({ listens: "tcp" }, { sharesSpool: false }),
};
for (const [name, make] of Object.entries(real)) {
  describeEngine(`a pool over a real ${name}`, make);
  describeDetection(`a real ${name}`, make);
}

async function fakes(count: number): Promise<EngineHarness> {
  await using stack = new AsyncDisposableStack();
  const servers: FakeClamd[] = [];
  for (let index = 0; index < count; index += 1) servers.push(stack.use(await startFakeClamd(scanning)));
  const stage = stack.use(await openPool({ addresses: servers.map(({ address }) => address) }));
  return harness(stage, limits.maxFileSize, stack.move());
}

const scanning = {
  scan: (body: Buffer): Act => (body.includes(marker) ? found("Clamgate.Test.Marker-1") : clean),
  refuseEarly: { afterBytes: limits.maxFileSize, act: answer("INSTREAM size limit exceeded. ERROR\0") },
};

async function reals(options: RealClamdOptions, backend: { readonly sharesSpool: boolean }): Promise<EngineHarness> {
  await using stack = new AsyncDisposableStack();
  const clamd = stack.use(await startRealClamd({ ...options, limits }));
  const stage = stack.use(await openPool({ addresses: [clamd.address], backend: { slots: () => clamd.slots, ...backend } }));
  return harness(stage, backend.sharesSpool ? null : limits.maxFileSize + longestPrefixBytes, stack.move());
}

function harness(stage: PoolStage, maxBytes: number | null, stack: AsyncDisposableStack): EngineHarness {
  return {
    engine: stage.pool,
    body: stage.body,
    maxBytes,
    nothingHeld: () => assert.equal(stage.spool.usage().bodies, 0),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
