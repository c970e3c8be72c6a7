/** A gateway under attack: its process, a client whose requests are all booked, and the invariants at the end. */

import assert from "node:assert/strict";
import { type GatewayProcess, type GatewayProcessOptions, startGatewayProcess } from "../../e2e/gateway-process.ts";
import { processesWith } from "../../process/stage.ts";
import { testDatabase } from "../test-database.ts";
import { type Account, openAccount } from "./account.ts";
import { countingClient } from "./counting-client.ts";
import { assertInvariants, assertNothingLeft, assertResponsive } from "./invariants.ts";
import { feelPulse, type Pulse } from "./pulse.ts";
import { chooseSeed, type Random, seededRandom } from "./random.ts";
import { type Residue, residueOf } from "./residue.ts";
import { type RestClient, restClient } from "./rest-client.ts";
import { type SubjectSource, subjectSource } from "./subjects.ts";

export interface FaultStageOptions extends GatewayProcessOptions {
  /** Descriptors that the gateway rightly opens after its start, as to a Redis that was not there. Default 0. */
  readonly laterDescriptors?: number;
  /** I2: the longest that any answer may take. */
  readonly withinMs?: number;
  /** Set where the fault lets the gateway's own process stand still; null where it can take no connections. */
  readonly livezMaxMs?: number | null;
  /** Clean bodies may be refused as poison, see `AccountOptions`. */
  readonly mayDoubt?: boolean;
  /** Set where the test itself ends the gateway. */
  readonly isEnded?: boolean;
  /** I5: how long what was used may take to be given back; default: 10 s. */
  readonly leakMs?: number;
}

export interface FaultStage extends AsyncDisposable {
  readonly gateway: GatewayProcess;
  /** DATABASE_DIRECTORY of an own clamd. */
  readonly databaseDirectory: string;
  readonly account: Account;
  readonly rest: RestClient;
  readonly subjects: SubjectSource;
  readonly random: Random;
  readonly pulse: Pulse;
  /** What it held before the first request. */
  readonly before: Residue;
  /** Printed by tests that choose at random. */
  readonly seed: number;
}

/** Of a machine that others use too; the goal is far below (docs/reliability.md). */
const livezBounds = { p99Ms: 500, maxMs: 2_500 };

/** Resolves when the gateway is ready. Its disposal fails where one of the invariants does not hold. */
export async function openFaultStage(options: FaultStageOptions = {}): Promise<FaultStage> {
  const { withinMs = 60_000, livezMaxMs, leakMs = 10_000, mayDoubt = false, isEnded = false, laterDescriptors = 0 } = options;
  const seed = chooseSeed();
  const random = seededRandom(seed);
  const database = await testDatabase();
  const opened = new AsyncDisposableStack();
  opened.use(database);
  try {
    const gateway = opened.use(
      await startGatewayProcess({ args: ["serve"], ...options, env: { DATABASE_DIRECTORY: database.path, ...options.env } }),
    );
    await gateway.ready();
    const client = opened.use(countingClient(gateway.url, { connections: 1_000 }));
    const account = openAccount({ mayDoubt });
    const held = await residueOf(gateway);
    const before = { ...held, descriptors: held.descriptors + laterDescriptors };
    const pulse = opened.use(feelPulse(gateway));
    return {
      gateway,
      databaseDirectory: database.path,
      account,
      rest: restClient({ client, account }),
      subjects: subjectSource(random),
      random,
      pulse,
      before,
      seed,
      async [Symbol.asyncDispose]() {
        try {
          client[Symbol.dispose]();
          await pulse[Symbol.asyncDispose]();
          assertInvariants(account, { withinMs });
          if (livezMaxMs === undefined) assertResponsive(pulse, livezBounds);
          else if (livezMaxMs !== null) assertResponsive(pulse, { p99Ms: livezMaxMs, maxMs: livezMaxMs });
          assert.equal(
            await hasEnded(gateway),
            isEnded,
            `the gateway has ended, or not:\n${gateway.lines.slice(-20).join("\n")}`,
          );
          if (!isEnded) await assertNothingLeft(gateway, { before, withinMs: leakMs });
        } finally {
          await opened.disposeAsync();
        }
        assert.equal(await gateway.ended, 0, "how the gateway ended");
        assert.deepEqual(await processesWith(gateway.state), [], "I5: processes of the gateway");
      },
    };
  } catch (error) {
    await opened.disposeAsync();
    throw error;
  }
}

function hasEnded(gateway: GatewayProcess): Promise<boolean> {
  return Promise.race([gateway.ended.then(() => true), new Promise<boolean>((resolve) => setImmediate(resolve, false))]);
}
