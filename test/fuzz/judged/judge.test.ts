/** That the rule of the differential campaigns finds a file that nobody has scanned, and a reader that reads nothing. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, beforeEach, describe, test } from "node:test";
import { startWitnessEngine, type WitnessEngine } from "../harness/witness-engine.ts";
import { assertEachHas, type Judge, openJudge } from "./judge.ts";

let engine: WitnessEngine;
let judge: Judge;
beforeEach(async () => {
  engine = await startWitnessEngine();
  judge = openJudge(engine, () => {});
});
afterEach(() => engine[Symbol.asyncDispose]());

async function scan(body: string): Promise<void> {
  const { port } = engine.address;
  const socket = connect(port, "127.0.0.1");
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  socket.end(Buffer.concat([Buffer.from("zINSTREAM\0"), length, Buffer.from(body), Buffer.alloc(4)]));
  socket.resume();
  await once(socket, "close");
}

const taken = (...files: string[]) => new Map([["a reader", files.map((file) => Buffer.from(file))]]);

describe("openJudge", () => {
  test("lets a file pass that was scanned as it is, and counts it", async () => {
    const marker = judge.markers.next();
    await scan(marker);
    assert.equal(
      judge.compare(taken(marker), () => "the input"),
      1,
    );
    assert.equal(judge.files.get("a reader"), 1);
  });

  test("finds a file that was scanned with a byte more, or for another input, or not at all", async () => {
    const marker = judge.markers.next();
    await scan(`${marker}\n`);
    const compare = () => judge.compare(taken("harmless", marker), () => "the input");
    assert.throws(compare, /a reader has a file that nobody has scanned, "JudgedMarker\d+z"\nthe input/);
    await scan(marker);
    judge.begin();
    assert.throws(compare, /nobody has scanned/);
  });

  test("asks nothing of files without a marker", () => {
    assert.equal(
      judge.compare(taken("harmless", ""), () => "the input"),
      0,
    );
  });
});

describe("assertEachHas", () => {
  const known = [
    { kind: "form", name: "a reader", version: "1.0" },
    { kind: "form", name: "a missing one", version: null },
    { kind: "coding", name: "another", version: "1.0" },
  ] as const;

  test("finds a reader that does not read a right input, and asks nothing of a missing one", () => {
    assertEachHas(Buffer.from("file"), taken("file"), known, "form");
    assert.throws(() => assertEachHas(Buffer.from("file"), taken("fil"), known, "form"), /a reader does not read a right form/);
    assert.throws(() => assertEachHas(Buffer.from("file"), new Map(), known, "form"), /a reader does not read a right form/);
  });
});
