import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Replacement, replaceText } from "../../../../src/front/proxy/routes/replace-text.ts";
import { asyncCostMs } from "../../../cost.ts";
import { bytesOf } from "../recorded-upstream.ts";

async function* pieces(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function replaced(text: string, rules: readonly Replacement[], size = 65_536): Promise<string> {
  return (await bytesOf(replaceText(pieces(text, size), rules))).toString();
}

const rulesOf = (...froms: readonly string[]): Replacement[] => froms.map((from, index) => ({ from, to: `<${index}>` }));

/** The plain way, to compare with. */
function expected(text: string, rules: readonly Replacement[]): string {
  let written = "";
  for (let at = 0; at < text.length; ) {
    const rule = rules.find(({ from }) => text.startsWith(from, at));
    written += rule?.to ?? text[at];
    at += rule?.from.length ?? 1;
  }
  return written;
}

describe("replaceText", () => {
  const rules = [
    { from: "abcabd", to: "1" },
    { from: "abc", to: "22222" },
    { from: "d", to: "" },
  ];

  test("gives the same however the text is cut", async () => {
    const text = "xabcabdabcabcabdddyabcababcabd abc".repeat(5);
    for (const size of [1, 2, 3, 5, 6, 7, 100, 1000]) assert.equal(await replaced(text, rules, size), expected(text, rules));
  });

  test("passes what has nothing to replace, and nothing", async () => {
    assert.equal(await replaced("hello", [{ from: "long enough to wait for", to: "" }], 2), "hello");
    assert.equal(await replaced("", rules, 1), "");
  });

  test("takes the first match, of those at one place the first rule, and looks at nothing twice", async () => {
    assert.equal(await replaced("abcd", rulesOf("bcd", "abc")), "<1>d");
    assert.equal(await replaced("abcd", rulesOf("ab", "abcd")), "<0>cd");
    assert.equal(await replaced("abcd", rulesOf("abcd", "ab", "b")), "<0>");
    assert.equal(await replaced("aaaa", [{ from: "aa", to: "a" }]), "aa");
    assert.equal(await replaced("xyxy", rulesOf("xy", "xy")), "<0><0>");
  });

  test("compares bytes, whatever the encoding", async () => {
    assert.equal(await replaced("zürich ü", [{ from: "ü", to: "ue" }], 1), "zuerich ue");
    const latin1 = Buffer.from("\xff\x00a\xfe", "latin1");
    async function* body() {
      yield latin1;
    }
    assert.deepEqual(await bytesOf(replaceText(body(), rulesOf("b"))), latin1);
  });

  test("gives what the plain way gives, for any rules over few letters", async () => {
    let state = 1;
    const random = (below: number) => {
      state = (state * 48_271) % 2_147_483_647;
      return state % below;
    };
    const word = (longest: number) => Array.from({ length: 1 + random(longest) }, () => "ab"[random(2)]).join("");
    for (let turn = 0; turn < 300; turn += 1) {
      const some = rulesOf(...Array.from({ length: 1 + random(5) }, () => word(6)));
      const text = word(200);
      for (const size of [1, 3, 64]) assert.equal(await replaced(text, some, size), expected(text, some), JSON.stringify(some));
    }
  });

  test("holds back no more than twice the longest rule", async () => {
    const source = Promise.withResolvers<void>();
    async function* body() {
      yield Buffer.from("x".repeat(13));
      await source.promise;
    }
    const first = await replaceText(body(), rulesOf("abcdef", "ab")).next();
    assert.ok((first.value?.length ?? 0) >= 1);
    source.resolve();
  });
});

describe("replaceText: cost", () => {
  const long = "a".repeat(2_000);
  const url = "https://files.example/packages/";
  const many = Array.from({ length: 200 }, (_, index) => `${url}${index}/`);
  const cases: readonly (readonly [name: string, froms: readonly string[], unit: string])[] = [
    ["a rule that is nowhere beside one that is everywhere", ["nowhere", "a"], "a"],
    ["many rules that are nowhere", many, "/"],
    ["many rules that nearly are", many, `${url}x`],
    ["many rules, one of them everywhere", [...many, "x"], "x"],
    ["a long rule but for its last letter", [`${long}b`, `b${long}`], "a"],
    ["a long rule but for its middle", [`${long}b${long}`], "a"],
    ["a long rule before its first letter", [`${long}b`, "a"], "a"],
    ["a period but for one letter", [`${"ab".repeat(1_000)}c`, `c${"ba".repeat(1_000)}`], "ab"],
  ];

  async function nanosecondsPerByte(froms: readonly string[], text: string, size: number): Promise<number> {
    const rules = froms.map((from) => ({ from, to: "" }));
    const cost = await asyncCostMs(async () => {
      for await (const _ of replaceText(pieces(text, size), rules));
    });
    return (cost * 1e6) / text.length;
  }

  for (const [name, froms, unit] of cases) {
    for (const [size, bytes, bound] of [
      // 15 to 150 on a busy machine. A search for each rule, begun anew behind each match, costs thousands.
      [65_536, 1_000_000, 1_000],
      // 5,000, nearly all of it the generators'.
      [1, 10_000, 50_000],
    ] as const) {
      test(`reads at the same pace: ${name}, in chunks of ${size}`, async () => {
        const text = unit.repeat(bytes / unit.length);
        const measured: number[] = [];
        for (let turn = 0; turn < 3; turn += 1) measured.push(await nanosecondsPerByte(froms, text, size));
        const best = Math.min(...measured);
        assert.ok(best < bound, `${best} ns a byte`);
      });
    }
  }
});
