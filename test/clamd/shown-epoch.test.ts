/** A given clamd whose directory holds a canary of ours: what it finds there tells its signatures. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { epochCanary } from "../../src/clamd/proof.ts";
import { clean, found, startFakeClamd } from "../fake/clamd.ts";
import { eventually } from "../process/stage.ts";
import { openPool } from "./stage.ts";

const harmless = Buffer.from("a harmless text");

describe("a given clamd that is to show an epoch", () => {
  test("is up without it, and nothing of it is remembered until it shows the one that there is", async () => {
    let loaded: string | null = null;
    let current: string | null = "1";
    await using fake = await startFakeClamd({
      scan: (body) => (body.equals(harmless) && loaded !== null ? found(`Epoch.${loaded}`) : clean),
    });
    const shownEpoch = {
      canary: epochCanary(harmless, (name) => /^Epoch\.(.*)$/.exec(name)?.[1] ?? null),
      current: () => current,
    };
    await using stage = await openPool({ addresses: [fake.address], backend: { shownEpoch } });
    const isRemembered = async () => (await stage.scan("a body")).isCacheable;
    const tag = () => stage.pool.version()?.tag ?? "";
    assert.equal(await isRemembered(), false);
    loaded = "1";
    await eventually("it shows it", isRemembered);
    const first = tag();

    current = null;
    assert.equal(await isRemembered(), false, "from the change of the directory on");
    assert.notEqual(tag(), first);
    current = "2";
    assert.equal(await isRemembered(), false, "it has the older one still");
    loaded = "2";
    await eventually("it shows the next", isRemembered);
    assert.notEqual(tag(), first);
    current = "1";
    loaded = "1";
    await eventually("the first again", isRemembered);
    assert.equal(tag(), first);
  });
});
